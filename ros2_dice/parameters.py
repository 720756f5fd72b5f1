# SPDX-License-Identifier: Apache-2.0
"""
The one table of parameters: names, types, defaults, ranges, what they mean, when they may change.

The table makes the ROS declarations (`ros2_dice.ros.parameters`), the validation here,
`config/dice.yaml` and the table in the README. Nothing else holds a default.
"""
from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ros2_dice.errors import ConfigError

Value = bool | int | float | str

ENCODINGS = (
    'auto', 'rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16', 'rgb16', 'bgr16', 'rgba16',
    'bgra16', 'yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv', 'nv12', 'nv21', 'bayer_rggb8',
    'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8', 'bayer_rggb16', 'bayer_bggr16', 'bayer_gbrg16',
    'bayer_grbg16')


@dataclass(frozen=True)
class Parameter:
    """One row of the table."""

    name: str
    default: Value
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Value, ...] = ()
    live: bool = False
    """True = may change while running, applied between frames."""
    unit: str = ''

    @property
    def type_name(self) -> str:
        """ROS name of the type: bool, int, double or string."""
        kinds = {bool: 'bool', int: 'int', float: 'double', str: 'string'}
        return kinds[type(self.default)]

    def check(self, value: object) -> Value:
        """
        Return the value in the parameter's own type.

        Raises:
            ConfigError: naming parameter, value and rule.
        """
        kind = type(self.default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            raise ConfigError(f'parameter {self.name}', got=value,
                              expected=f'the type {self.type_name}',
                              next_step='see config/dice.yaml')
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f'parameter {self.name}', got=value, expected='a finite number')
        if self.choices and value not in self.choices:
            allowed = ', '.join(str(choice) for choice in self.choices)
            raise ConfigError(f'parameter {self.name}', got=value, expected=f'one of {allowed}',
                              next_step='see config/dice.yaml')
        if self.low is not None and self.high is not None \
                and not self.low <= value <= self.high:  # type: ignore[operator]
            raise ConfigError(f'parameter {self.name}', got=value,
                              expected=f'{self.low:g} to {self.high:g} {self.unit}'.rstrip(),
                              next_step='see config/dice.yaml')
        return value  # type: ignore[return-value]


def _table() -> tuple[Parameter, ...]:
    p = Parameter
    return (
        p('model.id', 'open', 'Estimator: open, dice, or the name of an imported folder.'),
        p('model.directory', '', 'Folder of the weights; empty = the user data folder.'),
        p('backend.name', 'auto', 'Inference engine; auto logs the reason for its choice.',
          choices=('auto', 'tensorrt', 'tensorrt_rtx', 'cuda_graph', 'openvino', 'onnx', 'torch')),
        p('backend.device', 'auto', 'auto, cpu or cuda:N.'),
        p('backend.precision', 'auto', 'Arithmetic of the network.',
          choices=('auto', 'fp32', 'fp16', 'bf16', 'int8')),
        p('backend.threads', 0, 'CPU threads; 0 = what affinity and quota allow.', 0, 256),
        p('backend.build_if_missing', True,
          'Build a better engine in the background; false = run what is built.'),
        p('backend.cache_directory', '',
          'Folder of built engines, writable only by the user; empty = the user cache folder.'),
        p('backend.memory_limit', 0, "Cap on torch's memory on the GPU; 0 = none.", 0, 262144,
          unit='MiB'),
        p('image_transport', 'raw', 'Subscribe to image, or to image/compressed.',
          choices=('raw', 'compressed')),
        p('input.timeout', 2.0, 'Without an image for so long the input is stale and touches end.',
          0.1, 60.0, live=True, unit='s'),
        p('input.max_age', 0.5, 'Older images are dropped; 0 = never (bags).', 0.0, 10.0,
          live=True, unit='s'),
        p('input.max_rate', 0.0, 'Cap on processed images; 0 = as fast as possible.', 0.0, 240.0,
          live=True, unit='Hz'),
        p('input.queue_depth', 1,
          'Images kept while one is processed; 1 = newest wins, more for paced files.', 1, 1000),
        p('input.reliable', False,
          'Ask the camera topic for reliable delivery; for paced files, not for cameras.'),
        p('input.encoding', 'auto', 'Overrides the encoding named in the message.',
          choices=ENCODINGS),
        p('input.sample_bits', 16,
          'Bits that 16-bit samples really have, from the lowest: 12 for many cameras.',
          8, 16, live=True),
        p('input.rotation', 0, 'Clockwise turn that makes the picture upright.',
          choices=(0, 90, 180, 270), live=True, unit='deg'),
        p('input.mirrored', False, 'The picture is a mirror image (selfie view).', live=True),
        p('input.use_camera_info', True, 'false = assume camera.horizontal_fov.'),
        p('camera.horizontal_fov', 1.05,
          'Nominal field of view along the longer side, used without calibration.', 0.2, 2.9,
          live=True, unit='rad'),
        p('depth.enabled', False, 'Subscribe to an aligned depth image.'),
        p('depth.scale', 0.001, 'Metres per unit of 16UC1; 32FC1 is metres.', 1e-6, 1.0,
          unit='m'),
        p('depth.max_difference', 0.05, 'Largest stamp difference of image and depth.', 0.0, 1.0,
          live=True, unit='s'),
        p('scale.hand_length', 0.0, 'Wrist to middle tip of this person; 0 = mean anatomy.',
          0.0, 0.3, live=True, unit='m'),
        p('scale.interpupillary_distance', 0.0, 'Eye to eye of this person; 0 = mean anatomy.',
          0.0, 0.09, live=True, unit='m'),
        p('scale.hand_to_head', 0.0, "This person's hand size over head size, 1 = mean anatomy; "
          '0 = learnt while hands come to the face (see ~/diagnostics).', 0.0, 1.5, live=True),
        p('scale.hand_to_head_stddev', 0.03, 'One sigma of scale.hand_to_head, as a fraction.',
          0.005, 0.2, live=True),
        p('detection.face_threshold', 0.5, 'Score from which a face counts.', 0.0, 1.0, live=True),
        p('detection.hand_threshold', 0.5, 'Score from which a hand counts.', 0.0, 1.0, live=True),
        p('detection.max_persons', 1, 'Persons followed at a time.', 1, 8, live=True),
        p('detection.hands', 'both', 'Which hands to look for.',
          choices=('both', 'left', 'right'), live=True),
        p('detection.crop_margin', 0.2, 'Margin of the crop, as a fraction of its box.', 0.0, 1.0,
          live=True),
        p('contact.threshold', 0.5, 'Probability from which ~/contacts and markers show a touch.',
          0.01, 0.99, live=True),
        p('contact.min_area', 1e-5, 'Smaller touched areas are left out of ~/contacts.',
          0.0, 0.01, live=True, unit='m^2'),
        p('tracking.enabled', True, 'Follow people between frames.', live=True),
        p('tracking.timeout', 0.3, 'Keep predicting a lost hand or face for so long.', 0.0, 5.0,
          live=True, unit='s'),
        p('tracking.deterministic_ids', False, 'Ids a0000, a0001, ... instead of random ones; '
          'they begin again at a reset, and no touch ends by the clock.'),
        p('smoothing.enabled', True, 'One-euro filter over pose, shape and angles.', live=True),
        p('smoothing.min_cutoff', 1.0,
          'Cutoff at rest; lower = calmer. Noisy landmarks lower it further.', 0.01, 30.0,
          live=True, unit='Hz'),
        p('smoothing.beta', 15.0, 'Opening of the filter with speed; higher = less lag.', 0.0,
          100.0, live=True, unit='Hz/(m/s)'),
        p('dice.official_demo', False,
          'Do as the published script does: all of the quirks below, their own values unread.'),
        p('dice.presence_gate', True, 'No deformation while hand and face do not touch.',
          live=True),
        p('dice.presence_threshold', 0.5, 'Probability of touching from which the gate opens.',
          0.0, 1.0, live=True),
        p('dice.contacts_within_presence', True,
          'No vertex is likelier to touch than the hand as a whole.', live=True),
        p('dice.centre_crop', False,
          'Look at the middle of the picture, without detectors; one right hand.'),
        p('dice.exact_resize', False, "Pillow's filter to the last bit, else one grey level off.",
          live=True),
        p('dice.smooth_by_frame', False,
          "The script's filter, which counts frames from zero, in place of smoothing.*.",
          live=True),
        p('dice.random_token_mask', False,
          'Hide random tokens from the network, as in training; torch in fp32 only.'),
        p('output.level_of_detail', 0, '0 full, 1 medium, 2 coarse.', 0, 2, live=True),
        p('output.vertices', True, 'Fill the vertices.', live=True),
        p('output.contact', True, 'Fill the contact probabilities.', live=True),
        p('output.deformation', True, 'Fill the deformation.', live=True),
        p('output.licensed_topology', True,
          'false = leave triangles and rest shape of licensed bodies out of ~/topologies.'),
        p('topology.republish_period', 10.0, 'Repeat of ~/topologies; 0 = only on change.',
          0.0, 3600.0, live=True, unit='s'),
        p('markers.rate', 10.0, 'Largest rate of ~/markers; 0 = every frame.', 0.0, 120.0,
          live=True, unit='Hz'),
        p('markers.level_of_detail', 2, 'Level of the meshes in ~/markers.', 0, 2, live=True),
        p('markers.lifetime', 0.0, 'Markers vanish after; 0 = three periods.', 0.0, 10.0,
          live=True, unit='s'),
        p('overlay.rate', 10.0, 'Largest rate of ~/overlay; 0 = every frame.', 0.0, 120.0,
          live=True, unit='Hz'),
        p('overlay.scale', 0.5, 'Size of the overlay against the image.', 0.1, 1.0, live=True),
        p('overlay.quality', 80, 'JPEG quality of ~/overlay/compressed.', 1, 100, live=True),
        p('tf.enabled', False, 'Send face_<id> and wrist_<id> frames.'),
        p('tf.prefix', '', 'Put before the names of these frames.'),
        p('hri.enabled', False, 'Publish ROS4HRI topics (needs hri_msgs).'),
        p('diagnostics.period', 1.0, 'Between diagnostics.', 0.1, 60.0, live=True, unit='s'),
        p('diagnostics.min_rate', 5.0, 'Below this output rate diagnostics warn.', 0.0, 240.0,
          live=True, unit='Hz'),
        p('diagnostics.topic', '/diagnostics', 'Where diagnostics go (REP-107).'),
        p('autostart', False, 'The node configures and activates itself.'),
    )


PARAMETERS: Mapping[str, Parameter] = {row.name: row for row in _table()}


class Settings(Mapping[str, Value]):
    """
    A complete, valid set of parameters; immutable.

    Args:
        values: those that differ from the defaults.

    Raises:
        ConfigError: for an unknown name or a value that its row refuses.
    """

    def __init__(self, values: Mapping[str, object] | None = None) -> None:
        self._values: dict[str, Value] = {n: row.default for n, row in PARAMETERS.items()}
        for name, value in (values or {}).items():
            if name not in PARAMETERS:
                raise unknown_parameter(name)
            self._values[name] = PARAMETERS[name].check(value)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def replace(self, values: Mapping[str, object]) -> Settings:
        """Return a copy with some values changed, all or none of them."""
        return Settings({**self._values, **values})

    def number(self, name: str) -> float:
        """Return an int or double parameter as a float."""
        value = self._values[name]
        assert not isinstance(value, str), name
        return float(value)

    def integer(self, name: str) -> int:
        """Return an int parameter."""
        value = self._values[name]
        assert isinstance(value, int), name
        return value

    def text(self, name: str) -> str:
        """Return a string parameter."""
        value = self._values[name]
        assert isinstance(value, str), name
        return value

    def flag(self, name: str) -> bool:
        """Return a bool parameter."""
        value = self._values[name]
        assert isinstance(value, bool), name
        return value


def unknown_parameter(name: str) -> ConfigError:
    """Return the error for a name that the table lacks; it names what may have been meant."""
    near = difflib.get_close_matches(name, PARAMETERS, n=1)
    # A name without its group, as in `threads` for backend.threads.
    near = near or [known for known in PARAMETERS if known.rpartition('.')[2] == name]
    meant = f'{" or ".join(near)} may be meant; ' if near else ''
    return ConfigError(f'parameter {name}', state='unknown',
                       expected='a name from config/dice.yaml',
                       next_step=f'{meant}ros2-dice parameters lists them')


def yaml_text() -> str:
    """Return config/dice.yaml: every parameter with its default, range and meaning."""
    lines = [
        '# Every parameter with its default. Made from the table in ros2_dice/parameters.py by',
        '# tools/write_parameters.py; a test compares the two.',
        '# [live] may change while the node runs; the others are read when it configures.',
        '/**:', '  ros__parameters:']
    group = ''
    for row in PARAMETERS.values():
        head, _, leaf = row.name.rpartition('.')
        if head != group and head:
            lines.append(f'    {head}:')
        group = head
        indent = '      ' if head else '    '
        notes = [f'{row.low:g} to {row.high:g}'] if row.low is not None else []
        notes += [' | '.join(map(str, row.choices))] if row.choices else []
        notes += [row.unit] if row.unit else []
        notes += ['[live]'] if row.live else []
        lines.append(f'{indent}# {row.description}' + (f' ({"; ".join(notes)})' if notes else ''))
        lines.append(f'{indent}{leaf or row.name}: {_yaml_value(row.default)}')
    return '\n'.join(lines) + '\n'


def markdown_table() -> str:
    """Return the README's table of parameters."""
    lines = ['| name | type | default | range | live | meaning |', '|---|---|---|---|---|---|']
    for row in PARAMETERS.values():
        span = ', '.join(map(str, row.choices)) if row.choices else (
            f'{row.low:g} to {row.high:g} {row.unit}'.rstrip() if row.low is not None else '')
        lines.append(f'| `{row.name}` | {row.type_name} | `{_yaml_value(row.default)}` | {span} | '
                     f'{"yes" if row.live else ""} | {row.description} |')
    return '\n'.join(lines) + '\n'


def _yaml_value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, float):
        text = f'{value:g}'  # yaml 1.1 reads 1e-05 as a string: needs a point
        if 'e' in text and '.' not in text:
            text = text.replace('e', '.0e')
        return text if '.' in text else text + '.0'
    return str(value)
