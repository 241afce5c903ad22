"""A graph that is used again gives the numbers of a new one, and is left where it does not fit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from goalscope.activations import recompute_from
from goalscope.activations.recompute import from_site
from goalscope.activations.recompute.trace import Trace


class Scaled(nn.Module):
    """A residual network whose forward takes a number beside its input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 4)
        self.act = nn.ReLU()

    def forward(self, x: Tensor, factor: float = 1.0) -> Tensor:
        y = self.first(x) * factor
        return y + self.act(self.second(y)).mul_(2)


class Branching(nn.Module):
    """Cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return y if y.sum() > 0 else -y


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The modules that were traced, in order."""
    seen: list[nn.Module] = []

    class Counted(Trace):
        def __init__(self, module: nn.Module, inputs: tuple):
            seen.append(module)
            super().__init__(module, inputs)

    monkeypatch.setattr(from_site, "Trace", Counted)
    return seen


def test_another_input_and_another_site_take_the_graph_and_give_the_same_numbers(traced: list) -> None:
    torch.manual_seed(0)
    module = Scaled().eval()
    one, other = torch.randn(2, 3), torch.randn(5, 3)
    before = recompute_from(module, "first", one)
    again = recompute_from(module, "second", other, like=before)
    third = recompute_from(module, "first", one + 1, like=again)
    assert traced == [module] and again.traced and third.traced
    for rest, site, x in ((again, "second", other), (third, "first", one + 1), (before, "first", one)):
        alone = recompute_from(module, site, x)
        value = torch.randn_like(rest.value)
        assert torch.equal(rest.value, alone.value) and torch.equal(rest.output, module(x))
        assert torch.equal(rest(value), alone(value))


def test_a_graph_that_does_not_fit_is_made_anew(traced: list) -> None:
    torch.manual_seed(0)
    module, x = Scaled().eval(), torch.randn(2, 3)
    before = recompute_from(module, "first", (x, 1.0))
    for inputs in ((x, 3.0), (x, 1), x):
        rest = recompute_from(module, "first", inputs, like=before)
        assert torch.equal(rest.output, module(*inputs) if isinstance(inputs, tuple) else module(inputs))
    module.act.inplace = True
    recompute_from(module, "first", (x, 1.0), like=before)
    other = Scaled().eval()
    assert torch.equal(recompute_from(other, "first", (x, 1.0), like=before).output, other(x))
    assert traced == [module] * 5 + [other]


def test_hooks_set_since_are_not_passed_by(traced: list) -> None:
    module, x = Scaled().eval(), torch.randn(2, 3)
    before = recompute_from(module, "first", x)
    module.second.register_forward_hook(lambda *_: torch.zeros(2, 4))
    with pytest.warns(RuntimeWarning, match="full forwards"):
        rest = recompute_from(module, "first", x, like=before)
    assert not rest.traced and torch.equal(rest.output, module(x))
    assert torch.equal(rest(rest.value + 1), module.first(x) + 1)


def test_what_has_no_graph_is_not_traced_twice(traced: list) -> None:
    torch.manual_seed(0)
    module = Branching()
    with pytest.warns(RuntimeWarning, match="full forwards"):
        before = recompute_from(module, "first", torch.randn(2, 3))
    x = torch.randn(4, 3)
    rest = recompute_from(module, "first", x, like=before)
    assert traced == [module] and not rest.traced
    assert torch.equal(rest.output, module(x)) and torch.equal(rest(-rest.value), module(x))
