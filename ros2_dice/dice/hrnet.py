# SPDX-License-Identifier: Apache-2.0
"""
HRNet-W64 without its classifier: the picture's features (specification, section 2).

Up to four branches run side by side, each at half the size of the one before it; after every
module each branch receives the sum of all of them, brought to its own size.
"""
from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ros2_dice.dice.hrnet_blocks import BasicBlock, Bottleneck, conv_norm

CHANNELS = (64, 128, 256, 512)
"""Of the four branches, at 1/4, 1/8, 1/16 and 1/32 of the picture's size."""
FEATURES = 2048
GRID = 7
"""The feature map of a 224x224 picture has 7x7 cells."""
_HEAD_PLANES = (32, 64, 128, 256)
_MODULES = (1, 4, 3)
"""Number of modules with two, three and four branches."""
_BLOCKS = 4


class Module(nn.Module):
    """
    Run each branch through its blocks, then give each branch the sum of all.

    Args:
        count: number of branches, 2 to 4.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        channels = CHANNELS[:count]
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(_BLOCKS))) for width in channels)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_bring(source, target) for source in range(count))
            for target in range(count))
        self.relu = nn.ReLU()

    def forward(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Take and return one (N, C_i, H / 2^i, W / 2^i) for each branch."""
        branches = [blocks(x) for blocks, x in zip(self.branches, inputs)]
        fused = []
        for row in self.fuse_layers:
            assert isinstance(row, nn.ModuleList)
            total = row[0](branches[0])
            for layer, x in zip(list(row)[1:], branches[1:]):
                total = total + layer(x)
            fused.append(self.relu(total))
        return fused


def _bring(source: int, target: int) -> nn.Module:
    """Return what brings branch `source` to the channels and the size of branch `target`."""
    given, wanted = CHANNELS[source], CHANNELS[target]
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(*conv_norm(given, wanted, 1),
                             nn.Upsample(scale_factor=2 ** (source - target), mode='nearest'))
    # Halve once per level; channels change in the last step, which has no ReLU.
    halvings = [nn.Sequential(*conv_norm(given, given, 3, 2), nn.ReLU())
                for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, nn.Sequential(*conv_norm(given, wanted, 3, 2)))


def _grow(steps: nn.ModuleList, branches: Sequence[Tensor]) -> list[Tensor]:
    """Return one input per step: a new branch begins from the last of the given ones."""
    return [step(branches[min(index, len(branches) - 1)]) for index, step in enumerate(steps)]


class HRNet(nn.Module):
    """The whole backbone; parameter names are those of the published checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_norm(3, 64, 3, 2)
        self.conv2, self.bn2 = conv_norm(64, 64, 3, 2)
        self.relu = nn.ReLU()
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(3)))
        self.transition1 = nn.ModuleList((
            nn.Sequential(*conv_norm(256, CHANNELS[0], 3), nn.ReLU()),
            nn.Sequential(_halve(256, CHANNELS[1]))))
        self.stage2 = _modules(2)
        self.transition2 = _transition(2)
        self.stage3 = _modules(3)
        self.transition3 = _transition(3)
        self.stage4 = _modules(4)
        self.incre_modules = nn.ModuleList(
            nn.Sequential(Bottleneck(width, planes))
            for width, planes in zip(CHANNELS, _HEAD_PLANES))
        self.downsamp_modules = nn.ModuleList(
            nn.Sequential(*conv_norm(4 * planes, 8 * planes, 3, 2, bias=True), nn.ReLU())
            for planes in _HEAD_PLANES[:-1])
        self.final_layer = nn.Sequential(
            *conv_norm(4 * _HEAD_PLANES[-1], FEATURES, 1, bias=True), nn.ReLU())

    def forward(self, image: Tensor) -> Tensor:
        """Return features (N, 2048, 7, 7) of normalised pictures (N, 3, 224, 224)."""
        x = self.relu(self.bn1(self.conv1(image)))
        x = self.relu(self.bn2(self.conv2(x)))
        branches = self.stage2(_grow(self.transition1, [self.layer1(x)]))
        branches = self.stage3(_grow(self.transition2, branches))
        branches = self.stage4(_grow(self.transition3, branches))
        total = self.incre_modules[0](branches[0])
        for widen, halve, branch in zip(list(self.incre_modules)[1:], self.downsamp_modules,
                                        branches[1:]):
            total = widen(branch) + halve(total)
        return self.final_layer(total)


def _halve(given: int, wanted: int) -> nn.Sequential:
    return nn.Sequential(*conv_norm(given, wanted, 3, 2), nn.ReLU())


def _transition(count: int) -> nn.ModuleList:
    """Return steps that keep `count` branches and begin one more."""
    return nn.ModuleList((*(nn.Identity() for _ in range(count)),
                          nn.Sequential(_halve(CHANNELS[count - 1], CHANNELS[count]))))


def _modules(count: int) -> nn.Sequential:
    return nn.Sequential(*(Module(count) for _ in range(_MODULES[count - 2])))
