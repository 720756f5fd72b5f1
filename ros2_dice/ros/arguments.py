# SPDX-License-Identifier: Apache-2.0
"""The arguments of the launch files and of the runner: one table each, checked in one way."""
from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ros2_dice.errors import ConfigError
from ros2_dice.parameters import PARAMETERS, Value


@dataclass(frozen=True)
class Argument:
    """One argument of a launch file."""

    name: str
    description: str
    default: str = ''
    choices: tuple[str, ...] = ()
    parameter: str = ''
    """The parameter that it sets when given."""
    topic: str = ''
    """The topic that it remaps when given."""


BOOLEAN = ('true', 'false')

ARGUMENTS: Mapping[str, Argument] = {argument.name: argument for argument in (
    Argument('image', 'Topic of the images (default: image).', topic='image'),
    Argument('camera_info', 'Topic of the calibration (default: camera_info).',
             topic='camera_info'),
    Argument('depth', 'Topic of aligned depth images; sets depth.enabled, which this version '
             'refuses.', topic='depth'),
    Argument('depth_camera_info', 'Topic of the depth calibration (default: depth/camera_info).',
             topic='depth/camera_info'),
    Argument('namespace', 'Namespace of the node and of relative topics.'),
    Argument('name', 'Name of the node.', default='dice'),
    Argument('params_file', 'Parameter file; config/dice.yaml is a complete one.'),
    Argument('params_profile', 'Parameters made for a kind of machine: cpu, gpu, jetson, network '
             'or none.', default='none', choices=('cpu', 'gpu', 'jetson', 'network', 'none')),
    Argument('model', 'Estimator: open, dice, or an imported folder (default: open).',
             parameter='model.id'),
    Argument('backend', 'Inference engine (default: auto).', parameter='backend.name'),
    Argument('device', 'auto, cpu or cuda:N (default: auto).', parameter='backend.device'),
    Argument('precision', 'Arithmetic of the network (default: auto).',
             parameter='backend.precision'),
    Argument('image_transport', 'raw or compressed (default: raw).', parameter='image_transport'),
    Argument('autostart', 'Configure and activate the node (default: true, unless a file says '
             'otherwise).', choices=BOOLEAN, parameter='autostart'),
    Argument('rviz', 'Start RViz with the layout of this package.', default='false',
             choices=BOOLEAN),
    Argument('log_level', 'Least level that is logged: debug, info, warn, error or '
             'fatal.', default='info', choices=('debug', 'info', 'warn', 'error', 'fatal')),
    Argument('use_sim_time', 'Take the time from /clock (default: false).', choices=BOOLEAN),
    Argument('respawn', 'Start the node again when it crashes (default: true).', default='true',
             choices=BOOLEAN),
)}


def check_arguments(given: Mapping[str, str],
                    table: Mapping[str, Argument] = ARGUMENTS) -> dict[str, str]:
    """
    Return the arguments with a value, checked.

    Args:
        given: names and words; an empty word counts as not given.
        table: the arguments there are.

    Raises:
        ConfigError: an unknown name, or a value that is not among the choices.
    """
    words: dict[str, str] = {}
    for name, value in given.items():
        if name not in table:
            raise ConfigError(f'argument {name}', state='unknown',
                              expected=f'one of {", ".join(table)}')
        if value == '':
            continue
        choices = table[name].choices
        if choices == BOOLEAN:
            value = value.lower()
        if choices and value not in choices:
            raise ConfigError(f'argument {name}', got=value,
                              expected=f'one of {", ".join(choices)}')
        words[name] = value
    return words


def parameter_value(name: str, word: str) -> Value:
    """
    Return the value that a word of the command line stands for, in the parameter's type.

    Raises:
        ConfigError: the parameter does not take it.
    """
    row = PARAMETERS[name]
    value: object = word
    try:
        if isinstance(row.default, bool):
            value = {'true': True, 'false': False}.get(word.lower(), word)
        elif isinstance(row.default, (int, float)):
            value = type(row.default)(word)
    except ValueError:
        pass  # the row says what is wrong
    return row.check(value)


def existing_file(argument: str, path: str) -> Path:
    """
    Return the absolute path of a file that was named by a user.

    Raises:
        ConfigError: there is no such file.
    """
    found = Path(path).expanduser().resolve()
    if not found.is_file():
        raise ConfigError(f'argument {argument}', got=path, expected='a file that exists')
    return found


def parse_words(words: Sequence[str] | None, program: str, about: str,
                table: Mapping[str, Argument] = ARGUMENTS) -> dict[str, str]:
    """
    Return what NAME:=VALUE words give, as `ros2 launch` reads them; --help lists the arguments.

    Args:
        words: the command line, None = that of this process.
        program: its name in the help.
        about: one line for the help.
        table: the arguments there are.
    """
    parser = argparse.ArgumentParser(
        prog=program, formatter_class=argparse.RawTextHelpFormatter,
        description=f'{about}\n\n' + '\n'.join(
            f'  {row.name:18}{row.description}' for row in table.values()))
    parser.add_argument('arguments', nargs='*', metavar='NAME:=VALUE')
    given = {}
    for word in parser.parse_args(words).arguments:
        name, separator, value = word.partition(':=')
        if not separator:
            parser.error(f'{word} is not NAME:=VALUE')
        given[name] = value
    return given
