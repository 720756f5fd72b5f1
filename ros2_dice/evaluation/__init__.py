# SPDX-License-Identifier: Apache-2.0
"""
How good and how fast an estimator is; `ros2-dice evaluate` and `ros2-dice benchmark`.

Formulas only: `metrics`, `plausibility`, `calibration`, `events`, with exact `signed_distance`.
Truth: `material` reads labelled pictures and clips, `synthetic` and `motions` make scenes, `decaf`
reads that data set in place, `predictions` reads the results of any system. Each has a run,
figures and a page: `labelled*`, `generated*`, `decaf_*`, `prediction_*`; `report` and `charts`
draw the pages. `timing` runs an estimator against the clock, `peer` does the same for MediaPipe in
an environment of its own, and `machine` says where all of it was measured.
"""
