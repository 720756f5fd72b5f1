# SPDX-License-Identifier: Apache-2.0
"""`ros2-dice version`."""
from __future__ import annotations

import typer

app = typer.Typer(add_completion=False)


@app.command()
def version() -> None:
    """Print the version."""
    from ros2_dice import __version__

    typer.echo(__version__)
