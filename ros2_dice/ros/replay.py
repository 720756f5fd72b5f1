# SPDX-License-Identifier: Apache-2.0
"""
Replay: bag, clip or pictures through the node into a bag, as processes.

    python -m ros2_dice.ros.replay images:=clip.mp4 output:=result.mcap

replay.launch.py reads the same list. By default the source waits for each result, so that every
image is processed and the same input gives the same messages.
"""
from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ros2_dice.errors import ConfigError
from ros2_dice.parameters import Value
from ros2_dice.ros.arguments import ARGUMENTS, Argument, check_arguments, parse_words
from ros2_dice.ros.processes import Process, added_environment, processes, run

SETTLE_S = 1.0
"""Between the last result and the end of node and recorder [s]."""

_OF_THE_NODE = ('namespace', 'name', 'params_file', 'params_profile', 'model', 'backend', 'device',
                'precision', 'rviz', 'log_level')

REPLAY_ARGUMENTS: Mapping[str, Argument] = {argument.name: argument for argument in (
    Argument('bag', 'Recording to play: a rosbag2 folder or an MCAP file.'),
    Argument('images', 'Picture, folder of pictures or clip to play instead of a bag.'),
    Argument('topic', 'Image topic in the bag (default: the one with most messages).'),
    Argument('rate', 'Speed: 1 = real time; images may then be dropped. 0 = wait for each result.',
             default='0'),
    Argument('output', 'MCAP file to write; it must not exist. Empty = record nothing.'),
    *(ARGUMENTS[name] for name in _OF_THE_NODE),
)}


def replay_processes(given: Mapping[str, str]) -> list[Process]:
    """
    Return source, node, and recorder and RViz where wanted. Done when the source ends.

    Args:
        given: the arguments that were given; an empty value counts as not given.

    Raises:
        ConfigError: an unknown argument, a value that is not allowed, no or two inputs.
        ImageError: the input can't be read.
    """
    from ros2_dice.ros.inputs import open_source

    words = check_arguments(given, REPLAY_ARGUMENTS)
    inputs = [words[name] for name in ('bag', 'images') if name in words]
    if len(inputs) != 1:
        raise ConfigError('both bag and images were given' if inputs
                          else 'neither bag nor images was given',
                          expected='one of them: what to play',
                          next_step='bag:=FOLDER_OR_MCAP, or images:=PICTURES_OR_CLIP')
    path = Path(inputs[0]).expanduser().resolve()
    if not path.exists():
        raise ConfigError('bag or images', got=inputs[0], expected='a file or folder that exists')
    rate = _rate(words.get('rate', REPLAY_ARGUMENTS['rate'].default))
    opened = open_source(str(path), topic=words.get('topic', ''))
    transport = opened.transport
    opened.close()

    node, *others = processes({
        **{name: word for name, word in words.items() if name in _OF_THE_NODE},
        'image_transport': transport, 'respawn': 'false'})
    paced: dict[str, Value] = {} if rate else {
        'input.reliable': True, 'input.queue_depth': 10, 'tracking.deterministic_ids': True}
    node = dataclasses.replace(
        node, parameters=({'input.max_age': 0.0, **paced}, *node.parameters))
    environment = added_environment()
    source = Process(
        'source_node', f'{node.name}_source', node.namespace, environment=environment,
        quiet=True, remappings=(('results', f'{node.name}/hand_face_meshes'),),
        parameters=({'source': str(path), 'topic': words.get('topic', ''), 'realtime': rate > 0,
                     'rate': rate or 1.0, 'subscribers': 2 if 'output' in words else 1},))
    found = [source, node, *others]
    if 'output' in words:
        output = Path(words['output']).expanduser().resolve()
        if output.exists():
            raise ConfigError('argument output', got=words['output'],
                              expected='a file that does not exist yet')
        found.append(Process(
            'recorder_node', f'{node.name}_recorder', node.namespace,
            environment=environment, quiet=True, parameters=({
                'path': str(output), 'node': node.name, 'image_transport': transport,
                'reliable_images': not rate},)))
    return found


def _rate(word: str) -> float:
    try:
        rate = float(word)
    except ValueError:
        rate = -1.0
    if not 0.0 <= rate <= 100.0:
        raise ConfigError('argument rate', got=word, expected='a number from 0 to 100')
    return rate


def main(words: Sequence[str] | None = None) -> int:
    """Replay what NAME:=VALUE words name; return the exit status."""
    given = parse_words(
        words, 'python -m ros2_dice.ros.replay',
        'Replay without the launch system. Arguments of replay.launch.py:', REPLAY_ARGUMENTS)
    return run(lambda: replay_processes(given), settle_s=SETTLE_S)


if __name__ == '__main__':
    sys.exit(main())
