# SPDX-License-Identifier: Apache-2.0
"""Which engine runs the network of an imported model."""
from __future__ import annotations

from ros2_dice.dice.choosing import Upgrade
from ros2_dice.dice.imported import ImportedModel
from ros2_dice.dice.rungs import INPUT, SHAPE, Weights
from ros2_dice.errors import EstimatorError
from ros2_dice.parameters import Settings
from ros2_dice.runtime import Engine, usable_threads


def engine_for(model: ImportedModel, settings: Settings) -> Engine:
    """
    Return the best engine that `backend.*` admits and that is there, loaded and warm.

    It is an `Upgrade`, which can build a better one and change over to it, but for the token mask.

    Args:
        model: an imported model.
        settings: `backend.*` and `dice.random_token_mask` are read.

    Raises:
        ConfigError: `backend.device` is none.
        EstimatorError: an engine is asked for that can't draw the token mask.
        EngineError: nothing that is asked for can run here; the message says why.
    """
    if not (settings.flag('dice.random_token_mask') or settings.flag('dice.official_demo')):
        return Upgrade(Weights.of(model), settings)
    # The mask is drawn anew for each picture, so nothing can be built ahead.
    allowed = {'backend.name': ('auto', 'torch'), 'backend.device': ('auto', 'cpu'),
               'backend.precision': ('auto', 'fp32')}
    for name, values in allowed.items():
        if settings.text(name) not in values:
            raise EstimatorError(f'parameter {name} with the token mask of the published script',
                                 got=settings.text(name), expected=' or '.join(values))
    from ros2_dice.dice.network import DiceNetwork, DiceOutput
    from ros2_dice.dice.token_mask import mask_tokens
    from ros2_dice.runtime.torch_engine import TorchEngine

    network = DiceNetwork.from_tensors(model.tensors, model.references, model.heads).eval()
    mask_tokens(network)
    threads = settings.integer('backend.threads') or usable_threads()
    return TorchEngine(network, INPUT, (1, *SHAPE), DiceOutput._fields, threads=threads)
