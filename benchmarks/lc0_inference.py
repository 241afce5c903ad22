"""Positions per second of the 6 x 64 network (Maia's shape) on a batch of 256 against onnxruntime on the same weights.

Peer: onnxruntime 1.31 on the graph that is exported here from the same module by its operations (Conv, ReduceMean,
Gemm, Sigmoid, ...), with all of its graph optimisations, on planes that lie ready; once in one batch of 256, once in
pieces of 64, and it counts with the faster of the two. Same planes and number of threads, CPU.
Ours: one forward of the module on 256 ready planes (lc0_forward); `evaluate`, which encodes the positions and runs the
batch in pieces of 64 that stay in the cache (lc0_encoding_included); and such pieces of ready planes (lc0_inference).
RATIO is our positions per second over the peer's. Bounds: at least 0.9 on ready planes, 0.7 with the encoding.

The weights are those of Maia 1900 where GOALSCOPE_DATA is set, else random ones. The peer is in
benchmarks/requirements.txt. Threads: OMP_NUM_THREADS, or 2.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from goalscope.policies.lc0 import PIECE, Lc0, evaluate
from goalscope.policies.lc0.convert import load_lc0
from goalscope.worlds.chess.state import ChessState, from_boards

BATCH = 256
REPEATS = 25
THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))


def rates(runs: dict[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, float]:
    """Positions per second of each, by the median time, alternating, after a warm-up of all."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(repeats + 3):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if i >= 3:
                times[name].append(time.perf_counter() - start)
    return {name: BATCH / statistics.median(found) for name, found in times.items()}


def network() -> Lc0:
    """Maia 1900, or random weights of its shape."""
    folder = os.environ.get("GOALSCOPE_DATA")
    if folder:
        path = Path(folder) / "chess" / "maia-1900.pb.gz"
        module, _ = load_lc0(path.read_bytes(), path)
    else:
        torch.manual_seed(0)
        module = Lc0(squeeze=8).eval()
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def positions() -> ChessState:
    """256 positions of random games, with their histories."""
    import chess

    rng = np.random.default_rng(0)
    boards = []
    while len(boards) < BATCH:
        board = chess.Board()
        for _ in range(int(rng.integers(2, 80))):
            moves = list(board.legal_moves)
            if not moves:
                break
            board.push(moves[rng.integers(len(moves))])
        boards.append(board)
    return from_boards(boards)


def graph(module: Lc0) -> bytes:
    """The network as an ONNX model, operation by operation."""
    import onnx  # pyright: ignore[reportMissingImports]
    from onnx import TensorProto, helper, numpy_helper  # pyright: ignore[reportMissingImports]

    state = {name: tensor.contiguous().numpy() for name, tensor in module.state_dict().items()}
    constants: dict[str, np.ndarray] = dict(state)
    nodes: list[Any] = []

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def convolution(x: str, name: str, relu: bool = True) -> str:
        side = state[f"{name}.weight"].shape[2]
        out = add(
            "Conv", [x, f"{name}.weight", f"{name}.bias"], f"{name}.out",
            kernel_shape=[side, side], pads=[side // 2] * 4,
        )  # fmt: skip
        return add("Relu", [out], f"{name}.relu") if relu else out

    def dense(x: str, name: str) -> str:
        return add("Gemm", [x, f"{name}.weight", f"{name}.bias"], f"{name}.out", transB=1)

    constants |= {"space": np.array([2, 3], np.int64), "column": np.array([2, 3], np.int64)}
    x = convolution("planes", "body.conv")
    for block in range(len(module.body.blocks)):  # type: ignore[arg-type]
        name = f"body.blocks.{block}"
        y = convolution(convolution(x, f"{name}.conv1"), f"{name}.conv2", relu=False)
        mean = add("ReduceMean", [y, "space"], f"{name}.mean", keepdims=0)
        hidden = add("Relu", [dense(mean, f"{name}.se.dense1")], f"{name}.hidden")
        columns = add("Unsqueeze", [dense(hidden, f"{name}.se.dense2"), "column"], f"{name}.columns")
        nodes.append(helper.make_node("Split", [columns], [f"{name}.a", f"{name}.b"], axis=1, num_outputs=2))
        gate = add("Sigmoid", [f"{name}.a"], f"{name}.gate")
        scaled = add("Mul", [y, gate], f"{name}.scaled")
        shifted = add("Add", [scaled, f"{name}.b"], f"{name}.shifted")
        x = add("Relu", [add("Add", [shifted, x], f"{name}.sum")], name)
    head = "policy_heads.vanilla"
    planes = convolution(convolution(x, f"{head}.conv1"), f"{head}.conv2", relu=False)
    square, plane = np.divmod(module.policy_heads["vanilla"].place.numpy(), 80)  # type: ignore[union-attr,operator]
    constants["place"] = plane * 64 + square
    flat = add("Flatten", [planes], "flat")
    add("Gather", [flat, "place"], "logits", axis=1)
    head = "value_heads.winner"
    value = add("Flatten", [convolution(x, f"{head}.conv")], "value_flat")
    hidden = add("Relu", [dense(value, f"{head}.dense1")], "value_hidden")
    add("Softmax", [dense(hidden, f"{head}.dense2")], "wdl", axis=1)
    model = helper.make_model(
        helper.make_graph(
            nodes, "lc0",
            [helper.make_tensor_value_info("planes", TensorProto.FLOAT, ["N", 112, 8, 8])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1858]),
             helper.make_tensor_value_info("wdl", TensorProto.FLOAT, ["N", 3])],
            [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
    )  # fmt: skip
    model.ir_version = 10
    onnx.checker.check_model(model)
    return model.SerializeToString()


def main() -> int:
    """Prints the rates and the ratios."""
    try:
        import onnxruntime  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        print(
            f"the peer is not installed ({error}): pip install -r benchmarks/requirements.txt",
            file=sys.stderr,
        )
        return 1
    torch.set_num_threads(THREADS)
    module, state = network(), positions()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(graph(module), options, providers=["CPUExecutionProvider"])
    planes = module.encode(state)
    ready = {"planes": planes.contiguous().numpy()}
    pieces = [{"planes": piece.contiguous().numpy()} for piece in planes.split(PIECE)]
    cut = f"{-(-BATCH // PIECE)} pieces of {PIECE}"
    peers = (f"onnxruntime, one batch of {BATCH}", f"onnxruntime, {cut}")
    own = (f"forward, one batch of {BATCH}", f"with the encoding, {cut}", f"forward, {cut}")
    with torch.inference_mode():
        logits, wdl = session.run(None, ready)
        ours = module(planes)
        apart = max(np.abs(ours.logits.numpy() - logits).max(), np.abs(ours.wdl.numpy() - wdl).max())
        if apart > 1e-3:
            print(f"the two networks differ by {apart}: nothing is compared", file=sys.stderr)
            return 1
        found = rates(
            {
                peers[0]: lambda: session.run(None, ready),
                peers[1]: lambda: [session.run(None, piece) for piece in pieces],
                own[0]: lambda: module(planes),
                own[1]: lambda: evaluate(module, state),
                own[2]: lambda: [module(piece) for piece in planes.split(PIECE)],
            }
        )
    print(f"positions per second of {BATCH}, {THREADS} threads (greatest difference {apart:.1e})")
    for name, rate in found.items():
        print(f"{name:40}{rate:10.0f}")
    best = max(peers, key=lambda name: found[name])
    print(f"ratios are to {best}, the faster of the peer's two")
    for name, run in zip(("lc0_forward", "lc0_encoding_included", "lc0_inference"), own, strict=True):
        print(f"RATIO {name} {found[run] / found[best]:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
