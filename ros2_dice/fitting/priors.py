# SPDX-License-Identifier: Apache-2.0
"""What is known before the picture is looked at."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SizePrior:
    """Natural logarithm of a body's size against the mean body, and its standard deviation."""

    log_scale: float = 0.0
    sigma: float = 0.04
