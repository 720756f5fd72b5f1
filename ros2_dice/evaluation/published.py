# SPDX-License-Identifier: Apache-2.0
"""Published figures on hand and face with deformation, and what may be compared with them."""
from __future__ import annotations

HEADER = ('method', 'PVE* mm', 'MPJPE mm', 'PA-MPJPE mm', 'collision mm', 'non-collision %',
          'touchness %', 'F-score %', 's per image')
Row = tuple[str, float, float | None, float | None, float, float, float, float, float | None]
ROWS: tuple[Row, ...] = (
    ('Decaf (2023), optimisation', 9.65, None, None, 1.03, 83.6, 96.6, 89.6, 19.59),
    ('MediaPipe + FLAME fit, optimisation', 17.7, None, None, 19.3, 64.2, 73.2, 68.4, 16.40),
    ('PIXIE hand + face (2021), optimisation', 26.3, None, None, 7.04, 75.9, 75.1, 75.5, None),
    ('DICE (2025), regression', 8.32, 9.95, 7.27, 0.16, 66.6, 79.9, 72.7, 0.088),
    ('PIXIE whole body (2021), regression', 39.7, None, None, 0.11, 97.1, 51.8, 67.6, 0.070),
    ('PIXIE-R (2021), regression', 11.0, 22.0, 21.2, 0.27, 62.6, 83.0, 72.0, 0.070),
    ('METRO, hand + face (2021), regression', 11.8, 15.4, 11.9, 0.08, 80.7, 54.8, 65.2, 0.103),
    ('FastMETRO, single target (2022), regression', 9.27, 11.8, 9.41, 0.09, 82.2, 55.5, 66.2,
     0.110),
)
"""Decaf test split (subjects S1, S3, S6), as printed on the DICE poster (ICLR 2025)."""
SOURCE = (
    'Decaf test split (subjects S1, S3, S6), as printed on the DICE poster, ICLR 2025; times on '
    'an A6000. The text of the poster was read by machine; the F-scores were checked against the '
    'two ratios. A method that never touches has non-collision 100, touchness 0 and F-score 0.')
COMPARABLE = (
    'Comparable: what `ros2-dice evaluate decaf` prints on the same split, row by row. The '
    'plausibility columns need no particular mesh. PVE* needs the meshes of the data set (FLAME '
    'and MANO), so only the dice model has it.')
SAME_RULES = (
    'Same rules, other data: collision distance, non-collision, touchness and F-score of '
    '`ros2-dice evaluate generated` or of predictions on other scenes. They say how our meshes '
    'behave; they do not rank us among the methods of this table.')
NOT_COMPARABLE = (
    'Not comparable: contact precision, recall, F1 and false alarms on labelled pictures. No '
    'method of this table publishes them: all published frames are of one kind of recording, '
    'touchness counts only frames that truly touch, and no column counts false touches. A hand '
    'buried deeper than 50 mm scores as perfect by the published rules; our tables count such '
    'frames apart.')
