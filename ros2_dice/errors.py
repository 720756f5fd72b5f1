# SPDX-License-Identifier: Apache-2.0
"""
Errors that say what was wrong, what was expected and what to do next.

Every error carries its parts, so that a node can put them into diagnostics and a script into JSON.
"""
import sys
from pathlib import Path

EXTRAS = {
    'ros': 'rosbags',
    'view': 'rerun-sdk',
    'dice': 'packaging safetensors torch',
    'engines': 'onnx onnxruntime onnxscript',
    'tensorrt': 'onnx onnxruntime onnxscript tensorrt-rtx-cu13',
}
"""What the extras of pyproject.toml bring, without ROS; for who has no use for its metadata."""


class DiceError(Exception):
    """
    A failure with a next step.

    Args:
        what: the thing that is wrong, with its name.
        got: the value that was found, shown as Python would write it.
        state: instead of a value, how the thing is: words that go on after "is".
        expected: what would have been right.
        next_step: what to do about it, best a command.
    """

    def __init__(self, what: str, *, got: object = None, state: str = '', expected: str = '',
                 next_step: str = '') -> None:
        self.what = what
        self.got = got
        self.state = state
        self.expected = expected
        self.next_step = next_step
        super().__init__(self.text())

    def text(self) -> str:
        """Return the parts as one line."""
        line = self.what
        if self.state:
            line += f' is {self.state}'
        elif self.got is not None:
            line += f' is {self.got!r}'
        if self.expected:
            line += f'; expected {self.expected}'
        if self.next_step:
            line += f' ({self.next_step})'
        return line


def why(error: BaseException) -> str:
    """Return the reason of an error of another library, short enough for one of ours."""
    reason = getattr(error, 'strerror', None) or str(error).partition('\n')[0]
    return reason or type(error).__name__


def install_hint(extra: str) -> str:
    """
    Return the next step of somebody who lacks an extra of pyproject.toml.

    The package is in no index: pip takes it from a clone, with the versions that were tested. In a
    colcon workspace that would replace the distribution's numpy and hide the built package.
    """
    if built_by_colcon(Path(__file__)):
        return f'in the clone: pip install -c constraints-robot.txt {EXTRAS[extra]}'
    return f"in the clone: pip install -c constraints.txt -e '.[{extra}]'"


def built_by_colcon(module: Path, environment: str = sys.prefix) -> bool:
    """
    Return whether a module of this package lies in a ROS prefix that is no Python environment.

    Args:
        module: path <prefix>/lib/pythonX.Y/site-packages/ros2_dice/<module>.py.
        environment: prefix of the Python environment, whose packages pip has installed.
    """
    prefix = module.parents[4] if len(module.parents) > 4 else module.parent
    return (prefix / 'share' / 'ros2_dice' / 'package.xml').is_file() \
        and prefix.resolve() != Path(environment).resolve()


class ConfigError(DiceError):
    """A parameter has a value that its table row does not allow."""


class ImageError(DiceError):
    """A picture or an image message can't be read as what it says it is."""


class AssetError(DiceError):
    """A file that an estimator needs is missing, or is not the file that the manifest names."""


class EngineError(DiceError):
    """An inference engine can't be loaded or does not take the data it should."""


class EstimatorError(DiceError):
    """An estimator is broken; a picture without a person is not an error."""
