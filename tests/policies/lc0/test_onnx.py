"""Networks as ONNX files of lc0's converter: the numbers by their names, the activations by the graph's."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goalscope.policies.checkpoint import load
from goalscope.policies.lc0 import Lc0
from goalscope.policies.lc0.attention import position_code
from goalscope.policies.lc0.moves import attention_map

_spec = importlib.util.spec_from_file_location("lc0_writer", Path(__file__).parent / "lc0_writer.py")
assert _spec and _spec.loader
writer = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(writer)

WIDTH, BLOCKS = 8, 2
SIZES: dict[str, Any] = {
    "body": "attention", "policy": "attention", "width": WIDTH, "blocks": BLOCKS, "heads": 2, "inner": 12, "hidden": 10,
    "smolgen": [3, 6, 5], "gated": True, "policy_width": 7, "policy_queries": 9, "value_sizes": [3, 4],
    "moves_left_sizes": [2, 5], "activation": "mish", "moves_left_activation": "mish",
}  # fmt: skip
DENSE = {
    "query": "mha/Q", "key": "mha/K", "value": "mha/V", "mix": "mha/out/dense", "smolgen.dense1": "smolgen/dense1",
    "smolgen.dense2": "smolgen/dense2",
}  # fmt: skip
"""our name of a layer of an encoder's attention, and the converter's"""


def network() -> Lc0:
    torch.manual_seed(0)
    made = Lc0(**SIZES)
    for name, parameter in made.named_parameters():
        torch.nn.init.normal_(parameter, 1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.2)
    return made.eval()


def constants(module: Lc0) -> dict[str, np.ndarray]:
    """A module's numbers by the converter's names; dense layers are [in, out] there."""
    state = {name: layer.numpy() for name, layer in module.state_dict().items()}
    found: dict[str, np.ndarray] = {}

    def dense(ours: str, weight: str, bias: str | None) -> None:
        found[weight] = np.ascontiguousarray(state[f"{ours}.weight"].T)
        if bias:
            found[bias] = state[f"{ours}.bias"]

    def norm(ours: str, theirs: str) -> None:
        found[f"{theirs}/w/scale"], found[f"{theirs}/w/bias"] = state[f"{ours}.weight"], state[f"{ours}.bias"]

    found["/const/pos_encoding"] = position_code().numpy()[None]
    found["/const/mapping_table"] = attention_map().numpy()
    dense("body.embedding.dense", "/attn_body/matmul/w", "/attn_body/add/w")
    found["/ip_mul_gate/w"] = state["body.embedding.gate.scale"]
    found["/ip_add_gate/w"] = state["body.embedding.gate.shift"]
    dense("body.to_scores", "/const/smolgen_w", None)
    for e in range(BLOCKS):
        ours, theirs = f"body.encoders.{e}", f"/encoder{e}"
        for mine, name in DENSE.items():
            dense(f"{ours}.attention.{mine}", f"{theirs}/{name}/w/w", f"{theirs}/{name}/b/w")
        dense(f"{ours}.attention.smolgen.compress", f"{theirs}/smolgen/compress/w", None)
        for k in (1, 2):
            norm(f"{ours}.attention.smolgen.norm{k}", f"{theirs}/smolgen/ln{k}")
            norm(f"{ours}.norm{k}", f"{theirs}/ln{k}")
            dense(f"{ours}.feed_forward.dense{k}", f"{theirs}/ffn/dense{k}/w/w", f"{theirs}/ffn/dense{k}/b/w")
        found[f"{theirs}/alpha*input/w"] = np.array([(2 * BLOCKS) ** -0.25], np.float32)
    head = "policy_heads.vanilla"
    for mine, name in (("dense", "dense1"), ("query", "Q"), ("key", "K")):
        dense(f"{head}.{mine}", f"/policy/{name}/matmul/w", f"/policy/{name}/add/w")
    dense(f"{head}.promotion", "/policy/promotion/matmul/w", None)
    found["/policy/scale/w"] = np.array([9**-0.5], np.float32)
    for mine, name in (("value_heads.winner", "/value"), ("moves_left_head", "/mlh")):
        for k, part in enumerate(("embed", "dense1", "dense2")):
            dense(f"{mine}.dense{k}", f"{name}/{part}/matmul/w", f"{name}/{part}/add/w")
    return found


OPERATIONS = [
    "/attn_body/mish/softplus", "/encoder0/ffn/dense1/sqrrelu/relu", "/encoder0/smolgen/dense1/swish/sigmoid",
    "/mlh/dense2/mish",
]  # fmt: skip


def tensor(name: str, array: np.ndarray, form: str = "raw") -> bytes:
    dims = (
        [(1, n) for n in array.shape]
        if form != "packed"
        else [(1, b"".join(map(writer.varint, array.shape)))]
    )
    if array.dtype.kind == "i":
        return writer.message([*dims, (2, 7), (8, name.encode()), (9, array.astype("<i8").tobytes())])
    if form == "float_data":
        return writer.message([*dims, (2, 1), (4, array.astype("<f4").tobytes()), (8, name.encode())])
    if form == "bfloat16":
        bits = (np.ascontiguousarray(array, "<f4").view("<u4") >> 16).astype("<u2")
        return writer.message([*dims, (2, 16), (8, name.encode()), (9, bits.tobytes())])
    return writer.message([*dims, (2, 1), (8, name.encode()), (9, array.astype("<f4").tobytes())])


def onnx(found: dict[str, np.ndarray], properties: dict[str, str] | None = None, form: str = "raw") -> bytes:
    nodes = [(1, writer.message([(1, b"x"), (2, name.encode()), (4, b"Op")])) for name in OPERATIONS]
    graph = writer.message([*nodes, *((5, tensor(name, array, form)) for name, array in found.items())])
    said = [
        (14, writer.message([(1, key.encode()), (2, value.encode())]))
        for key, value in (properties or {}).items()
    ]
    return writer.message([(1, 4), (2, b"Lc0"), (7, graph), *said])


def planes() -> torch.Tensor:
    return (torch.rand(3, 112, 8, 8, generator=torch.Generator().manual_seed(1)) > 0.8).float()


@pytest.mark.parametrize("form", ["raw", "packed", "float_data", "bfloat16"])
def test_a_file_of_the_converter_is_the_network_that_was_converted(form: str, tmp_path: Path):
    module = network()
    (tmp_path / "lc0.onnx").write_bytes(onnx(constants(module), form=form))
    policy = load(tmp_path / "lc0.onnx")
    with torch.inference_mode():
        mine, theirs = policy.module(planes()), module(planes())
    tolerance = 0.2 if form == "bfloat16" else 0
    assert all(torch.allclose(a, b, atol=tolerance, rtol=0) for a, b in zip(mine, theirs, strict=True))
    assert theirs.logits.std() > 1e-2 and policy.name == "lc0"
    assert policy.config["architecture"] == {
        "name": "lc0", **SIZES, "ffn_activation": "relu_2", "smolgen_activation": "swish", "embedding": "map",
        "no_history": False,
    }  # fmt: skip


def test_activations_are_those_that_the_graph_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(globals(), "OPERATIONS", [
        "/attn_body/relu", "/encoder0/ffn/dense1/mish/tanh", "/encoder0/smolgen/dense1/swish", "/mlh/dense2/relu"
    ])  # fmt: skip
    (tmp_path / "lc0.onnx").write_bytes(onnx(constants(network())))
    said = load(tmp_path / "lc0.onnx").config["architecture"]
    assert [said[k] for k in ("activation", "ffn_activation", "moves_left_activation")] == [
        "relu",
        "mish",
        "relu",
    ]
    monkeypatch.setitem(globals(), "OPERATIONS", ["/attn_body/relu"])
    (tmp_path / "lc0.onnx").write_bytes(onnx(constants(network())))
    with pytest.raises(
        ValueError, match=r"no operation of the graph says which activation follows /encoder0/ffn/dense1"
    ):
        load(tmp_path / "lc0.onnx")


def test_a_network_without_history_is_shown_none(tmp_path: Path):
    chess = pytest.importorskip("chess", reason="needs the extra goalscope[chess]")
    from goalscope.worlds.chess.state import from_boards as states

    board = chess.Board()
    for move in ("e2e4", "e7e5", "g1f3"):
        board.push_uci(move)
    (tmp_path / "with.onnx").write_bytes(onnx(constants(network())))
    (tmp_path / "without.onnx").write_bytes(onnx(constants(network()), {"no_history": "true"}))
    modules: list[Any] = [load(tmp_path / f"{name}.onnx").module for name in ("with", "without")]
    seen, blind = (module.encode(states([board])) for module in modules)
    assert seen[:, 12:104].any() and not blind[:, 12:104].any()
    assert torch.equal(seen[:, :12], blind[:, :12]) and torch.equal(seen[:, 104:], blind[:, 104:])


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("/const/mapping_table", np.arange(1858), "mapping_table is not lc0's order of the 1858 moves"),
        ("/const/pos_encoding", np.zeros((1, 64, 64), np.float32), "pos_encoding is not the map of moves"),
        ("/policy/scale/w", np.ones(1, np.float32), "scale/w is not 1 / sqrt"),
        ("/encoder1/alpha*input/w", np.ones(1, np.float32), "to the power of -1/4"),
        ("/encoder1/mha/K/w/w", np.zeros((8, 11), np.float32), r"mha/K/w/w has shape \[8, 11\], .* needs \[8, 12\]"),
        ("/encoder0/ln1/w/bias", None, r"lacks /encoder0/ln1/w/bias of an attention network"),
        ("/const/smolgen_w", None, "without smolgen nothing says how many heads"),
        ("/policy/Q/matmul/w", None, "attention networks that lc0's converter wrote; its constants are /const"),
        ("/ip_mul_gate/w", np.full((64, 8), np.inf, np.float32), "numbers that are not finite"),
    ],
)  # fmt: skip
def test_what_the_module_does_not_compute_is_refused(name: str, array: Any, words: str, tmp_path: Path):
    found = constants(network()) | {name: array}
    (tmp_path / "lc0.onnx").write_bytes(onnx({key: part for key, part in found.items() if part is not None}))
    with pytest.raises(ValueError, match=f"read as an ONNX model: .*{words}"):
        load(tmp_path / "lc0.onnx")


def test_a_truncated_file_and_numbers_elsewhere(tmp_path: Path):
    whole = onnx(constants(network()))
    for cut in (30, len(whole) // 2, len(whole) - 1):
        (tmp_path / "lc0.onnx").write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="it is truncated or damaged"):
            load(tmp_path / "lc0.onnx")
    outside = writer.message([(1, 2), (2, 1), (8, b"/policy/Q/matmul/w"), (14, 1)])
    (tmp_path / "lc0.onnx").write_bytes(
        writer.message([(1, 4), (2, b"x"), (7, writer.message([(5, outside)]))])
    )
    with pytest.raises(ValueError, match="lie in another file"):
        load(tmp_path / "lc0.onnx")
