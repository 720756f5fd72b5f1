# SPDX-License-Identifier: Apache-2.0
"""Options that several verbs about engines share, each named after a parameter of the node."""
from __future__ import annotations

from typing import Annotated

import typer

Device = Annotated[str, typer.Option('--device', help='Value of backend.device.')]
Directory = Annotated[str, typer.Option('--directory', help='Value of model.directory.')]
CacheDirectory = Annotated[str, typer.Option(
    '--cache-directory', help='Value of backend.cache_directory.')]
ModelOrFormula = Annotated[str, typer.Option(
    '--model', help='An imported model; empty = made-up weights of the same sizes.')]
