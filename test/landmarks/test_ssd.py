# SPDX-License-Identifier: Apache-2.0
"""Anchors, decoding and non-maximum suppression."""
from __future__ import annotations

import numpy as np
import pytest

from ros2_dice.landmarks.detect import BODY, FACE_FULL_RANGE, FACE_SHORT_RANGE, PALM
from ros2_dice.landmarks.ssd import anchors, decode, merge, overlap, sigmoid


@pytest.mark.parametrize(('spec', 'count'), [
    (FACE_SHORT_RANGE, 896), (FACE_FULL_RANGE, 2304), (PALM, 2016), (BODY, 2254)])
def test_anchor_counts(spec, count: int) -> None:
    """As many anchors as the networks have outputs, all inside of the picture."""
    centers = anchors(spec.input_size, spec.layers)
    assert centers.shape == (count, 2)
    assert centers.min() > 0
    assert centers.max() < 1


def test_anchor_order() -> None:
    """Row by row, x first, all anchors of a cell together."""
    centers = anchors(16, ((8, 2),))
    np.testing.assert_allclose(
        centers, [[.25, .25], [.25, .25], [.75, .25], [.75, .25],
                  [.25, .75], [.25, .75], [.75, .75], [.75, .75]])


def test_decode_places_box_and_points() -> None:
    """Offsets are in input pixels from the anchor's centre."""
    centers = np.array([[0.5, 0.5], [0.25, 0.25]], np.float32)
    regressors = np.zeros((2, 6), np.float32)
    regressors[0] = (10, -20, 40, 20, 5, 5)
    found = decode(regressors, np.array([3.0, -3.0]), centers, 100, 0.5)
    assert len(found) == 1
    assert found[0].score == pytest.approx(sigmoid(np.array([3.0]))[0])
    np.testing.assert_allclose(found[0].box, [0.4, 0.2, 0.8, 0.4], atol=1e-7)
    np.testing.assert_allclose(found[0].keypoints, [[0.55, 0.55]], atol=1e-7)


def test_decode_passes_over_broken_numbers() -> None:
    """A regressor that is not finite is no detection; no score is none either."""
    centers = np.full((2, 2), 0.5, np.float32)
    regressors = np.ones((2, 6), np.float32)
    regressors[0, 1] = np.nan
    logits = np.array([50.0, np.nan])
    assert decode(regressors, logits, centers, 100, 0.5) == []


def test_merge_averages_what_overlaps() -> None:
    """Overlapping boxes are averaged by score, others stay; best first."""
    rows = np.array([[0, 0, 1, 1, 5, 5], [0.1, 0, 1.1, 1, 6, 5], [3, 3, 4, 4, 0, 0.]])
    found = merge(rows, np.array([0.6, 0.3, 0.9]))
    assert [one.score for one in found] == [0.9, 0.6]
    np.testing.assert_allclose(found[1].box, [0.1 / 3, 0, 1 + 0.1 / 3, 1])
    np.testing.assert_allclose(found[1].keypoints, [[5 + 1 / 3, 5]])


def test_merge_ends_with_boxes_without_area() -> None:
    """Boxes of no size or turned inside out do not stop the loop."""
    rows = np.array([[1, 1, 1, 1, 0, 0], [2, 2, 0, 0, 0, 0.]])
    assert len(merge(rows, np.array([0.5, 0.4]))) == 2


def test_overlap() -> None:
    """Intersection over union of unit squares."""
    boxes = np.array([[0, 0, 1, 1], [0.5, 0, 1.5, 1], [2, 2, 3, 3.]])
    np.testing.assert_allclose(overlap(boxes[0], boxes), [1, 1 / 3, 0])


def test_sigmoid_does_not_overflow() -> None:
    """Huge logits give 0 and 1."""
    np.testing.assert_allclose(sigmoid(np.array([-1e9, 0, 1e9])), [0, 0.5, 1],
                               atol=1e-30)
