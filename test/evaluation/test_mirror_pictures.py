# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from ros2_dice.assets import missing_assets
from ros2_dice.estimator import create_estimator
from ros2_dice.evaluation.mirror import compare
from ros2_dice.parameters import Settings
from ros2_dice.pictures import read_picture


@pytest.fixture(scope='module')
def estimator():
    if missing_assets('open'):
        pytest.skip('the networks are not here; ros2-dice assets pull')
    found = create_estimator(Settings({'tracking.deterministic_ids': True}))
    yield found
    found.close()


@pytest.mark.material
@pytest.mark.parametrize('name', ['palm', 'fist', 'man_chin_grip', 'woman_four_fingers',
                                  'old_man_horns_sign'])
def test_left_hand_is_the_mirrored_right_hand(estimator, material: Path, name):
    """Found by detectors that are not symmetric, so millimetres and not zero."""
    pairs = compare(estimator, read_picture(material / 's' / f'{name}.jpg'))
    assert pairs
    for pair in pairs:
        assert pair.sides_agree
        assert pair.aligned_mm < 3.0
        assert pair.across_mm < 5.0
        assert pair.distance_mm < 25.0
