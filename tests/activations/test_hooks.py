"""Hooked forwards have the numbers of bare ones; edits do what they say, where they say it, and nowhere else."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from goalscope.activations import Edit, add, capture, clamp, editing, mean, replace, resample, sites, zero
from goalscope.activations.sites import tensors
from goalscope.policies import PolicyOutput


def flat(output: Any) -> Tensor:
    """Every number of an output in a row."""
    return torch.cat([tensor.detach().flatten() for _, tensor in tensors(output)])


def hooks_left(module: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in module.modules())


def bare(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return flat(module(x))


# The numbers of the bare module, on every architecture


def test_captured_is_what_plain_hooks_see_and_the_forward_is_the_bare_one(network: tuple[nn.Module, Tensor]):
    module, x = network
    expected = bare(module, x)
    seen: dict[str, list[Tensor]] = {}
    handles = [
        child.register_forward_hook(
            lambda m, args, out, name=name: seen.setdefault(name, []).append(
                next(tensors(out))[1].detach().clone()
            )
        )
        for name, child in module.named_modules()
    ]
    assert torch.equal(bare(module, x), expected)
    for handle in handles:
        handle.remove()
    found = capture(module, x, sites(module, x))
    assert seen.keys() <= {name.partition("@")[0].partition(":")[0] for name in found}
    for name, calls in seen.items():
        for k, tensor in enumerate(calls):
            mine = found[f"{name}@{k}" if len(calls) > 1 else name]
            assert torch.equal(mine, tensor) and mine.stride() == tensor.stride(), (name, k)
    assert torch.equal(bare(module, x), expected) and hooks_left(module) == 0


def test_listed_shapes_are_the_captured_ones_inputs_too(network: tuple[nn.Module, Tensor]):
    module, x = network
    listed = sites(module, x, ins=True)
    assert any(":in" in name for name in listed)
    assert {name: tuple(tensor.shape) for name, tensor in capture(module, x, listed).items()} == listed


def test_a_patch_with_its_own_activations_is_exactly_null(network: tuple[nn.Module, Tensor]):
    module, x = network
    expected = bare(module, x)
    own = capture(module, x, sites(module, x, ins=True))
    for site, tensor in own.items():
        with torch.no_grad(), editing(module, {site: replace(tensor.contiguous())}):
            assert torch.equal(flat(module(x)), expected), site
    with torch.no_grad(), editing(module, {site: lambda tensor: tensor for site in own}):
        assert torch.equal(flat(module(x)), expected)
    other = capture(module, x.flip(0), own)
    with torch.no_grad(), editing(module, other):
        assert not torch.equal(flat(module(x)), expected)


def test_a_patch_of_a_bottleneck_carries_the_whole_answer(compact: tuple[nn.Module, Tensor]):
    module, x = compact
    other = capture(module, x.flip(0), ["hidden_relu"])
    with editing(module, other):
        assert torch.equal(flat(module(x)), flat(module(x.flip(0))))


def test_gradients_are_those_of_the_bare_module(network: tuple[nn.Module, Tensor]):
    module, x = network
    flat_output = torch.cat([tensor.flatten() for _, tensor in tensors(module(x))])
    parameters = [p for p in module.parameters() if p.requires_grad]
    expected = torch.autograd.grad(flat_output.square().sum(), parameters, allow_unused=True)
    own = capture(module, x, sites(module, x))
    identity = {site: lambda tensor: tensor + 0 for site in own if not site.endswith("encoder")}
    with editing(module, identity):
        flat_output = torch.cat([tensor.flatten() for _, tensor in tensors(module(x))])
    found = torch.autograd.grad(flat_output.square().sum(), parameters, allow_unused=True)
    for one, two in zip(expected, found, strict=True):
        assert (one is None and two is None) or torch.allclose(one, two, rtol=1e-4, atol=1e-5)


# Known answers


def test_the_effect_of_a_direction_and_its_gradient_in_a_linear_network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3)).double()
    x, vector = torch.randn(5, 4).double(), torch.randn(6, dtype=torch.float64, requires_grad=True)
    with editing(module, {"0": add(vector, 1.5)}):
        out = module(x)
    last: Any = module[1]
    weight = last.weight
    assert torch.allclose(out - module(x), (1.5 * weight @ vector).expand(5, 3))
    (gradient,) = torch.autograd.grad(out[:, 1].sum(), vector)
    assert torch.allclose(gradient, 5 * 1.5 * weight[1])


def test_a_leaf_put_at_a_site_gets_the_gradient_there(compact: tuple[nn.Module, Tensor]):
    module, x = compact
    leaf = capture(module, x, ["hidden_relu"])["hidden_relu"].requires_grad_()
    with editing(module, {"hidden_relu": replace(leaf)}):
        module(x).logits[:, 2].sum().backward()
    head: Any = module.policy_head
    weight = head.weight
    assert leaf.grad is not None and torch.allclose(leaf.grad, weight[2].expand(4, -1))


def test_channels_and_positions_of_a_convolution(compact: tuple[nn.Module, Tensor]):
    module, x = compact
    with editing(module, {"blocks.1": replace(7.0, channels=[3, 5], positions=[(2, 6)], samples=[1])}):
        found = capture(module, x, ["blocks.1"])["blocks.1"]
    own = capture(module, x, ["blocks.1"])["blocks.1"]
    changed = (found != own).nonzero().tolist()
    assert changed == [[1, 3, 2, 6], [1, 5, 2, 6]] and (found[1, [3, 5], 2, 6] == 7).all()


def test_a_head_of_torchs_attention_is_a_block_of_its_projections_columns(encoder: tuple[nn.Module, Tensor]):
    module, x = encoder
    name = "encoder.layers.0.self_attn"
    with editing(module, {f"{name}.out_proj:in": zero(heads=[1, 3], of=4)}):
        edited = capture(module, x, [name])[name]
        output = flat(module(x))
    projection: Any = module.encoder.layers[0].self_attn.out_proj  # type: ignore[union-attr, index]
    with torch.no_grad():
        projection.weight[:, [2, 3, 6, 7]] = 0
    assert torch.allclose(capture(module, x, [name])[name], edited, atol=1e-6)
    assert torch.allclose(bare(module, x), output, atol=1e-5)


def test_all_heads_apart_add_up_to_the_attention(encoder: tuple[nn.Module, Tensor]):
    module, x = encoder
    name = "encoder.layers.1.self_attn"
    whole, parts = capture(module, x, [name])[name], []
    for head in range(4):
        others = [other for other in range(4) if other != head]
        with editing(module, {f"{name}.out_proj:in": zero(heads=others, of=4)}):
            parts.append(capture(module, x, [name])[name])
    bias: Any = module.encoder.layers[1].self_attn.out_proj.bias  # type: ignore[union-attr, index]
    assert torch.allclose(sum(parts) - 3 * bias, whole, atol=1e-5)


# Calls


def test_ticks_are_told_apart(convlstm: tuple[nn.Module, Tensor]):
    module, x = convlstm
    found = capture(module, x, ["cell@0", "cell@2:out.1.1", "cell@*", "cell@1:in"])
    assert found["cell@*"].shape == (3, 4, 4, 6, 6)
    assert torch.equal(found["cell@*"][0], found["cell@0"])
    assert not torch.equal(found["cell@*"][1], found["cell@0"])
    assert torch.equal(found["cell@1:in"], capture(module, x, ["cell@0:in"])["cell@0:in"])
    batched = capture(module, x, ["cell@*"], batch=3)["cell@*"]
    assert batched.shape == (3, 4, 4, 6, 6) and torch.allclose(batched, found["cell@*"], atol=1e-6)


def test_an_edit_without_a_call_is_made_in_every_one(convlstm: tuple[nn.Module, Tensor]):
    module, x = convlstm
    with editing(module, {"cell:out.1.1": zero()}):
        every = bare(module, x)
    with editing(module, {f"cell@{k}:out.1.1": zero() for k in range(3)}):
        assert torch.equal(bare(module, x), every)
    with editing(module, {"cell@2:out.1.1": zero()}):  # nothing reads the last cell state
        last = bare(module, x)
    assert torch.equal(last, bare(module, x)) and not torch.equal(every, last)


def test_calls_are_counted_from_each_forward(convlstm: tuple[nn.Module, Tensor]):
    module, x = convlstm
    with editing(module, {"cell@1": zero(), "cell@0:out.1.0": zero()}):
        assert torch.equal(bare(module, x), bare(module, x))
    with pytest.raises(ValueError, match=r"called 3 times.*cell@0 \.\.\. cell@2.*cell@\*"):
        capture(module, x, ["cell"])
    with pytest.raises(ValueError, match=r"never reached 'cell@3'.*cell@3: 3"):
        capture(module, x, ["cell@3"])


def test_a_module_under_two_names_is_one():
    layer = nn.Linear(3, 3)
    module = nn.Sequential(layer, layer)
    x = torch.randn(2, 3)
    found = capture(module, x, ["0@0", "1@1"])
    assert torch.equal(found["1@1"], module(x)) and torch.equal(found["0@0"], layer(x))
    assert list(sites(module, x)) == ["0@0", "0@1", ""]


# Blocks and threads


def test_nested_blocks_and_lists_apply_in_order(compact: tuple[nn.Module, Tensor]):
    module, x = compact
    double, more = lambda tensor: tensor * 2, add(1.0)
    own = capture(module, x, ["blocks.0"])["blocks.0"]
    with editing(module, {"blocks.0": double}), editing(module, {"blocks.0": more}):
        nested = capture(module, x, ["blocks.0"])["blocks.0"]
    with editing(module, {"blocks.0": [double, more]}):
        listed = capture(module, x, ["blocks.0"])["blocks.0"]
    assert torch.equal(nested, own * 2 + 1) and torch.equal(listed, nested)
    assert hooks_left(module) == 0


def test_threads_do_not_see_each_others_edits(compact: tuple[nn.Module, Tensor]):
    module, x = compact
    edits = [None, zero(), *(replace(float(k)) for k in range(1, 5))]

    def run(edit: Any) -> Tensor:
        if edit is None:
            return bare(module, x)
        with editing(module, {"blocks.2.relu1": edit}):
            return bare(module, x)

    expected = [run(edit) for edit in edits]
    assert len({tuple(tensor.tolist()) for tensor in expected}) == len(edits)
    wrong: list[Any] = []
    start = threading.Barrier(len(edits))

    def work(k: int) -> None:
        start.wait()
        try:
            wrong.extend(k for _ in range(15) if not torch.equal(run(edits[k]), expected[k]))
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(edits))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and hooks_left(module) == 0


def test_a_forward_in_another_thread_is_not_edited_and_leaving_says_so(compact: tuple[nn.Module, Tensor]):
    module, x = compact
    found: list[Tensor] = []
    thread = threading.Thread(target=lambda: found.append(bare(module, x)))
    words = r"never reached 'blocks.0'; no forward .* in the thread"
    with pytest.raises(ValueError, match=words), editing(module, {"blocks.0": zero()}):
        thread.start()
        thread.join()
    assert torch.equal(found[0], bare(module, x))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_hooks_go_with_an_exception_which_is_the_one_that_comes_out(
    compact: tuple[nn.Module, Tensor], error: type[BaseException]
):
    module, x = compact

    def fail(tensor: Tensor) -> Tensor:
        raise error("here")

    with pytest.raises(error, match="here"), editing(module, {"blocks.0": fail, "value_head": zero()}):
        module(x)
    assert hooks_left(module) == 0
    with pytest.raises(error, match="before"), editing(module, {"blocks.0": zero()}):
        raise error("before")
    assert hooks_left(module) == 0 and torch.equal(bare(module, x), bare(module, x))


# What goes in and out


def test_a_named_output_keeps_its_type(compact: tuple[nn.Module, Tensor]):
    module, x = compact
    with editing(module, {":out.value": zero()}):
        out = module(x)
    assert isinstance(out, PolicyOutput) and not out.value.any()
    assert torch.equal(out.logits, module(x).logits)
    assert torch.equal(capture(module, x, [":out.1"])[":out.1"], module(x).value)


def test_one_tensor_in_two_places_is_edited_in_both(convlstm: tuple[nn.Module, Tensor]):
    module, x = convlstm
    with editing(module, {"cell@0": zero()}):  # the hidden state comes out as the output and as the state
        found = capture(module, x, ["cell@1:in.1.0", "cell@1:in.1.1"])
    own = capture(module, x, ["cell@1:in.1.1"])
    assert not found["cell@1:in.1.0"].any()
    assert torch.equal(found["cell@1:in.1.1"], own["cell@1:in.1.1"])


def test_what_a_function_does_in_place_stays_at_its_site():
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return x + self.relu(x)

    module, x = Skip(), torch.ones(2, 3)
    with editing(module, {"relu:in": lambda tensor: tensor.zero_()}):
        assert torch.equal(module(x), torch.ones(2, 3))
    assert x.all()


class InPlace(nn.Module):
    """A skip that is added in place, as many networks have."""

    def __init__(self):
        super().__init__()
        self.first, self.relu, self.last = nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h += x
        return self.last(self.relu(h))


@pytest.mark.parametrize(
    "edit",
    [
        replace, lambda given: given, lambda given: [given], lambda given: lambda _: given,
        lambda given: [add(0.0), lambda _: given], lambda given: Edit(lambda old, whole, part: given),
        lambda given: resample(given), lambda given: add(given), lambda given: clamp(given, given),
        lambda given: replace(given, samples=[0, 2]), lambda given: replace(given[0]),
    ],
)  # fmt: skip
def test_what_the_network_does_in_place_leaves_the_callers_tensors_alone(edit: Any):
    torch.manual_seed(0)
    module, x, given = InPlace().eval(), torch.randn(3, 4), torch.randn(3, 4)
    kept = given.clone()
    with torch.no_grad(), editing(module, {"first": edit(given)}):
        first = module(x).clone()
        second = module(x)
    assert torch.equal(given, kept)
    assert torch.equal(first, second)


def test_an_edit_called_by_hand_gives_a_tensor_of_its_own():
    given = torch.randn(3, 4)
    for edit in (
        replace(given),
        replace(given[0]),
        mean(),
        zero(),
        add(given),
        clamp(given),
        resample(given),
    ):
        whole = torch.randn(3, 4)
        kept, was = given.clone(), whole.clone()
        edit(whole).add_(1.0)
        assert torch.equal(given, kept) and torch.equal(whole, was)
