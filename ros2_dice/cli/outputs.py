# SPDX-License-Identifier: Apache-2.0
"""Where results go, looked at before the work that they cost; callbacks for typer's options."""
from __future__ import annotations

import os
from pathlib import Path

from ros2_dice.errors import ConfigError


def file_to_write(path: Path | None) -> Path | None:
    """
    Return the path of a file that can be written.

    Raises:
        ConfigError: it is a folder, its folder is missing, or this user may not write it.
    """
    if path is None:
        return None
    folder = path.absolute().parent
    problem = ('it is a folder' if path.is_dir()
               else f'there is no folder {folder}' if not folder.is_dir()
               else '' if os.access(path if path.exists() else folder, os.W_OK)
               else 'Permission denied')
    if problem:
        raise ConfigError(f"{path} can't be written ({problem})",
                          expected='a file that this user may write')
    return path


def folder_to_write(path: Path | None) -> Path | None:
    """
    Return the path of a folder that can be written, made where it was missing.

    Raises:
        ConfigError: it can't be made or written.
    """
    if path is None:
        return None
    try:
        path.mkdir(parents=True, exist_ok=True)
        problem = '' if os.access(path, os.W_OK) else 'Permission denied'
    except FileExistsError:
        problem = 'it is a file'
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise ConfigError(f"{path} can't be written ({problem})",
                          expected='a folder that this user may write')
    return path
