"""What the tests of the methods share."""

import pytest
import torch
from torch import Tensor, nn


class Branching(nn.Module):
    """Cannot be traced."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return y if y.sum() > -1e9 else -y


@pytest.fixture
def branching() -> nn.Module:
    """A network on [N, 6] whose forward depends on its numbers."""
    torch.manual_seed(0)
    return Branching()
