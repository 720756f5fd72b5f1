# SPDX-License-Identifier: Apache-2.0
"""
The `ros2-dice` command.

Each verb lives in a module of its own that holds a `typer.Typer` named `app` with one command, or
with a callback and sub-commands. The modules are imported when their verb is called, so that
`--help` is quick and a missing optional package breaks only the verb that needs it.
"""
from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from ros2_dice.errors import ConfigError, DiceError

VERBS = {
    'demo': 'Run camera, node and recorder on a clip, picture, bag or camera; show the result.',
    'estimate': 'Estimate pictures without ROS: overlay, meshes and JSON for each.',
    'assets': 'Show the files that the estimators need; fetch what is missing.',
    'import': 'Read your DICE weights and bodies into a folder that the node can load.',
    'build-engine': 'Build the fastest engine that is fine enough for an imported model.',
    'doctor': 'Say what is installed, what can run here, and how to get the rest.',
    'benchmark': 'Time an estimator on a clip, stage by stage.',
    'evaluate': 'Say how good an estimator is, on labels and on generated truth.',
    'parameters': "Print the table of the node's parameters.",
    'version': 'Print the version.',
}
"""Verb to its line in the help; module `ros2_dice.cli.<verb>`, but for those of `_MODULES`."""

_MODULES = {'import': 'import_weights', 'build-engine': 'build_engine'}
"""Verbs that can't be the name of a module."""

EXAMPLES = """
[bold]Examples[/bold]

  ros2-dice demo --out demo_out            [dim]the shipped clip, over ROS topics[/dim]

  ros2-dice demo --source talk.mp4 --out talk_out --view

  ros2-dice estimate photos/*.jpg --out results

  ros2-dice assets pull                    [dim]fetch the networks once[/dim]

  ros2-dice doctor                         [dim]what can run here[/dim]
"""

DEBUG_VARIABLE = 'ROS2_DICE_DEBUG'


class LazyCommand(TyperCommand):
    """Stands for a verb in the help; becomes the real command when it is called."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None,
                     **extra: Any) -> Any:
        """Import the verb's module and let its own command read the arguments."""
        command = load_verb(cast(str, self.name))
        return command.make_context(info_name, args, parent=parent, **extra)


class VerbGroup(TyperGroup):
    """The verbs of `VERBS`, in that order."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the stand-in of a verb, or None for an unknown one."""
        if cmd_name not in VERBS:
            return None
        return LazyCommand(cmd_name, help=VERBS[cmd_name])


def load_verb(verb: str) -> Any:
    """
    Return the command object of a verb.

    Raises:
        ConfigError: a Python package that it needs is not installed.
    """
    try:
        module = importlib.import_module(f'ros2_dice.cli.{_MODULES.get(verb, verb)}')
    except ImportError as error:
        if debugging():
            raise
        raise ConfigError(f"ros2-dice {verb} can't start: {error}",
                          next_step='ros2-dice doctor lists what is missing') from error
    command = typer.main.get_command(module.app)
    _let_help_flow(command)
    return command


def _let_help_flow(command: Any) -> None:
    """Join the lines of each paragraph: docstrings break them where the source is full."""
    command.help = re.sub(r'(?<!\n)\n(?!\n)', ' ', command.help or '')
    for below in getattr(command, 'commands', {}).values():
        _let_help_flow(below)


app = typer.Typer(cls=VerbGroup, no_args_is_help=True, rich_markup_mode='rich', epilog=EXAMPLES,
                  context_settings={'help_option_names': ['-h', '--help']},
                  pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        from ros2_dice import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
        debug: Annotated[bool, typer.Option(
            '--debug', envvar=DEBUG_VARIABLE,
            help='Show the traceback of an error.')] = False,
        version: Annotated[bool, typer.Option(
            '--version', callback=_print_version, is_eager=True,
            help='Print the version.')] = False) -> None:
    """Hand mesh, face mesh, their contact and the face's deformation from camera images."""
    if debug:
        os.environ[DEBUG_VARIABLE] = '1'  # children of `demo` see it, too


def debugging() -> bool:
    """Tell whether tracebacks are wanted."""
    return os.environ.get(DEBUG_VARIABLE, '') not in ('', '0')


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error is one line on stderr and exit status 1."""
    command = typer.main.get_command(app)
    try:
        command.main(args=None if arguments is None else list(arguments), prog_name='ros2-dice')
    except DiceError as error:
        if debugging():
            raise
        print(f'ros2-dice: {error}', file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:  # a disk that filled up meanwhile, a file that went
        if debugging():
            raise
        print(f'ros2-dice: {error}', file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == '__main__':
    main()
