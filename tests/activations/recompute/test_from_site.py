"""Recomputing equals full forwards bit for bit: packaged policies, recurrent, transformer, in-place ResNet, odd modules."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from goalscope.activations import editing, sites
from goalscope.activations.recompute.from_site import equal, recompute_from
from goalscope.policies.checkpoint import load
from goalscope.policies.compact import Compact
from goalscope.policies.drc import DRC
from goalscope.policies.emergent_planning.resnet import EmergentResNet
from goalscope.policies.impala import Impala
from goalscope.policies.impala.others import RecurrentImpala
from goalscope.policies.learned_planner.resnet import GuezResNet
from goalscope.policies.maia3 import Maia3


class BasicBlock(nn.Module):
    """conv - norm - relu - conv - norm, added to the input, relu; the relus work in place."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.down = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        out += x if self.down is None else self.down(x)
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.stages = nn.Sequential(BasicBlock(8, 8, 1), BasicBlock(8, 12, 2), BasicBlock(12, 12, 1))
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(F.adaptive_avg_pool2d(self.stages(self.stem(x)), 1), 1))


class ConvLSTM(nn.Module):
    """Two cells, called three times each in a forward."""

    def __init__(self, channels: int = 4, ticks: int = 3):
        super().__init__()
        self.ticks, self.channels = ticks, channels
        self.encode = nn.Conv2d(3, channels, 3, padding=1)
        self.cells = nn.ModuleList(LSTMCell(channels) for _ in range(2))
        self.head = nn.Linear(channels, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        seen = self.encode(x)
        states = [(torch.zeros_like(seen), torch.zeros_like(seen)) for _ in self.cells]
        for _ in range(self.ticks):
            below = states[-1][0]
            for k, cell in enumerate(self.cells):
                states[k] = cell(torch.cat([seen, below], 1), states[k])
                below = states[k][0]
        return {"logits": self.head(states[-1][0].mean((2, 3))), "memory": states[0][1]}


class LSTMCell(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.gates = nn.Conv2d(3 * channels, 4 * channels, 3, padding=1)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        h, c = state
        i, f, o, g = self.gates(torch.cat([x, h], 1)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.qkv, self.project = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = (y.view(n, t, self.heads, -1).transpose(1, 2) for y in self.qkv(x).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.project(mixed.transpose(1, 2).reshape(n, t, c))


class Transformer(nn.Module):
    def __init__(self, width: int = 16, tokens: int = 6):
        super().__init__()
        self.embed, self.place = nn.Linear(5, width), nn.Parameter(torch.randn(tokens, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = nn.ModuleList(Attention(width, 4) for _ in range(2))
        self.mlp = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width)) for _ in range(2)
        )
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None, scale: float = 1.0) -> Tensor:
        y = self.embed(x) * scale + self.place
        for norm, attention, mlp in zip(self.norms, self.attention, self.mlp, strict=True):
            y = y + attention(norm(y))
            y = y + mlp(y)
        return self.head(y[:, -1] if mask is None else (y * mask).mean(1))


@dataclass
class Reading:
    mean: Tensor
    spread: Tensor


class WithRecord(nn.Module):
    """A container that returns a dataclass, and a pair of branches that read the same tensor."""

    def __init__(self):
        super().__init__()
        self.read, self.left, self.right = Reader(), nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        reading = self.read(x)
        return self.left(reading.mean) - self.right(reading.mean) + reading.spread


class Reader(nn.Module):
    def forward(self, x: Tensor) -> Reading:
        return Reading(x.mean(1), x.amax((1, 2), keepdim=False)[:, None])


def _drc() -> tuple[nn.Module, tuple]:
    """The packaged recurrent policy and its arguments at the second step of a level."""
    policy: Any = load("sokoban-small").module
    x = torch.rand(3, 4, 6, 7)
    with torch.no_grad():
        return policy, (x, policy(x, policy.initial_carry(3)).carry)


def _published_drc(planes: int, **form: Any) -> tuple[nn.Module, tuple]:
    """A recurrent policy in a form of the literature, at the second step of a level."""
    policy: Any = DRC(2, 2, 4, planes, 6, 8, **form).eval()
    x = torch.rand(3, planes, 6, 6)
    with torch.no_grad():
        return policy, (x, policy(x, policy.initial_carry(3)).carry)


def _modules() -> dict[str, tuple[nn.Module, tuple]]:
    torch.manual_seed(0)
    pixels = torch.rand(2, 3, 64, 64)
    resnet = ResNet()
    resnet(torch.rand(16, 3, 12, 12))  # running statistics that are not those of the start
    return {
        "compact": (Compact(9, 8, 2).eval(), (torch.rand(3, 3, 9, 9),)),
        "impala": (Impala((4, 6, 6), 16, 15).eval(), (pixels,)),
        "impala channels last": (
            Impala((4, 6, 6), 16, 15).eval(),
            (pixels.to(memory_format=torch.channels_last),),
        ),
        "maia3": (Maia3(12, 2, 3, 10, 2, 5, 4, 2, 6, 7).eval(), (torch.rand(3, 64, 26),)),
        "impala with memory": (RecurrentImpala((4, 6, 6), 16).eval(), (pixels, torch.rand(2, 16))),
        "resnet": (resnet.eval(), (torch.rand(3, 3, 12, 12),)),
        "packaged drc": _drc(),
        "drc of learned-planner": _published_drc(
            3, kernel=4, encoder="linear", output="tanh", boundary="ring", skip="add"
        ),
        "drc of emergent-planning": _published_drc(
            7, convolutions=1, encoder="linear", boundary="none", pool="biased", skip="concatenate", actions=5
        ),
        "resnet of learned-planner": (GuezResNet((4, 6), (4, 3), 3, 6, 8).eval(), (torch.rand(3, 3, 6, 6),)),
        "resnet of emergent-planning": (EmergentResNet(2, 4, 7, 6, 8).eval(), (torch.rand(3, 7, 6, 6),)),
        "convlstm": (ConvLSTM().eval(), (torch.rand(3, 3, 5, 5),)),
        "transformer": (Transformer().eval(), (torch.rand(3, 6, 5), torch.rand(3, 6, 1), 0.5)),
        "record": (WithRecord().eval(), (torch.rand(3, 2, 4),)),
    }


NAMES = list(_modules())


@pytest.mark.parametrize("name", NAMES)
def test_resumed_equals_the_full_forward_bit_for_bit_at_every_site(name: str):
    module, inputs = _modules()[name]
    bare = module(*inputs)
    found = list(sites(module, *inputs, ins=True))
    if len(found) > 60:
        found = found[:: len(found) // 30]
    assert len(found) > 5
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for site in found:
            rest = recompute_from(module, site, inputs)
            assert rest.traced, site
            assert equal(rest.output, bare)
            assert equal(rest(rest.value), bare), f"{site}: its own activation changes something"
            value = rest.value + torch.randn(rest.value.shape, generator=generator)
            given = value.clone()
            with editing(module, {site: lambda _, value=value: value.clone()}):
                full = module(*inputs)
            assert equal(rest(value), full), site
            assert equal(rest(value), full), f"{site}: the second call is another one"
            assert torch.equal(value, given), f"{site}: the caller's value was changed"


def test_what_is_after_nothing_runs_nothing():
    module, inputs = _modules()["impala"]
    operations = [
        recompute_from(module, site, inputs).operations
        for site in ("embedder.block1.conv", "embedder.block2.res1", "embedder.fc", "fc_policy")
    ]
    assert operations == sorted(operations, reverse=True)  # type: ignore[type-var]
    assert operations[-1] == 1  # the record of logits and value is put together; the value head does not run
    rest = recompute_from(module, "fc_policy", inputs)
    with torch.no_grad():
        module.get_parameter("fc_value.weight").fill_(torch.nan)
    assert torch.equal(rest(rest.value).value, rest.output.value)


def test_parameters_after_the_site_are_live():
    module, inputs = _modules()["compact"]
    rest = recompute_from(module, "blocks", inputs)
    before = rest(rest.value).logits
    with torch.no_grad():
        module.get_parameter("policy_head.bias").add_(1.0)
    assert torch.allclose(rest(rest.value).logits, before + 1)


def test_gradients_flow_to_the_value_as_through_an_edit():
    module, inputs = _modules()["resnet"]
    rest = recompute_from(module, "stages.0", inputs)
    value = rest.value.clone().requires_grad_()
    (ours,) = torch.autograd.grad(rest(value).square().sum(), [value])
    with editing(module, {"stages.0": lambda _: value.clone()}):
        (full,) = torch.autograd.grad(module(*inputs).square().sum(), [value])
    assert ours.abs().max() > 0
    assert torch.equal(ours, full)


def test_input_of_one_reader_is_not_that_of_the_other():
    module, inputs = _modules()["record"]
    left = module.get_submodule("left")
    alone = recompute_from(module, "left:in", inputs)
    zero = torch.zeros_like(alone.value)
    assert torch.allclose(alone(zero) - alone.output, left(zero) - left(alone.value), atol=1e-6)
    both = recompute_from(module, "read:out.mean", inputs)
    assert not torch.allclose(both(zero), alone(zero))


class InPlace(nn.Module):
    """`form` says what is changed in place."""

    def __init__(self, form: str):
        super().__init__()
        self.form, self.first, self.same, self.last = form, nn.Linear(4, 4), nn.Identity(), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        a = self.first(x)
        if self.form == "accumulate":
            total.add_(x)
            total += self.last(a)
            return total * 2
        if self.form == "alias":  # the edit at `same` cuts what was one tensor in two
            b = self.same(a)
            b.mul_(3)
            return self.last(b) + a
        if self.form == "view":
            a[:, :2].mul_(-1)
            return self.last(a) + a
        a.relu_()
        return self.last(a) + a


FORMS = ("accumulate", "alias", "view", "plain")


@pytest.mark.parametrize(("form", "site"), [*product(FORMS, ("first", "last", "last:in")), ("alias", "same")])
def test_operations_in_place(form: str, site: str):
    torch.manual_seed(0)
    module, x = InPlace(form), torch.randn(3, 4)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        rest = recompute_from(module, site, x)
        assert rest.traced == (form != "view" and (form, site) != ("alias", "same"))
        value = torch.randn(3, 4)
        with editing(module, {site: lambda _: value.clone()}):
            full = module(x)
        assert torch.equal(rest(value), full)
        assert torch.equal(rest(value), full)
        assert torch.equal(rest(rest.value), module(x)) or form == "alias"


class Branching(nn.Module):
    """Control flow that depends on data."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.second(y) if y.sum() > 0 else -y


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.before, self.odd, self.after = nn.Linear(4, 4), Branching(), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.odd(self.before(x)).tanh())


def test_a_module_that_cannot_be_traced_says_so_once_and_runs_whole():
    torch.manual_seed(0)
    module, x = Branching(), torch.randn(5, 4)
    with pytest.warns(RuntimeWarning, match="Branching is recomputed by full forwards"):
        rest = recompute_from(module, "first", x)
    assert not rest.traced and rest.operations is None
    assert torch.equal(rest(torch.ones(5, 4)), module.second(torch.ones(5, 4)))
    assert torch.equal(rest(-torch.ones(5, 4)), torch.ones(5, 4))
    assert torch.equal(rest(rest.value), module(x))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recompute_from(module, "first", x)


def test_one_odd_module_does_not_spoil_the_others():
    torch.manual_seed(0)
    module, x = Outer(), torch.randn(5, 4)
    for site in ("before", "odd", "after", "odd:in"):
        rest = recompute_from(module, site, x)
        assert rest.traced
        with editing(module, {site: lambda old: old * -2}):
            assert torch.equal(rest(rest.value * -2), module(x))
    with pytest.warns(RuntimeWarning, match="one operation"):
        inside = recompute_from(module, "odd.first", x)
    assert not inside.traced
    with editing(module, {"odd.first": lambda old: old * -2}):
        assert torch.equal(inside(inside.value * -2), module(x))


class Lies(nn.Module):
    """Takes another way while it is traced: a stand-in is no tensor."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return self.first(x) * (2 if isinstance(x, Tensor) else 3)


def test_a_graph_with_other_numbers_is_not_used():
    module, x = Lies(), torch.randn(2, 4)
    with pytest.warns(RuntimeWarning, match="other numbers"):
        rest = recompute_from(module, "first", x)
    assert torch.equal(rest(torch.ones(2, 4)), 2 * torch.ones(2, 4))


def test_an_edit_made_by_somebody_else_counts():
    module, inputs = _modules()["compact"]
    rest = recompute_from(module, "blocks.0", inputs)
    value = rest.value + 1
    with torch.no_grad(), editing(module, {"blocks": lambda old: old * 0}):
        edited = rest(value)
        with editing(module, {"blocks.0": lambda _: value}):
            assert equal(edited, module(*inputs))
    assert not equal(edited, rest(value))


def test_other_threads_may_run_the_module_meanwhile():
    module, inputs = _modules()["compact"]
    with torch.no_grad():
        bare = module(*inputs)
    stop, wrong = threading.Event(), []

    def run() -> None:
        with torch.no_grad():
            while not stop.is_set():
                try:
                    if not equal(module(*inputs), bare):
                        wrong.append("other numbers")
                except Exception as error:
                    wrong.append(repr(error))

    other = threading.Thread(target=run)
    other.start()
    try:
        for _ in range(5):
            assert recompute_from(module, "blocks.1", inputs).traced
    finally:
        stop.set()
        other.join()
    assert wrong == []


def test_errors_name_the_site_and_mend_it():
    module, inputs = _modules()["convlstm"]
    with pytest.raises(ValueError, match=r"near matches.*cells\.0"):
        recompute_from(module, "cell.0", inputs)
    with pytest.raises(ValueError, match=r"called 3 times.*cells\.0@0"):
        recompute_from(module, "cells.0", inputs)
    with pytest.raises(ValueError, match=r"called 3 times"):
        recompute_from(module, "cells.0@3", inputs)
    rest = recompute_from(module, "cells.0@2", inputs)
    with pytest.raises(ValueError, match=r"'cells.0@2' has shape \[3, 4, 5, 5\], got \[3, 4, 5\]"):
        rest(torch.zeros(3, 4, 5))
    with pytest.raises(ValueError, match="no 'logit'"):
        recompute_from(module, ":out.logit", inputs)


class Ticking(nn.Module):
    """Its mode and its ticks are built into a graph of it."""

    def __init__(self):
        super().__init__()
        self.ticks, self.first, self.last = 1, nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for _ in range(self.ticks):
            x = self.last(x)
        return torch.nn.functional.dropout(x, 0.5, self.training)


def test_a_module_that_has_changed_since_is_run_again_by_the_caller():
    torch.manual_seed(0)
    module, x = Ticking().eval(), torch.randn(3, 4)
    rest = recompute_from(module, "first", x)
    assert rest.traced
    good = rest(rest.value)
    for change, back in (
        (lambda: module.train(), lambda: module.eval()),
        (lambda: setattr(module, "ticks", 3), lambda: setattr(module, "ticks", 1)),
    ):
        change()
        with pytest.raises(ValueError, match="call recompute_from again"):
            rest(rest.value)
        back()
    with torch.autocast("cpu", dtype=torch.bfloat16), pytest.raises(ValueError, match="precision"):
        rest(rest.value)
    rest.value.zero_()  # a copy: what was recorded is not the caller's to change
    assert torch.equal(rest(module.first(x)), good)
