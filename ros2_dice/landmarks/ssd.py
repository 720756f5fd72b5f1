# SPDX-License-Identifier: Apache-2.0
"""
Anchors, decoding and weighted non-maximum suppression of the one-shot detectors.

The scheme is that of "BlazeFace" (Bazarevsky et al., 2019): anchors of size 1, of which only the
centres matter; boxes and key points are offsets from them in input pixels.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]

_OVERLAP = 0.3
"""Intersection over union from which two boxes mean the same thing."""


class Detection(NamedTuple):
    """One box with key points."""

    score: float
    box: npt.NDArray[np.float64]
    """(4,) x0 y0 x1 y1."""
    keypoints: npt.NDArray[np.float64]
    """(K, 2)."""


def anchors(input_size: int, layers: Sequence[tuple[int, int]]) -> npt.NDArray[np.float32]:
    """
    Return anchor centres (A, 2) in 0..1, row by row.

    Args:
        layers: (stride, anchors per cell) of each feature map.
    """
    parts = []
    for stride, per_cell in layers:
        cells = input_size // stride
        y, x = np.mgrid[0:cells, 0:cells]
        centers = (np.stack((x, y), axis=-1).reshape(-1, 2) + 0.5) / cells
        parts.append(np.repeat(centers, per_cell, axis=0))
    return np.concatenate(parts).astype(np.float32)


def sigmoid(values: FloatArray) -> npt.NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return 1.0 / (1.0 + np.exp(-np.clip(values, -80.0, 80.0).astype(np.float64)))


def decode(regressors: FloatArray, logits: FloatArray, centers: FloatArray, input_size: int,
           threshold: float) -> list[Detection]:
    """
    Return the detections of a network's raw output, best first, in 0..1 of its input.

    Args:
        regressors: (A, 4 + 2 K) centre, width and height, key points [input px].
        logits: (A,) score before the sigmoid.
        centers: (A, 2) from `anchors`.
    """
    scores = sigmoid(logits)
    keep = np.flatnonzero((scores > threshold) & np.isfinite(regressors).all(axis=1))
    if not len(keep):
        return []
    raw = regressors[keep].astype(np.float64) / input_size
    base = centers[keep].astype(np.float64)
    middle, half = raw[:, :2] + base, 0.5 * raw[:, 2:4]
    points = raw[:, 4:].reshape(len(keep), -1, 2) + base[:, None]
    rows = np.concatenate((middle - half, middle + half, points.reshape(len(keep), -1)), axis=1)
    return merge(rows, scores[keep])


def merge(rows: FloatArray, scores: FloatArray) -> list[Detection]:
    """
    Return the weighted averages of overlapping boxes, best first.

    Args:
        rows: (N, 4 + 2 K) x0 y0 x1 y1 and key points.
        scores: (N,).
    """
    order = np.argsort(-scores, kind='stable')
    found = []
    while len(order):
        boxes = rows[order]
        same = overlap(boxes[0, :4], boxes[:, :4]) > _OVERLAP
        same[0] = True  # also where the box has no area
        weights = scores[order[same]]
        mean = weights @ boxes[same] / weights.sum()
        found.append(Detection(float(weights[0]), mean[:4], mean[4:].reshape(-1, 2)))
        order = order[~same]
    return found


def overlap(box: FloatArray, boxes: FloatArray) -> npt.NDArray[np.float64]:
    """Return intersection over union (N,) of a box (4,) with boxes (N, 4)."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.clip(high - low, 0.0, None), axis=1)
    area = np.prod(np.clip(box[2:] - box[:2], 0.0, None))
    areas = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0.0, None), axis=1)
    return common / np.maximum(areas + area - common, 1e-12)
