# SPDX-License-Identifier: Apache-2.0
"""The two residual blocks that HRNet is made of (specification, section 2)."""
from __future__ import annotations

from torch import Tensor, nn


def conv_norm(given: int, wanted: int, size: int, stride: int = 1, *,
              bias: bool = False) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """Return a convolution of `size` x `size` and its batch norm; padding keeps the borders."""
    return (nn.Conv2d(given, wanted, size, stride, size // 2, bias=bias),
            nn.BatchNorm2d(wanted, eps=1e-5))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; (N, C, H, W) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_norm(channels, channels, 3)
        self.conv2, self.bn2 = conv_norm(channels, channels, 3)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W)."""
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + x)


class Bottleneck(nn.Module):
    """
    A 1x1, a 3x3 and a 1x1 convolution and a shortcut; (N, given, H, W) to (N, 4 planes, H, W).

    The shortcut has a convolution of its own where the channels differ.
    """

    def __init__(self, given: int, planes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_norm(given, planes, 1)
        self.conv2, self.bn2 = conv_norm(planes, planes, 3)
        self.conv3, self.bn3 = conv_norm(planes, 4 * planes, 1)
        self.relu = nn.ReLU()
        self.downsample = (nn.Identity() if given == 4 * planes
                           else nn.Sequential(*conv_norm(given, 4 * planes, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 4 planes, H, W)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))
