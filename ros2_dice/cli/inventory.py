# SPDX-License-Identifier: Apache-2.0
"""What this machine has: packages, CPU, ROS, engines, estimators. Nothing here raises."""
from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
from pathlib import Path
from typing import Any

from ros2_dice.errors import install_hint

PACKAGES = (
    # distribution, what it is for, how to get it
    ('numpy', 'all', ''),
    ('scipy', 'fitting', ''),
    ('opencv-python-headless', 'pictures', ''),
    ('openvino', 'networks on the CPU', ''),
    ('torch', 'DICE: to import weights and build engines', install_hint('dice')),
    ('onnxruntime', 'DICE without OpenVINO', install_hint('engines')),
    ('tensorrt-rtx-cu13', 'DICE on a GPU', install_hint('tensorrt')),
    ('av', 'clips', ''),
    ('trimesh', 'mesh files', ''),
    ('rosbags', 'bags', install_hint('ros')),
    ('rerun-sdk', 'demo --view', install_hint('view')),
)
_STAND_INS = {'opencv-python-headless': ('cv2', ('opencv-python', 'opencv-contrib-python-headless',
                                                 'opencv-contrib-python'))}
"""Distribution to its module, and others that bring the same; a distribution's package may be
without metadata of pip's."""


def inventory(directory: str = '', every_byte: bool = False) -> dict[str, Any]:
    """
    Return what is here, ready for JSON.

    Args:
        directory: parameter `model.directory`.
        every_byte: hash imported models; False = compare the sizes of their files.
    """
    from ros2_dice import __version__
    from ros2_dice.assets import data_folder
    from ros2_dice.share import share_folder

    engines = _engines()
    return {
        'version': __version__,
        'share_folder': str(share_folder()),
        'data_folder': str(data_folder(directory)),
        'machine': _machine(),
        'packages': [{'name': name, 'version': _version(name), 'for': use,
                      'get': get or f'pip install {name}'} for name, use, get in PACKAGES],
        'ros': _ros(),
        'engines': engines,
        'estimators': _estimators(directory, bool(engines['openvino']['ready']), every_byte),
    }


def _machine() -> dict[str, Any]:
    from ros2_dice.runtime.processor import INSTRUCTIONS, processor_flags, processor_name
    from ros2_dice.runtime.threads import usable_threads

    driver = re.search(r'(\d+\.\d+(?:\.\d+)?)', _read('/proc/driver/nvidia/version'))
    try:
        shared_mb: int | None = shutil.disk_usage('/dev/shm').free // 1_000_000
    except OSError:
        shared_mb = None
    return {
        'python': platform.python_version(),
        'system': f'{platform.system()} {platform.machine()}',
        'cpu': processor_name(),
        'threads': usable_threads(),
        'instructions': {name: name in processor_flags()
                         for name in INSTRUCTIONS.get(platform.machine(), ())},
        'shared_memory_mb': shared_mb,
        'nvidia_driver': driver[1] if driver else '',
    }


def _ros() -> dict[str, Any]:
    return {
        'rclpy': _can_find('rclpy'),
        'messages': _can_find('ros2_dice.msg'),
        'distribution': os.environ.get('ROS_DISTRO', ''),
        'middleware': os.environ.get('RMW_IMPLEMENTATION', '') or 'the default',
        'get': f'without a ROS installation: {install_hint("ros")}; on a robot: source its '
               'setup.bash and build with colcon (README)',
    }


def _engines() -> dict[str, Any]:
    """Return of each engine whether it can run here, in what precision, or what it lacks."""
    from ros2_dice.runtime.onnx_rung import OnnxRung
    from ros2_dice.runtime.openvino_rung import OpenVinoRung
    from ros2_dice.runtime.rung import Referee, Rung
    from ros2_dice.runtime.tensorrt_rung import TensorRtRung
    from ros2_dice.runtime.torch_rung import TorchRung

    referee = Referee(_never, lambda *_: {}, {})
    rungs: list[Rung] = [
        TensorRtRung('tensorrt', _never), TensorRtRung('tensorrt_rtx', _never),
        *(TorchRung(_never, '', (), (), device='cuda:0', precision=precision)
          for precision in ('fp16', 'fp32')),
        *(OpenVinoRung(precision, _never, referee, threads=1)
          for precision in ('int8', 'bf16', 'fp32')),
        OnnxRung(_never, threads=1), TorchRung(_never, '', (), ())]
    rows: dict[str, Any] = {}
    for rung in rungs:
        try:
            problem = rung.obstacle()
        except Exception as error:  # a broken binary raises anything: say so and go on
            problem = f'{type(error).__name__}: {error}'.splitlines()[0]
        row = rows.setdefault(rung.name, {'ready': False, 'precisions': [], 'note': ''})
        if problem:
            row['note'] = row['note'] or problem
        else:
            row['ready'] = True
            row['precisions'].append(rung.precision)
    for row in rows.values():
        if row['ready']:
            lacking = f'; {row["note"]}' if row['note'] else ''
            row['note'] = ', '.join(row['precisions']) + lacking
    return rows


def _never(*_: object) -> Any:
    """Stand for a network: nothing is built or loaded here."""
    raise NotImplementedError


def _estimators(directory: str, engine: bool, every_byte: bool) -> dict[str, Any]:
    from ros2_dice.assets import check_asset, missing_assets
    from ros2_dice.assets.store import Condition, remedy

    gaps = [{'name': asset.name, 'state': state.value,
             'next_step': remedy(asset, directory, force=state is Condition.CORRUPTED)}
            for asset in missing_assets('open', directory)
            for state in (check_asset(asset, directory),)]
    note = 'ros2-dice assets pull' if gaps else '' if engine else 'needs openvino'
    return {'open': {'ready': engine and not gaps, 'missing': gaps, 'note': note},
            **_imported(directory, engine and not gaps, every_byte)}


def _imported(directory: str, eyes: bool, every_byte: bool) -> dict[str, Any]:
    """
    Return a row for each imported DICE model, or one that says how to get one.

    Args:
        directory: parameter `model.directory`.
        eyes: whether the open networks can run, which find the hand and the face for DICE.
        every_byte: see `inventory`.
    """
    from ros2_dice.cli.assets import checked
    from ros2_dice.dice import ModelState, check_imported, imported_folders

    torch = _can_find('torch')
    rows: dict[str, Any] = {}
    for folder in imported_folders(directory):
        status = check_imported(folder, every_byte=every_byte)
        whole = status.state is ModelState.PRESENT
        missing = [] if whole else [{'name': status.name, 'state': status.state.value,
                                     'next_step': status.next_step}]
        notes = [f'weights {status.weights_hash[:12]}' if status.weights_hash else '',
                 checked(every_byte) if whole else '', status.note,
                 '' if torch else f'needs torch, {install_hint("dice")}',
                 '' if eyes else 'needs what the open estimator needs']
        rows[status.name] = {'ready': whole and torch and eyes, 'missing': missing,
                             'note': '; '.join(filter(None, notes))}
    if not rows:
        rows['dice'] = {'ready': False, 'missing': [], 'note': 'no weights imported: '
                        'ros2-dice import --from FOLDER, docs/bring_your_own_weights.md; '
                        'to try it without: ros2-dice import --stand-ins'}
    return rows


def _version(distribution: str) -> str:
    module, others = _STAND_INS.get(distribution, ('', ()))
    for name in (distribution, *others):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if module and _can_find(module):
        return str(getattr(importlib.import_module(module), '__version__', 'there'))
    return ''


def _can_find(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors='replace')
    except OSError:
        return ''
