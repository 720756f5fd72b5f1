# SPDX-License-Identifier: Apache-2.0
"""Which tensors of a published checkpoint the network reads (specification, section 9)."""
from __future__ import annotations

import re

_DEAD = re.compile(
    r'backbone\.classifier\.'
    r'|(trans|deform)_encoder\.\d+\.bert\.(embeddings|pooler)\.'
    r'|.*\.num_batches_tracked$')


def is_dead(name: str) -> bool:
    """
    Tell whether no output depends on a tensor of the official state_dict.

    Dead are the backbone's classifier, the word embeddings and poolers that the transformers
    inherit from a language model, and the counters of the batch norms.
    """
    return _DEAD.match(name) is not None
