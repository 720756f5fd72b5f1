# SPDX-License-Identifier: Apache-2.0
"""
From the user's files to the folder of an imported model; or a folder of stand-ins.

Each file is hashed, then read through closed lists; the folder appears when all of it is on the
disk. The weights pass through one tensor at a time, so that memory stays far below their size.
"""
from __future__ import annotations

import contextlib
import io
import math
import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ros2_dice import __version__
from ros2_dice.assets.download import Progress, no_progress
from ros2_dice.assets.safetensors_file import write_safetensors
from ros2_dice.assets.store import stream_digest
from ros2_dice.assets.stored_zip import chunks, size_bytes
from ros2_dice.bodies import parametric_hand, parametric_head
from ros2_dice.bodies.body_file import (
    read_hand_file,
    read_head_file,
    read_landmark_file,
    read_neck_file,
)
from ros2_dice.bodies.parametric import with_levels
from ros2_dice.dice.checkpoint import DEFAULT_HEADS, Checkpoint, open_checkpoint
from ros2_dice.dice.folder import (
    FORMAT,
    HAND,
    HEAD,
    KIND,
    MANIFEST,
    REFERENCE,
    WEIGHTS,
    check_place,
    manifest_text,
    new_folder,
    write_synced,
)
from ros2_dice.dice.sources import SOURCES, options
from ros2_dice.dice.standin import standin_hand, standin_head, standin_references
from ros2_dice.dice.template import (
    HAND_COARSE,
    HEAD_COARSE,
    read_sampling,
    read_template,
    reference_arrays,
    shape_difference_m,
)
from ros2_dice.errors import AssetError

STANDIN_NOTE = ('STAND-IN: weights and bodies made by formula; every result is without meaning '
                'and serves only to try the way')
_LICENCE_NOTE = ('made from the files under "sources"; their licences hold for this folder: '
                 'non-commercial research, do not pass it on, do not put it into an image')


def import_model(sources: Mapping[str, Path], folder: Path,
                 progress: Progress = no_progress) -> dict[str, Any]:
    """
    Read the user's files into a folder and return its manifest.

    Args:
        sources: files by the keys of `SOURCES`; what is not there is listed as missing.
        folder: the new folder; an imported model of that name is replaced.
        progress: called with a text, the bytes done and the bytes in all.

    Raises:
        AssetError: a file is missing, refused or not what it should be; nothing is left behind.
    """
    if not sources:
        raise AssetError('nothing to import', expected='at least --checkpoint model.bin',
                         next_step='ros2-dice import --help; without the files: --stand-ins')
    check_place(folder)
    rows = dict(_hashed(sources, progress))
    facts: dict[str, Any] = {}
    progress('Reading the bodies', 0, 0)
    hand, head, references = _bodies(sources, facts)
    with contextlib.ExitStack() as opened:
        checkpoint = (opened.enter_context(open_checkpoint(sources['checkpoint']))
                      if 'checkpoint' in sources else None)
        dropped = _about(checkpoint, facts) if checkpoint else {}
        new = opened.enter_context(new_folder(folder))
        files = {name: _write_arrays(new / name, arrays) for name, arrays in (
            (REFERENCE, references), (HAND, hand), (HEAD, head)) if arrays}
        if checkpoint:
            files[WEIGHTS] = _write_weights(
                new / WEIGHTS, checkpoint.live(), _read_live(checkpoint, progress))
        return _finish(new, {
            'stand_in': False, 'note': _LICENCE_NOTE, 'files': files, 'sources': rows,
            'facts': facts, 'dropped': dropped, 'missing': _missing(sources)})


def import_standins(folder: Path, seed: int = 0, progress: Progress = no_progress
                    ) -> dict[str, Any]:
    """
    Fill a folder with weights and bodies made by formula and return its manifest.

    Args:
        folder: as for `import_model`.
        seed: of the formula.
        progress: as for `import_model`.

    Raises:
        AssetError: the folder can't be written.
    """
    from ros2_dice.dice import formula_weights

    with new_folder(folder) as new:
        progress('Making weights', 0, 0)
        tensors = {name: value.numpy() for name, value in formula_weights(seed).items()}
        shapes = {name: values.shape for name, values in tensors.items()}
        progress('Writing', 0, 0)
        files = {
            WEIGHTS: _write_weights(new / WEIGHTS, shapes, tensors.values()),
            REFERENCE: _write_arrays(new / REFERENCE, standin_references(seed)),
            HAND: _write_arrays(new / HAND, with_levels(standin_hand(seed))),
            HEAD: _write_arrays(new / HEAD, with_levels(standin_head(seed)))}
        return _finish(new, {
            'stand_in': True, 'note': STANDIN_NOTE, 'files': files, 'sources': {},
            'facts': {'form': 'formula', 'seed': seed, 'heads': DEFAULT_HEADS,
                      'heads_from': 'the published value', 'numbers': _numbers(shapes)},
            'dropped': {}, 'missing': []})


def _hashed(sources: Mapping[str, Path], progress: Progress
            ) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the manifest's row of every file."""
    total = sum(size_bytes(path) for path in sources.values())
    done = 0

    def seen(parts: Iterable[bytes], name: str) -> Iterator[bytes]:
        nonlocal done
        for part in parts:
            done += len(part)
            progress(f'Hashing {name}', done, total)
            yield part

    for key, path in sources.items():
        row = SOURCES[key]
        yield key, {'file': path.name, 'sha256': stream_digest(seen(chunks(path), path.name)),
                    'size_bytes': size_bytes(path), 'licence': row.licence, 'url': row.url}


def _bodies(sources: Mapping[str, Path], facts: dict[str, Any]
            ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the arrays of mano.npz, flame.npz and reference.npz; empty where files lack."""
    hand = read_hand_file(sources['mano']) if 'mano' in sources else {}
    head = _head(sources)
    steps = {key: read_sampling(sources[key], vertices, coarse) for key, vertices, coarse in (
        ('hand-transforms', parametric_hand.VERTICES, HAND_COARSE),
        ('head-transforms', parametric_head.VERTICES, HEAD_COARSE)) if key in sources}
    templates = {key: read_template(sources[key], vertices) for key, vertices in (
        ('hand-template', parametric_hand.VERTICES),
        ('head-template', parametric_head.VERTICES)) if key in sources}
    if not (hand and 'lmk_faces_idx' in head and len(steps) == 2):
        return hand, head, {}
    for key, body in (('hand-template', hand), ('head-template', head)):
        facts[key] = 'the body at zero parameters'
        if key in templates:
            apart_m = shape_difference_m(templates[key], body['v_template'])
            facts[key] = f'its file; {apart_m * 1e3:.3f} mm from the body at most'
        templates.setdefault(key, body['v_template'])
    return hand, head, reference_arrays(
        templates['hand-template'], templates['head-template'], hand, head,
        steps['hand-transforms'], steps['head-transforms'])


def _head(sources: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Return the arrays of flame.npz, with landmarks and neck as far as they are there."""
    if 'flame' not in sources:
        for key in ('landmarks', 'neck'):
            if key in sources:
                raise AssetError(f'--{key} is of no use without the head', expected='--flame, too')
        return {}
    # The small file first: what it refuses is refused before the large one is read.
    neck = read_neck_file(sources['neck']) if 'neck' in sources else np.zeros(0, np.int64)
    head = read_head_file(sources['flame'])
    if 'landmarks' in sources:
        head |= read_landmark_file(sources['landmarks'], len(head['faces']))
    return {**head, 'neck_idx': neck}


def _about(checkpoint: Checkpoint, facts: dict[str, Any]) -> dict[str, Any]:
    """Check a checkpoint, add what it says to the facts, and return what of it is left out."""
    checkpoint.check()
    facts |= {'form': checkpoint.form, 'heads': checkpoint.heads,
              'heads_from': 'the file' if checkpoint.heads_read
              else 'the published value; this form does not state it',
              'numbers': _numbers(checkpoint.live())}
    dead = checkpoint.dead()
    return {'numbers': _numbers(dead), 'tensors': sorted(dead)}


def _read_live(checkpoint: Checkpoint, progress: Progress) -> Iterator[np.ndarray]:
    shapes = checkpoint.live()
    total, done = 4 * _numbers(shapes), 0
    for name in shapes:
        values = checkpoint.array(name)
        yield values
        done += values.nbytes
        progress(f'Reading {checkpoint.label}', done, total)


def _write_weights(path: Path, shapes: Mapping[str, tuple[int, ...]],
                   arrays: Iterable[np.ndarray]) -> dict[str, Any]:
    digest, size = write_safetensors(path, shapes, arrays, {'made_by': f'ros2_dice {__version__}'})
    return {'sha256': digest, 'size_bytes': size}


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return write_synced(path, stream.getvalue())


def _missing(sources: Mapping[str, Path]) -> list[dict[str, Any]]:
    return [{'option': options([key]), 'what': row.feeds, 'needed': not row.instead,
             'instead': row.instead, 'url': row.url}
            for key, row in SOURCES.items() if key not in sources]


def _finish(new: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Write the manifest, which makes a model of the folder."""
    import torch

    files = document['files']
    document |= {
        'format': FORMAT, 'kind': KIND,
        'weights_hash': files[WEIGHTS]['sha256'] if WEIGHTS in files else '',
        'made_with': {'ros2_dice': __version__, 'numpy': np.__version__,
                      'python': platform.python_version(), 'torch': str(torch.__version__)}}
    write_synced(new / MANIFEST, manifest_text(document).encode())
    new.chmod(0o755)
    return document


def _numbers(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())
