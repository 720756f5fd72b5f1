# SPDX-License-Identifier: Apache-2.0
"""The open estimator as a whole, on made-up pictures."""
from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from ros2_dice.errors import AssetError, EstimatorError
from ros2_dice.estimator import create_estimator
from ros2_dice.parameters import Settings
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
