# SPDX-License-Identifier: Apache-2.0
"""
How good and how fast an estimator is: metrics, labelled material, timing, the peer's process.

`metrics` holds formulas only. `material` reads labelled pictures and clips, `clips` decodes them,
`touch` decides and scores frames, `timing` runs an estimator against the clock, `peer` does the
same for MediaPipe in an environment of its own, and `machine` says where all of it was measured.
"""
