# SPDX-License-Identifier: Apache-2.0
"""
Reader of the Decaf data set, in place: nothing of it is copied or converted.

Layout and conventions: decaf_spec.md, sections 3 and 4. Big arrays are memory-mapped, pickles go
through the closed list, counts have to agree. The body models are the user's own files in the data
set's `assets` folder; without them there is no geometry, only contact.
"""
from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ros2_dice.assets.closed_arrays import CONTAINERS
from ros2_dice.assets.closed_unpickler import read_pickle
from ros2_dice.assets.plain_file import read_bytes
from ros2_dice.assets.torch_file import TENSORS_IN_PICKLES, numbers_in_pickle
from ros2_dice.errors import AssetError, ConfigError

HEAD_VERTICES, HAND_VERTICES = 5023, 778
_NEXT = 'get it from the Decaf data set as its authors publish it'
_SUBJECT = re.compile(r'S\d+')
_HEAD = {'transl': 3, 'global_orient': 3, 'shape_params': 100, 'pose_params': 6,
         'expression_params': 50}
_HAND = {'betas': 10, 'transl': 3, 'global_orient': 3, 'hand_pose': 45}


@dataclass(frozen=True, eq=False)
class DecafCamera:
    """Pinhole camera of one view; lens distortion is left to the recording."""

    matrix: npt.NDArray[np.float64]
    """(3, 3) [px]."""
    rotation: npt.NDArray[np.float64]
    """(3, 3) world to camera."""
    translation_m: npt.NDArray[np.float64]
    """(3,) [m]."""


@dataclass(frozen=True, eq=False)
class DecafFrame:
    """Parameters and contact of one frame, as stored."""

    number: int
    head: Mapping[str, npt.NDArray[np.float64]]
    """`transl` [m], `global_orient` [rad], `shape_params`, `pose_params` [rad], ..."""
    hand: Mapping[str, npt.NDArray[np.float64]]
    """`betas`, `transl` [m], `global_orient` [rad], `hand_pose` (45,) coefficients."""
    deformation_m: npt.NDArray[np.float64]
    """(5023, 3) rest minus deformed, in the frame of the unposed head [m]."""
    touches: bool
    """Some vertex of the hand is in contact."""


class DecafSequence:
    """
    One subject, seen by one camera.

    Args:
        root: the split's folder.
        subject: e.g. S1.
        camera: e.g. 102.

    Raises:
        ConfigError: a file is missing; named with where it comes from.
    """

    def __init__(self, root: Path, subject: str, camera: str) -> None:
        self.subject, self.camera = subject, camera
        self._root = root
        self.video = _there(root / 'videos' / subject / f'{camera}.mp4')
        self.mask_video = _there(root / 'segmentations' / subject / f'{camera}.mp4')
        self.deformations = _mapped(root / 'deformations' / subject / 'deforms.npy',
                                    (HEAD_VERTICES, 3))
        self.hand_contact = _mapped(root / 'contacts' / subject / 'contacts_rh.npy',
                                    (HAND_VERTICES,))
        if len(self.deformations) != len(self.hand_contact):
            raise ConfigError(
                f'Decaf {self.name}: deforms.npy and contacts_rh.npy',
                state=f'{len(self.deformations)} and {len(self.hand_contact)} frames',
                expected='as many of each', next_step=_NEXT)

    @property
    def name(self) -> str:
        """Subject and camera."""
        return f'{self.subject}/{self.camera}'

    def __len__(self) -> int:
        return len(self.deformations)

    @cached_property
    def lens(self) -> DecafCamera:
        """The camera."""
        path = self._root / 'cameras' / self.subject / 'cameras.pkl'
        rows = {str(key).lstrip('0'): row for key, row in _table(path).items()}
        row = rows.get(self.camera.lstrip('0'))
        if not isinstance(row, Mapping):
            raise ConfigError(f'{path.name} of {self.subject}', got=sorted(rows),
                              expected=f'camera {self.camera} among them', next_step=_NEXT)
        matrix = _numbers(row, 'intrinsic', path)[:3, :3]
        extrinsic = _numbers(row, 'extrinsic', path)
        return DecafCamera(matrix, extrinsic[:3, :3], extrinsic[:3, 3])

    @cached_property
    def _parameters(self) -> Mapping[Any, Any]:
        return _table(self._root / 'params' / self.subject / 'params_smoothed.pkl')

    def frames(self, every: int = 1) -> Iterator[DecafFrame]:
        """
        Yield every so many frames.

        Raises:
            ConfigError: a frame has no parameters, or others than expected.
        """
        path = self._root / 'params' / self.subject / 'params_smoothed.pkl'
        for number in range(0, len(self), every):
            row = self._parameters.get(number, self._parameters.get(str(number)))
            if not isinstance(row, Mapping):
                raise ConfigError(f'{path.name} of {self.subject}',
                                  state=f'without frame {number}',
                                  expected=f'frames 0 to {len(self) - 1}', next_step=_NEXT)
            yield DecafFrame(
                number, _parameters(row, 'head', _HEAD, path),
                _parameters(row, 'right_hand', _HAND, path),
                np.asarray(self.deformations[number], np.float64),
                bool(np.asarray(self.hand_contact[number]).any()))


class DecafDataset:
    """
    The data set's folder.

    Args:
        folder: that holds `assets`, `train` and `test`.
        split: test or train.

    Raises:
        ConfigError: it is another folder.
    """

    def __init__(self, folder: Path, split: str = 'test') -> None:
        self.folder, self.root = folder, folder / split
        if not (self.root / 'videos').is_dir():
            raise ConfigError(f'Decaf data set {folder}', state=f'without {split}/videos',
                              expected='a folder with assets, train and test', next_step=_NEXT)

    @property
    def assets(self) -> Path:
        """Folder of the body models, which the user puts there."""
        return self.folder / 'assets'

    def sequences(self, cameras: tuple[str, ...] = ()) -> list[DecafSequence]:
        """
        Return subject by subject and camera by camera what is there.

        Args:
            cameras: only these; empty = all.

        Raises:
            ConfigError: there is none, or a file of one is missing.
        """
        wanted = {camera.lstrip('0') for camera in cameras}
        found = [DecafSequence(self.root, folder.name, video.stem)
                 for folder in sorted((self.root / 'videos').iterdir())
                 if _SUBJECT.fullmatch(folder.name)
                 for video in sorted(folder.glob('*.mp4'))
                 if not wanted or video.stem.lstrip('0') in wanted]
        if not found:
            raise ConfigError(f'Decaf data set {self.folder}',
                              state='without videos of these cameras',
                              expected='videos/S*/CAMERA.mp4', next_step=_NEXT)
        return found


def _there(path: Path) -> Path:
    if not path.is_file():
        raise ConfigError(f'Decaf data set: {"/".join(path.parts[-3:])} is missing',
                          next_step=_NEXT)
    return path


def _mapped(path: Path, shape: tuple[int, ...]) -> npt.NDArray:
    """Return a mapped array (frames, *shape)."""
    try:
        values = np.load(_there(path), mmap_mode='r', allow_pickle=False)
    except (OSError, ValueError, tokenize.TokenError) as error:
        raise ConfigError(f'Decaf data set: {path.name}', state='not to be read as an array',
                          expected='a .npy file of numbers', next_step=_NEXT) from error
    if values.shape[1:] != shape:
        raise ConfigError(f'Decaf data set: {path.name}', got=values.shape,
                          expected=f'(frames, {", ".join(map(str, shape))})', next_step=_NEXT)
    return values


def _table(path: Path) -> Mapping[Any, Any]:
    """Return the dictionary of a pickle, read through the closed list."""
    value = read_pickle(read_bytes(_there(path)), {**TENSORS_IN_PICKLES, **CONTAINERS}, path.name)
    if not isinstance(value, Mapping):
        raise AssetError(f'{path.name} holds no table', expected='a dictionary', next_step=_NEXT)
    return value


def _numbers(row: Mapping[Any, Any], name: str, path: Path) -> npt.NDArray[np.float64]:
    if name not in row:
        raise ConfigError(path.name, state=f'without {name}',
                          expected=f'{name} in each entry', next_step=_NEXT)
    return numbers_in_pickle(row[name], f'{path.name}: {name}').astype(np.float64)


def _parameters(row: Mapping[Any, Any], part: str, sizes: Mapping[str, int], path: Path
                ) -> dict[str, npt.NDArray[np.float64]]:
    table = row.get(part)
    found = {}
    for name, size in sizes.items():
        values = _numbers(table if isinstance(table, Mapping) else {}, name, path).ravel()
        if values.size != size or not np.isfinite(values).all():
            raise ConfigError(f'{path.name}: {part} {name}', got=values.shape,
                              expected=f'{size} finite numbers', next_step=_NEXT)
        found[name] = values
    return found
