"""Maia-3: its sizes, whose moves its logits are, ratings as a dial, and files that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from goalscope.policies.checkpoint import load, save, untrained
from goalscope.policies.lc0.moves import NAMES, legal_moves
from goalscope.policies.maia3 import Maia3

chess = pytest.importorskip("chess", reason="needs the extra goalscope[chess]")

SIZES: dict[str, Any] = {
    "width": 12, "blocks": 2, "heads": 3, "hidden": 10, "compressed": 2, "position_hidden": 5, "generated": 4,
    "history": 8, "rating_size": 6, "queries": 7,
}  # fmt: skip
LAYER = {
    "attention.mix": "self_attn.mha.out_proj", "attention.position.compress": "self_attn.sm1",
    "attention.position.dense1": "self_attn.sm2", "attention.position.norm1": "self_attn.ln1",
    "attention.position.dense2": "self_attn.sm3", "attention.position.norm2": "self_attn.ln2", "dense1": "linear1",
    "dense2": "linear2", "norm1": "norm1", "norm2": "norm2",
}  # fmt: skip
REST = {
    "embedding": "token_projection", "bank.weight": "gab_shared_weight", "norm": "transformer.norm",
    "mean_norm": "last_ln", "policy.query": "proj_sq_from", "policy.key": "proj_sq_to",
    "policy.promotion": "promo_bias_proj", "value_head.dense1": "fc_value_hid", "value_head.dense2": "fc_value",
    "ponder_head.dense1": "fc_ponder_hid", "ponder_head.dense2": "fc_ponder",
}  # fmt: skip
"""our name of a layer, and the project's"""


def network(**changes: Any) -> Maia3:
    torch.manual_seed(0)
    return Maia3(**{**SIZES, **changes}).eval()


def theirs(module: Maia3) -> dict[str, Tensor]:
    """A state dict by the project's names."""
    state, found = module.state_dict(), {}
    found["elo_embedding_low.weight"] = state.pop("strongest")[None]
    found["elo_embedding_high.weight"] = state.pop("weakest")[None]
    for k in range(len(module.layers)):
        mine, name = f"layers.{k}", f"transformer.layers.{k}"
        parts = [state.pop(f"{mine}.attention.{part}.weight") for part in ("query", "key", "value")]
        found[f"{name}.self_attn.mha.in_proj_weight"] = torch.cat(parts)
        found[f"{name}.self_attn.gab_weight"] = state["bank.weight"]
    for name, layer in state.items():
        for ours, other in REST.items():
            if name == ours or name.rpartition(".")[0] == ours:
                found[name.replace(ours, other, 1)] = layer
        if name.startswith("layers."):
            _, k, rest = name.split(".", 2)
            part, _, last = rest.rpartition(".")
            found[f"transformer.layers.{k}.{LAYER[part]}.{last}"] = layer
    return found


def states(*boards: Any) -> Any:
    from goalscope.worlds.chess.state import from_boards

    return from_boards(list(boards))


@pytest.mark.parametrize(
    ("width", "heads", "generated", "compressed", "count"),
    [
        (192, 6, 64, None, 3_152_964), (256, 8, 64, None, 5_230_084), (512, 16, 128, 32, 22_936_580),
        (1024, 32, 128, 32, 78_899_716),
    ],
)  # fmt: skip
def test_published_sizes(width: int, heads: int, generated: int, compressed: int | None, count: int):
    with torch.device("meta"):
        made = Maia3(width, 8, heads, 2 * width, compressed, generated, generated, 8, 128, width)
    assert sum(p.numel() for p in made.parameters()) == count


@pytest.mark.parametrize("form", ["plain", "model_state_dict", "of DataParallel", "older names"])
@pytest.mark.parametrize("compressed", [2, None])
def test_files_load_in_every_form(form: str, compressed: int | None, tmp_path: Path):
    module = network(compressed=compressed)
    state: Any = theirs(module)
    if form == "of DataParallel":
        state = {f"module.{name}": layer for name, layer in state.items()}
    if form == "older names":
        state = {name.replace("gab", "smolgen"): layer for name, layer in state.items()}
    torch.save({"model_state_dict": state} if form == "model_state_dict" else state, tmp_path / "m.pt")
    policy = load(tmp_path / "m.pt")
    mine = policy.module.state_dict()
    assert mine.keys() == module.state_dict().keys()
    assert all(torch.equal(mine[name], layer) for name, layer in module.state_dict().items())
    save(tmp_path / "own.safetensors", policy.module, policy.config)
    assert load(tmp_path / "own.safetensors").config["architecture"] == policy.config["architecture"]
    assert untrained(policy.config, 0).module.state_dict().keys() == mine.keys()


def test_every_legal_move_has_the_networks_own_logit_for_it():
    """Castling is the king's own move there, and a pawn that becomes a knight has a logit of its own."""
    module = network()
    boards = [
        chess.Board("r3k2r/1P4P1/8/8/8/8/1p4p1/R3K2R w KQkq - 0 1"),
        chess.Board("r3k2r/1P4P1/8/8/8/8/1p4p1/R3K2R b KQkq - 0 1"),
        chess.Board("1n6/P1R5/8/3pP3/8/2k5/8/2K5 w - d6 0 1"),
        chess.Board(),
    ]
    x = module.encode(states(*boards))
    with torch.inference_mode():
        logits, raw = module(x).logits, module.policy(module.norm(module.layers(embedded(module, x))))
    legal = legal_moves(boards, module.transforms(states(*boards)))
    at = 0
    for n, (board, moves) in enumerate(zip(boards, legal.moves, strict=True)):
        for move in moves:
            start, target = move.from_square, move.to_square
            if not board.turn:
                start, target = chess.square_mirror(start), chess.square_mirror(target)
            place = 64 * start + target
            if move.promotion:
                place = (
                    4096
                    + 32 * (start % 8)
                    + 4 * (target % 8)
                    + "qrbn".index(chess.piece_symbol(move.promotion))
                )
            assert logits[n, legal.index[at]] == raw[n, place], (n, move)
            at += 1
    assert at == len(legal.index) and at > 60


def embedded(module: Maia3, x: Tensor) -> Tensor:
    own, other = (x[:, :, k, None] for k in (-2, -1))
    ratings = [w * module.strongest + (1 - w) * module.weakest for w in (own, other)]
    return module.embedding(torch.cat([x[:, :, :-2], *ratings], 2))


def test_a_token_holds_the_game_oldest_first_and_the_earliest_again_where_none_is_known():
    board = chess.Board()
    for move in ("e2e4", "e7e5", "g1f3"):
        board.push_uci(move)
    x = network().encode(states(board), (2000, 1000))
    tokens = x[0, :, :-2].reshape(64, 8, 12)
    assert torch.allclose(x[0, 5, -2:], torch.tensor([0.4, 0.2]))
    for back in range(8):
        shown = tokens[:, 7 - back]
        for square, piece in board.piece_map().items():
            kind = piece.piece_type - 1 + (0 if piece.color == chess.BLACK else 6)
            assert shown[chess.square_mirror(square), kind] == 1, "from the side of Black, who is to move"
        assert shown.sum() == 32
        if board.move_stack:
            board.pop()


def test_ratings_are_a_dial():
    module, state = network(), states(chess.Board())
    module.ratings = (1100.0, 1900.0)
    assert torch.equal(module.encode(state), module.encode(state, (1100.0, 1900.0)))
    with torch.inference_mode():
        weak, strong = (module(module.encode(state, (r, 1500.0))) for r in (600.0, 2600.0))
    assert not torch.allclose(weak.logits, strong.logits, atol=1e-3)
    assert torch.allclose(weak.wdl.sum(1), torch.ones(1)) and torch.equal(
        weak.value, weak.wdl[:, 0] - weak.wdl[:, 2]
    )


@pytest.mark.parametrize(
    ("name", "layer", "words"),
    [
        ("proj_sq_to.weight", None, r"lacks proj_sq_to\.weight of Maia-3; it has elo_embedding_low"),
        ("extra.weight", torch.zeros(2), r"Maia-3 has no extra\.weight, which the file holds"),
        ("token_projection.weight", torch.zeros(12, 100), "reads 100 numbers: 12 kinds of pieces"),
        ("transformer.layers.1.self_attn.sm3.weight", torch.zeros(11, 5), "gives 11 numbers, no multiple of the 4"),
        ("elo_embedding.weight", torch.zeros(11, 4), "is Maia-2, which is not read: its tokens are channels"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_named(name: str, layer: Tensor | None, words: str, tmp_path: Path):
    state = {**theirs(network()), name: layer}
    if "sm3" in name:
        state[name.replace("weight", "bias")] = torch.zeros(11)
    torch.save({key: part for key, part in state.items() if part is not None}, tmp_path / "m.pt")
    with pytest.raises(ValueError, match=words):
        load(tmp_path / "m.pt")


def test_names_of_the_moves_that_are_castling():
    assert {NAMES.index("e1h1"), NAMES.index("e1a1")} <= set(np.asarray(network().instead[:, 0]).tolist())
