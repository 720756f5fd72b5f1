# SPDX-License-Identifier: Apache-2.0
"""One line for each compared array, and the verdict."""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Report:
    """Differences from stored numbers, printed as they are found."""

    failed: list[str] = field(default_factory=list)
    compared: int = 0

    def compare(self, name: str, value: np.ndarray, stored: np.ndarray, bound: float) -> None:
        """Print the largest absolute difference of an array and note whether it is in bounds."""
        self.compared += 1
        if value.shape != stored.shape:
            print(f'{name:28s} shape {value.shape}, stored {stored.shape}  FAILED')
            self.failed.append(name)
            return
        difference = float(np.abs(value.astype(np.float64) - stored).max(initial=0.0))
        good = difference <= bound  # false for NaN
        print(f'{name:28s} {difference:9.2e}  (bound {bound:.0e})' + ('' if good else '  FAILED'))
        if not good:
            self.failed.append(name)

    def finish(self) -> int:
        """Print the verdict and return the exit status."""
        if not self.compared:
            print('nothing to compare in this file')
            return 1
        if self.failed:
            print(f'FAILED: {len(self.failed)} of {self.compared} beyond the bounds: '
                  + ', '.join(self.failed))
            return 1
        print(f'all {self.compared} within the bounds')
        return 0
