"""Networks of every kind that activations must be seen in: convolutional, residual, recurrent, attention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from goalscope.policies.checkpoint import load
from goalscope.policies.compact import Compact
from goalscope.policies.drc import DRC, RecurrentOutput
from goalscope.policies.emergent_planning.resnet import EmergentResNet
from goalscope.policies.impala import Impala
from goalscope.policies.impala.others import Nature, RecurrentImpala
from goalscope.policies.learned_planner.resnet import GuezResNet
from goalscope.policies.maia3 import Maia3
from goalscope.worlds.sokoban import Sokoban


class ConvLSTM(nn.Module):
    """One convolutional LSTM cell, three ticks on the same input, then a head."""

    class Cell(nn.Module):
        def __init__(self, inputs: int, channels: int):
            super().__init__()
            self.gates = nn.Conv2d(inputs + channels, 4 * channels, 3, padding=1)

        def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            i, f, o, g = self.gates(torch.cat([x, state[0]], 1)).chunk(4, 1)
            c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            return h, (h, c)

    def __init__(self, ticks: int = 3):
        super().__init__()
        self.ticks = ticks
        self.encoder = nn.Conv2d(3, 4, 3, padding=1)
        self.cell = self.Cell(4, 4)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.encoder(x).relu()
        state = (torch.zeros_like(x), torch.zeros_like(x))
        h = x
        for _ in range(self.ticks):
            h, state = self.cell(x, state)
        return {"logits": self.head(h.mean((2, 3)))}


class Attention(nn.Module):
    """Self-attention whose output projection is called as a module."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        return self.out(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Transformer(nn.Module):
    """Two blocks before a head that reads the first token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.attend = nn.ModuleList(Attention(8, 2) for _ in range(2))
        self.norm = nn.ModuleList(nn.LayerNorm(8) for _ in range(2))
        self.mlp = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)) for _ in range(2)
        )
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for attend, norm, mlp in zip(self.attend, self.norm, self.mlp, strict=True):
            x = x + attend(norm(x))
            x = x + mlp(x)
        return self.head(x[:, 0])


class ResNet(nn.Module):
    """Batch normalisation, relu in place, a block that changes the size of its skip."""

    class Block(nn.Module):
        def __init__(self, inputs: int, channels: int, stride: int):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(channels)
            self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(channels)
            self.relu = nn.ReLU(inplace=True)  # called twice
            self.skip = nn.Conv2d(inputs, channels, 1, stride) if stride > 1 else nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            out = self.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            out += self.skip(x)
            return self.relu(out)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layer1 = self.Block(8, 8, 1)
        self.layer2 = self.Block(8, 16, 2)
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer2(self.layer1(self.stem(x))).mean((2, 3)))


class TorchEncoder(nn.Module):
    """Torch's own attention, which hides from hooks."""

    def __init__(self, batch_first: bool = True):
        super().__init__()
        self.embed = nn.Linear(3, 8)
        layer = nn.TransformerEncoderLayer(8, 4, 16, 0.1, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x)))


class SecondStep(nn.Module):
    """A recurrent policy at the second step of levels, whose memory is a part of the module."""

    def __init__(self, policy: nn.Module, x: Tensor):
        super().__init__()
        self.policy = policy
        with torch.no_grad():
            self.carry = policy(x, policy.initial_carry(len(x))).carry  # type: ignore[operator]

    def forward(self, x: Tensor) -> RecurrentOutput:
        return self.policy(x, self.carry)


def drc_step() -> tuple[SecondStep, Tensor]:
    """The packaged recurrent policy."""
    world = Sokoban(8, 8, 2)
    policy: Any = load("sokoban-small").module
    x = policy.encode(world.observe(world.generate(range(3))))
    return SecondStep(policy, x), x


def impala_step() -> tuple[SecondStep, Tensor]:
    policy, x = RecurrentImpala((4, 8, 8), 16), torch.rand(2, 3, 64, 64)
    return SecondStep(policy, x), x


def published_drc(**form: Any) -> tuple[SecondStep, Tensor]:
    """A recurrent policy in a form of the literature, small."""
    policy, x = DRC(2, 2, 4, hidden=8, **form), torch.rand(3, form["planes"], 6, 6)
    return SecondStep(policy, x), x


LEARNED: dict[str, Any] = dict(
    planes=3, size=6, kernel=4, encoder="linear", output="tanh", boundary="ring", skip="add"
)
EMERGENT: dict[str, Any] = dict(
    planes=7,
    size=6,
    convolutions=1,
    encoder="linear",
    boundary="none",
    pool="biased",
    skip="concatenate",
    actions=5,
)


def _settled(network: ResNet) -> ResNet:
    """Batch statistics that are not the initial ones."""
    network(torch.randn(16, 3, 8, 8))
    return network


MAKERS: dict[str, Any] = {
    "impala": lambda: (Impala((4, 8, 8), 32), torch.rand(2, 3, 64, 64)),
    "impala, channels last": lambda: (
        Impala().to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        torch.rand(2, 3, 64, 64).contiguous(memory_format=torch.channels_last),
    ),
    "impala with memory": impala_step,
    "nature": lambda: (Nature(16), torch.rand(2, 3, 64, 64)),
    "maia3": lambda: (Maia3(12, 2, 3, 10, 2, 5, 4, 2, 6, 7), torch.rand(3, 64, 26)),
    "compact": lambda: (Compact(), torch.rand(3, 3, 13, 13)),
    "packaged": lambda: (load("mouse-topright").module, torch.rand(3, 3, 13, 13)),
    "packaged drc": drc_step,
    "drc of learned-planner": lambda: published_drc(**LEARNED),
    "drc of emergent-planning": lambda: published_drc(**EMERGENT),
    "resnet of learned-planner": lambda: (GuezResNet((4, 6), (4, 3), 3, 6, 8), torch.rand(3, 3, 6, 6)),
    "resnet of emergent-planning": lambda: (EmergentResNet(2, 4, 7, 6, 8), torch.rand(3, 7, 6, 6)),
    "convlstm": lambda: (ConvLSTM(), torch.randn(3, 3, 6, 6)),
    "transformer": lambda: (Transformer(), torch.randn(3, 6, 3)),
    "torch transformer": lambda: (TorchEncoder(), torch.randn(3, 6, 3)),
    "torch transformer, tokens first": lambda: (TorchEncoder(False), torch.randn(6, 3, 3)),
    "resnet": lambda: (_settled(ResNet()), torch.randn(3, 3, 8, 8)),
}


@pytest.fixture(params=MAKERS)
def network(request: pytest.FixtureRequest, plain_attention: None) -> tuple[nn.Module, Tensor]:
    """A network of each kind in evaluation mode, and a few samples for it."""
    torch.manual_seed(0)
    module, x = MAKERS[request.param]()
    return module.eval(), x


@pytest.fixture
def plain_attention() -> Iterator[None]:
    """Bare forwards take the unfused path too, so that they can be compared bit for bit."""
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(was)


@pytest.fixture
def compact() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return Compact().eval(), torch.rand(4, 3, 13, 13)


@pytest.fixture
def convlstm() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return ConvLSTM().eval(), torch.randn(4, 3, 6, 6)


@pytest.fixture
def encoder(plain_attention: None) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return TorchEncoder().eval(), torch.randn(3, 6, 3)
