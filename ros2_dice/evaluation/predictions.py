# SPDX-License-Identifier: Apache-2.0
"""
Results of any system, and truth, in one format: an .npz of arrays with a row for each frame.

`FIELDS` lists the arrays; docs/evaluation.md tells the same to people. The same format serves for
truth, so that two files can be held against each other.
"""
from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ros2_dice.errors import ConfigError, why
from ros2_dice.types import FloatArray

FORMAT = 'ros2_dice predictions 1'
FIELDS: Mapping[str, str] = {
    'touch_probability': '(F,) float, NaN = cannot tell; of truth 0 or 1',
    'face_regions': '(F,) text: names of touched regions of the face, with spaces between',
    'hand_regions': '(F,) text: likewise of the hand',
    'head_vertices_m': '(F, V, 3) float [m], deformed, NaN = no head in this frame',
    'head_faces': '(T, 3) integers, counter-clockwise seen from outside',
    'hand_vertices_m': '(F, W, 3) float [m], in the same frame as the head',
    'joints_m': '(F, J, 3) float [m], in the same frame as the head',
    'seconds': '(F,) float, time that each frame took [s]',
}
"""Arrays beside `format`, `system` and `frames`; each may be absent."""
_NEXT = 'docs/evaluation.md shows the format'


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one system says, or what is true, about F frames."""

    system: str
    frames: tuple[str, ...]
    """Name of a picture's file, or of a clip's with `#` and the frame's number from 0."""
    arrays: Mapping[str, npt.NDArray] = field(repr=False)
    """Those of `FIELDS` that are there."""

    def get(self, name: str) -> npt.NDArray | None:
        """Return an array, or None."""
        return self.arrays.get(name)

    def rows(self, frames: tuple[str, ...]) -> npt.NDArray[np.int64]:
        """Return the row of each frame, -1 where it is not among them."""
        index = {name: number for number, name in enumerate(self.frames)}
        return np.array([index.get(name, -1) for name in frames], np.int64)


def save_predictions(path: Path, system: str, frames: tuple[str, ...],
                     arrays: Mapping[str, npt.ArrayLike]) -> None:
    """
    Write a file of predictions, or of truth.

    Raises:
        ConfigError: the arrays don't fit the format.
    """
    found: dict[str, Any] = {name: np.asarray(values) for name, values in arrays.items()}
    _check(found, len(frames), path.name)
    np.savez_compressed(path, format=np.array(FORMAT), system=np.array(system),
                        frames=np.array(frames), **found)


def load_predictions(path: Path) -> Predictions:
    """
    Return what a file holds.

    Raises:
        ConfigError: it is missing, or not in the format; names array and rule.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except OSError as error:
        raise ConfigError(f"predictions {path.name} can't be read: {why(error)}",
                          expected='an .npz file', next_step=_NEXT) from error
    except (ValueError, EOFError, TypeError, AttributeError, NotImplementedError, zlib.error,
            zipfile.BadZipFile, tokenize.TokenError) as error:
        # numpy's own words advise to unpickle it
        raise ConfigError(f'predictions {path.name}', state='no file of plain arrays',
                          expected='an .npz file without pickled objects',
                          next_step=_NEXT) from error
    if str(arrays.pop('format', '')) != FORMAT:
        raise ConfigError(f'predictions {path.name}', state='of another format, or without one',
                          expected=repr(FORMAT), next_step=_NEXT)
    system = str(arrays.pop('system', path.stem))
    frames = arrays.pop('frames', np.zeros(0))
    if frames.ndim != 1 or frames.dtype.kind != 'U' or len(set(frames.tolist())) != len(frames):
        raise ConfigError(f'predictions {path.name}, frames', got=(frames.shape, frames.dtype.str),
                          expected='(F,) text without doubles', next_step=_NEXT)
    _check(arrays, len(frames), path.name)
    return Predictions(system, tuple(frames.tolist()), arrays)


def touch_labels(truth: Predictions) -> FloatArray:
    """Return the truth (F,) about touch: 1, 0, or NaN where it says nothing."""
    said = truth.get('touch_probability')
    return np.full(len(truth.frames), np.nan) if said is None else np.asarray(said, np.float64)


def _check(arrays: Mapping[str, npt.NDArray], frames: int, name: str) -> None:
    """Refuse arrays that the format does not have, or has otherwise."""
    shapes = {'touch_probability': (frames,), 'face_regions': (frames,), 'hand_regions': (frames,),
              'head_vertices_m': (frames, -1, 3), 'head_faces': (-1, 3),
              'hand_vertices_m': (frames, -1, 3), 'joints_m': (frames, -1, 3),
              'seconds': (frames,)}
    for key, values in arrays.items():
        if key not in FIELDS:
            raise ConfigError(f'predictions {name}: array {key}', expected=', '.join(FIELDS),
                              next_step=_NEXT)
        wanted = shapes[key]
        kind = 'U' if key.endswith('regions') else 'iu' if key == 'head_faces' else 'fiu'
        fits = len(values.shape) == len(wanted) and all(
            w in (-1, found) for w, found in zip(wanted, values.shape))
        if not fits or values.dtype.kind not in kind:
            raise ConfigError(f'predictions {name}: array {key}',
                              got=(values.shape, values.dtype.str), expected=FIELDS[key],
                              next_step=_NEXT)
    chances = arrays.get('touch_probability')
    if chances is not None and ((chances < 0) | (chances > 1)).any():
        raise ConfigError(f'predictions {name}: touch_probability', state='beyond [0, 1]',
                          expected='0 to 1, or NaN', next_step=_NEXT)
    head, faces = arrays.get('head_vertices_m'), arrays.get('head_faces')
    if head is not None and faces is not None and faces.size and not (
            faces.min() >= 0 and faces.max() < head.shape[1]):
        raise ConfigError(f'predictions {name}: head_faces', got=(int(faces.min()),
                                                                  int(faces.max())),
                          expected=f'indices from 0 to {head.shape[1] - 1}', next_step=_NEXT)
