"""What callers hand over: every kind of input gives the numbers of the tensor, or one line that says what is wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.activations import capture, editing, recompute_from, sites, stream
from goalscope.activations.inputs import as_inputs
from goalscope.methods.behaviour.reach import reach_probability
from goalscope.methods.intervening.attribution import attribution
from goalscope.methods.intervening.patch import patch_effects
from goalscope.methods.intervening.steer import dose_response
from goalscope.methods.reading.probe import probe


class Two(nn.Module):
    """Two arguments, one of them a size."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """[N, 4]."""
        return self.fc(x) + y


class Sized(nn.Module):
    """A tensor and a size, which is no tensor."""

    def forward(self, x: Tensor, size: list[int]) -> Tensor:
        """x in another shape."""
        assert isinstance(size, list)
        return x.reshape(size)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()


def pictures() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 2)).eval()


def data(seed: int = 0) -> Tensor:
    """[8, 3], numbers that half precision holds exactly."""
    return torch.randint(-8, 9, (8, 3), generator=torch.Generator().manual_seed(seed)) / 4


KINDS: dict[str, Callable[[Tensor], Any]] = {
    "float64 array": lambda x: x.double().numpy(),
    "float32 array": lambda x: x.numpy(),
    "float16 array": lambda x: x.numpy().astype(np.float16),
    "array read backwards": lambda x: x.flip(0).numpy()[::-1],
    "nested list": lambda x: x.tolist(),
    "float16 tensor": lambda x: x.half(),
    "bfloat16 tensor": lambda x: x.bfloat16(),
    "tuple of one array": lambda x: (x.numpy(),),
}


def first_logit(output: Tensor) -> Tensor:
    return output[:, 0]


def by_capture(x: Any, other: Any, folder: Path) -> Any:
    return list(capture(network(), x, ["0", "2"]).values())


def by_batches(x: Any, other: Any, folder: Path) -> Any:
    return list(capture(network(), x, ["0", "2"], batch=3).values())


def by_sites(x: Any, other: Any, folder: Path) -> Any:
    return [
        torch.tensor(shape) for shape in sites(network(), *(x if isinstance(x, tuple) else (x,))).values()
    ]


def by_rest(x: Any, other: Any, folder: Path) -> Any:
    return [recompute_from(network(), "0", x)(torch.ones(8, 4))]


def by_stream(x: Any, other: Any, folder: Path) -> Any:
    return [stream(network(), [x, other], ["0"], folder).read("0")]


def by_patch(x: Any, other: Any, folder: Path) -> Any:
    return [torch.from_numpy(patch_effects(network(), x, other, ["0"], first_logit).effect["0"])]


def by_attribution(x: Any, other: Any, folder: Path) -> Any:
    return [torch.from_numpy(attribution(network(), x, other, ["0"], first_logit).effect["0"])]


FUNCTIONS = [by_capture, by_batches, by_sites, by_rest, by_stream, by_patch, by_attribution]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_kind_of_input_gives_the_numbers_of_the_tensor(
    function: Callable[[Any, Any, Path], list[Tensor]], kind: str, tmp_path: Path
):
    x, other = data(), data(1)
    expected = function(x, other, tmp_path / "tensors")
    got = function(KINDS[kind](x), KINDS[kind](other), tmp_path / "others")
    for one, two in zip(expected, got, strict=True):
        assert torch.equal(one, two)


REFUSED: dict[str, tuple[Any, str]] = {
    "ragged list": ([[1.0, 2.0, 3.0], [1.0]], "rows differ in length"),
    "list of words": ([["a", "b", "c"]], "does not hold numbers"),
    "array of objects": (np.array([[None, 1, 2]]), "array of object that does not hold numbers"),
    "too wide": (torch.zeros(8, 5), r"takes \[..., 3\] float32 and gets \[8, 5\] float32"),
    "whole numbers": ([[1, 2, 3]], r"takes \[..., 3\] float32 and gets \[1, 3\] int64"),
    "a word": ("maze", "cannot run on a str: its layer '0'"),
    "nothing": (None, "cannot run on a NoneType"),
    "two arguments": ((torch.zeros(8, 3), torch.zeros(8, 3)), "its forward takes"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("function", [by_capture, by_rest, by_patch, by_attribution, by_stream])
def test_what_cannot_be_meant_is_refused_in_one_line(
    function: Callable[[Any, Any, Path], Any], kind: str, tmp_path: Path
):
    given, words = REFUSED[kind]
    if kind in ("a word", "nothing") and function not in (by_capture, by_rest):
        words = r"axis 0|among the inputs|no batches to stream"
    with pytest.raises(ValueError, match=words) as refusal:
        function(given, given, tmp_path / "folder")
    assert "\n" not in str(refusal.value)
    assert "mat1" not in str(refusal.value)
    assert "inhomogeneous" not in str(refusal.value)


def test_one_picture_without_its_batch_axis_is_refused_with_the_axis_that_is_missing():
    with pytest.raises(ValueError, match=r"takes \[\.\.\., 36\] float32 .* one sample x is x\[None\]"):
        capture(pictures(), torch.zeros(3, 5, 5), ["0"])
    assert capture(pictures(), np.zeros((1, 3, 5, 5)), ["0"])["0"].shape == (1, 4, 3, 3)
    with pytest.raises(ValueError, match=r"takes \[N, 3, H, W\] float32 and gets \[2, 5, 5, 3\] float32"):
        capture(pictures(), np.zeros((2, 5, 5, 3)), ["0"])
    with pytest.raises(ValueError, match=r"float32 and gets \[2, 3, 5, 5\] uint8"):
        sites(pictures(), np.zeros((2, 3, 5, 5), np.uint8))


def test_one_sample_of_a_network_that_knows_its_size_is_a_batch_of_one(tmp_path: Path):
    network = pictures()
    network.size = 5  # type: ignore[assignment]
    torch.manual_seed(0)
    x, other = torch.randn(2, 3, 5, 5)
    for one in (x, x.numpy(), x.tolist()):
        assert torch.equal(capture(network, one, ["0"])["0"], capture(network, x[None], ["0"])["0"])
    assert sites(network, x) == sites(network, x[None])
    rest = recompute_from(network, "0", x)
    assert torch.equal(rest.output, network(x[None])) and len(rest.value) == 1
    assert len(capture(network, x, ["0"], batch=3)["0"]) == 1
    alone, batched = (
        patch_effects(network, clean, corrupt, ["0"], first_logit).effect["0"]
        for clean, corrupt in ((x, other), (x[None], other[None]))
    )
    assert np.array_equal(alone, batched)
    with pytest.raises(ValueError, match=r"cannot run on \[3, 4, 4\] float32: .*one sample x is x\[None\]"):
        capture(network, torch.zeros(3, 4, 4), ["0"])


def test_several_arguments_are_a_tuple_of_any_kinds():
    x, y = data(), torch.ones(8, 4)
    module = Two()
    expected = capture(module, (x, y), ["fc", ""])
    for given in ((x.numpy(), y.tolist()), (x.tolist(), y.double().numpy())):
        got = capture(module, given, ["fc", ""])
        assert all(torch.equal(got[site], expected[site]) for site in expected)
    with pytest.raises(ValueError, match=r"forward takes \(x: .*, y: .*as a tuple, \(x, y\)"):
        capture(module, x, ["fc"])


def test_a_flat_list_beside_other_arguments_stays_a_list():
    assert sites(Sized(), data(), [4, 6]) == {"": (4, 6)}


def test_double_precision_and_token_ids_stay_what_they_are():
    assert capture(network().double(), data().numpy(), ["2"])["2"].dtype == torch.float64
    module = nn.Embedding(5, 2)
    assert torch.equal(capture(module, [[1, 2]], [""])[""], capture(module, torch.tensor([[1, 2]]), [""])[""])
    with pytest.raises(ValueError, match=r"takes whole numbers 0\.\.4"):
        capture(module, [[1, 5]], [""])
    mixed = nn.Sequential(nn.Linear(3, 3).half(), nn.Linear(3, 3))
    assert as_inputs(data().half(), mixed)[0].dtype == torch.float16


def test_errors_of_the_network_itself_pass_as_they_are():
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("out of coal")

    with pytest.raises(RuntimeError, match="out of coal"):
        capture(Broken(), data(), [""])


def test_the_callers_array_is_not_changed_by_what_the_network_does_in_place():
    array = data().numpy().copy()
    before = array.copy()
    capture(nn.Sequential(nn.ReLU(inplace=True)), array, ["0"])
    assert (array == before).all()


def test_an_array_is_an_edit():
    module, x = network(), data()
    value = np.arange(8 * 4, dtype=np.float64).reshape(8, 4)
    with torch.no_grad(), editing(module, {"0": torch.from_numpy(value).float()}):
        expected = module(x)
    with torch.no_grad(), editing(module, {"0": value}):
        assert torch.equal(module(x), expected)


METHOD_KINDS = {
    "array": lambda x: x.numpy(),
    "list": lambda x: x.tolist(),
    "with a graph": lambda x: x.clone().requires_grad_() if x.is_floating_point() else x,
    "bfloat16": lambda x: x.bfloat16() if x.is_floating_point() else x,
}


@pytest.mark.parametrize("kind", METHOD_KINDS)
def test_a_probe_takes_every_kind(kind: str):
    turn = METHOD_KINDS[kind]
    rows = torch.randint(-8, 9, (60, 3), generator=torch.Generator().manual_seed(0)) / 4
    label, level = (rows[:, 0] > 0).long(), torch.arange(60) // 3
    expected = probe(rows, label, level, observation=rows, untrained=None)
    got = probe(turn(rows), turn(label), turn(level), observation=turn(rows), untrained=None)
    assert got.scores == expected.scores
    with pytest.raises(ValueError, match=r"x: wanted \[M, D\] numbers, got a list whose rows differ"):
        probe([[1.0], [1.0, 2.0]], label, level, observation=None, untrained=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", METHOD_KINDS)
def test_reach_probability_takes_every_kind(kind: str):
    turn = METHOD_KINDS[kind]
    probs, following = torch.tensor([[0.5, 0.5], [0.25, 0.75]]), torch.tensor([[0, 1], [1, 1]])
    goal = torch.tensor([False, True])
    reach: Any = reach_probability
    assert (reach(turn(probs), turn(following), turn(goal), 2) == [0.75, 1.0]).all()
    with pytest.raises(ValueError, match=r"probs: wanted \[K, A\] .* rows differ in length"):
        reach([[0.5, 0.5], [1.0]], following, goal, 2)


@pytest.mark.parametrize("kind", METHOD_KINDS)
def test_dose_response_takes_every_kind(kind: str):
    turn = METHOD_KINDS[kind]
    module, x = network(), data()
    vector, controls = torch.tensor([1.0, 0.0, 0.5, -1.0]), torch.eye(4)

    def run(edits: Any) -> Tensor:
        with torch.no_grad():
            if not edits:
                return module(x)[:, 0]
            with editing(module, edits):
                return module(x)[:, 0]

    respond: Any = dose_response
    expected = respond(run, "0", vector, [1.0], controls=controls)
    got = respond(run, "0", turn(vector), [1.0], controls=turn(controls))
    tolerance = 1e-2 if kind == "bfloat16" else 0  # controls are scaled in the vector's own type
    np.testing.assert_allclose(got.metric, expected.metric, rtol=0, atol=tolerance)
    np.testing.assert_allclose(got.random, expected.random, rtol=0, atol=tolerance)
    with pytest.raises(ValueError, match=r"controls: wanted .* does not hold numbers"):
        respond(run, "0", vector, [1.0], controls="random")
