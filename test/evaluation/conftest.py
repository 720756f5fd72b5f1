# SPDX-License-Identifier: Apache-2.0
"""Labelled material of painted squares."""
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from painted_squares import EMPTY, HOVER, TOUCH, write_clip


@pytest.fixture
def painted(tmp_path: Path) -> Path:
    """A folder with four pictures, one of them labelled wrongly, and a clip of 40 frames."""
    folder = tmp_path / 'material'
    (folder / 'deep').mkdir(parents=True)
    for name, level in (('touch.png', TOUCH), ('hover.png', HOVER), ('deep/empty.png', EMPTY),
                        ('wrong.png', HOVER)):
        cv2.imwrite(str(folder / name), np.full((64, 64, 3), level, np.uint8))
    write_clip(folder / 'clip.mp4', [HOVER] * 10 + [TOUCH] * 12 + [HOVER] * 18)
    hand = {'side': 'right', 'touches': ['cheek'], 'fingers': ['index']}
    labels = {
        'images': [
            {'file': 'touch.png', 'scene': 'touch', 'contact': 'yes', 'faces': 1, 'hands': 1,
             'contact_certain': True, 'person_hands': [hand], 'notes': ''},
            {'file': 'hover.png', 'scene': 'near', 'contact': 'no', 'faces': 1, 'hands': 1},
            {'file': 'empty.png', 'scene': 'none', 'contact': 'no', 'faces': 0, 'hands': 0},
            {'file': 'wrong.png', 'scene': 'touch', 'contact': 'yes', 'person_hands': [hand]},
            {'file': 'hover.png', 'scene': 'near', 'contact': 'likely'},
            {'file': 'gone.png', 'scene': 'near', 'contact': 'no'},
        ],
        'videos': [
            {'file': 'clip.mp4', 'scene': 'touch', 'fps': 10.0, 'frame_tolerance': 2,
             'touch_frames': [{'first': 12, 'last': 21, 'region': 'cheek/nose'}]},
            {'file': 'clip.mp4', 'scene': 'hard'},
        ]}
    (folder / 'labels.json').write_text(json.dumps(labels))
    return folder
