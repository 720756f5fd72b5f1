# SPDX-License-Identifier: Apache-2.0
"""The open estimator as a whole, on made-up pictures."""
from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from ros2_dice.errors import AssetError, EstimatorError
from ros2_dice.estimator import create_estimator
from ros2_dice.parameters import Settings
from ros2_dice.share import share_folder
from ros2_dice.stamps import NOMINAL_STEP_NS
from ros2_dice.types import Frame


def blas_threads() -> list[int]:
    return [pool['num_threads'] for pool in threadpool_info() if pool['user_api'] == 'blas']


def test_nobody_in_a_grey_picture_and_blas_is_left_as_it_was() -> None:
    """The estimator uses one BLAS thread; its caller keeps what it had."""
    try:
        estimator = create_estimator(Settings())
    except AssetError as error:
        pytest.skip(error.text())
    before = blas_threads()
    assert estimator.estimate(Frame(np.full((120, 160, 3), 127, np.uint8))) == ()
    assert blas_threads() == before
    assert estimator.stage_times_s['total'] > 0.0
    estimator.close()


@pytest.mark.parametrize(('name', 'value'), [
    ('backend.name', 'tensorrt'), ('backend.device', 'cuda:0'), ('backend.precision', 'fp16')])
def test_a_forced_backend_that_is_not_there_is_refused(name: str, value: str) -> None:
    with pytest.raises(EstimatorError, match=value):
        create_estimator(Settings({name: value}))


def test_an_unknown_model_is_refused_with_its_name() -> None:
    with pytest.raises(EstimatorError, match='nonesuch'):
        create_estimator(Settings({'model.id': 'nonesuch'}))


def test_the_touch_of_the_sample_is_told_soon_and_ends_when_the_hand_leaves() -> None:
    """The truth is that of the renderer; the clip is what the demo shows first."""
    from ros2_dice.render.video import ClipReader

    try:
        estimator = create_estimator(Settings())
    except AssetError as error:
        pytest.skip(error.text())
    model = share_folder() / 'model'
    with np.load(model / 'sample_truth.npz') as file:
        touch = np.flatnonzero(file['touch'])
    said = []
    with ClipReader(model / 'sample.mp4') as clip:
        for number, frame in enumerate(clip):
            found = estimator.estimate(Frame(frame.bgr, frame.time_ns, channel_order='bgr'))
            if any(one.contact_probability >= 0.5 for one in found):
                said.append(number)
    estimator.close()
    assert -5 <= said[0] - touch[0] <= 5  # frames of 33 ms
    assert -5 <= said[-1] - touch[-1] <= 5
    assert len(said) >= 0.9 * (said[-1] - said[0])


def test_frames_without_stamps_are_as_good_as_those_with() -> None:
    """A camera that stamps nothing: touches begin all the same, and who has left is gone."""
    from ros2_dice.render.video import ClipReader

    try:
        estimator = create_estimator(Settings({'tracking.deterministic_ids': True}))
    except AssetError as error:
        pytest.skip(error.text())
    with ClipReader(share_folder() / 'model' / 'sample.mp4') as clip:
        pictures = [frame.bgr for frame in clip][56:112]  # the hand comes and touches
    pictures += [np.full_like(pictures[0], 90)] * 20

    def seen(step_ns: int) -> list[list[tuple[str, str, float]]]:
        estimator.reset()
        return [[(one.person_id, one.hand_id, one.contact_probability)
                 for one in estimator.estimate(Frame(bgr, number * step_ns, channel_order='bgr'))]
                for number, bgr in enumerate(pictures)]

    stamped, without = seen(NOMINAL_STEP_NS), seen(0)
    estimator.close()
    assert without == stamped
    assert any(probability >= 0.5 for frame in without for *_, probability in frame)
    assert without[-1] == []
