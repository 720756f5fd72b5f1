# SPDX-License-Identifier: Apache-2.0
"""Which estimator runs: loading it, changing it while the old one works, naming what failed."""
from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ros2_dice.errors import AssetError, DiceError, EngineError
from ros2_dice.estimator import Estimator, create_estimator, engine_keeper, learnt_sizes
from ros2_dice.parameters import Settings, Value

EstimatorFactory = Callable[[Settings], Estimator]


class ErrorCode(enum.IntEnum):
    """Values as in SetModel.srv and BuildEngine.action."""

    NONE = 0
    UNKNOWN = 1
    MODEL_NOT_FOUND = 2
    HASH_MISMATCH = 3
    BACKEND_UNAVAILABLE = 4
    PRECISION_UNSUPPORTED = 5
    OUT_OF_MEMORY = 6
    BUILD_FAILED = 7
    VERIFICATION_FAILED = 8
    CANCELED = 9
    BUSY = 10


def estimator_settings(settings: Settings) -> Settings:
    """Return what the estimator sees: the node itself turns and flips pictures upright."""
    return settings.replace({'input.rotation': 0, 'input.mirrored': False})


def error_code(error: BaseException) -> ErrorCode:
    """Return the code of SetModel and BuildEngine for a failure to load."""
    if isinstance(error, MemoryError):
        return ErrorCode.OUT_OF_MEMORY
    what = error.what if isinstance(error, DiceError) else ''
    if isinstance(error, AssetError):
        return ErrorCode.HASH_MISMATCH if what.startswith('sha256') else ErrorCode.MODEL_NOT_FOUND
    for prefix, code in (('parameter model.id', ErrorCode.MODEL_NOT_FOUND),
                         ('parameter backend.precision', ErrorCode.PRECISION_UNSUPPORTED),
                         ('parameter backend', ErrorCode.BACKEND_UNAVAILABLE)):
        if what.startswith(prefix):
            return code
    return ErrorCode.BACKEND_UNAVAILABLE if isinstance(error, EngineError) else ErrorCode.UNKNOWN


@dataclass
class Change:
    """A model that is being loaded beside the running one."""

    values: Mapping[str, Value]
    """Parameters that it changes."""
    done: threading.Event
    error: Exception | None = None


class ModelHost:
    """
    Holds the estimator in use; `current` belongs to the worker's thread while one runs.

    Args:
        factory: makes an estimator from settings.
        say: gets what estimators say of their engines, a line each, from any thread.
    """

    def __init__(self, factory: EstimatorFactory = create_estimator,
                 say: Callable[[str], object] = lambda line: None) -> None:
        self._factory = factory
        self._say = say
        self._loading = threading.Lock()
        self.current: Estimator | None = None

    @property
    def model_id(self) -> str:
        """Return the name of the model in use, empty = none."""
        return self.current.model_id if self.current is not None else ''

    def load(self, settings: Settings) -> Estimator:
        """
        Load what the settings name and use it from now on.

        Raises:
            DiceError: a file or an engine is missing or broken.
        """
        self.close()
        self.current = self._make(settings)
        return self.current

    def engine_report(self) -> Mapping[str, object]:
        """Return what is known of the engine in use and of one that is being built."""
        keeper = engine_keeper(self.current)
        return keeper.report if keeper is not None else {}

    def learnt_sizes(self) -> Mapping[str, str]:
        """Return what was learnt of people's sizes, by person_id."""
        return learnt_sizes(self.current)

    def take_built(self) -> None:
        """Look for a better engine that somebody else built; returns at once."""
        keeper = engine_keeper(self.current)
        if keeper is not None:
            keeper.take_built()

    def _make(self, settings: Settings) -> Estimator:
        """Return a loaded estimator; a better engine for it is built meanwhile."""
        estimator = self._factory(estimator_settings(settings))
        keeper = engine_keeper(estimator)
        if keeper is not None:
            keeper.listen(self._say)
            keeper.start_building()
        return estimator

    def change(self, settings: Settings, values: Mapping[str, Value],
               swap: Callable[[Estimator], None]) -> Change | None:
        """
        Load another model on a thread of its own; None when one is being loaded already.

        Args:
            settings: in use now.
            values: `model.id` and `backend.*` that are to change.
            swap: called with the new estimator on that thread; it must return after the new one
                is in use. When loading fails it is not called and the old one stays.
        """
        if not self._loading.acquire(blocking=False):
            return None
        change = Change(values, threading.Event())

        def run() -> None:
            try:
                swap(self._make(settings.replace(values)))
            except Exception as error:
                change.error = error
            finally:
                self._loading.release()
                change.done.set()

        threading.Thread(target=run, name='dice_loader', daemon=True).start()
        return change

    def close(self) -> None:
        """
        Release the model in use; it is not in use any more even where that fails.

        Raises:
            Exception: what the estimator raises.
        """
        estimator, self.current = self.current, None
        if estimator is not None:
            estimator.close()
