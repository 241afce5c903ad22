"""Leela-format networks say what lc0 says, on every reference position; and the traps that fail in silence.

The reference is lc0's own output, rounded to 1e-4 and computed with its fast exponential; hence 1e-3 for probabilities.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

DATA = os.environ.get("GOALSCOPE_DATA")
if DATA is None:
    pytest.skip("GOALSCOPE_DATA is unset: it points at the shared data", allow_module_level=True)
pytest.importorskip("chess", reason="needs the extra goalscope[chess]")
import chess  # noqa: E402

from goalscope.policies.checkpoint import load, save, untrained  # noqa: E402
from goalscope.policies.download import SOURCES  # noqa: E402
from goalscope.policies.lc0 import Lc0, evaluate  # noqa: E402
from goalscope.policies.lc0.moves import (  # noqa: E402
    NAMES,
    convolution_map,
    legal_moves,
    log_probabilities,
    move_probabilities,
)
from goalscope.worlds.chess.planes import encode  # noqa: E402
from goalscope.worlds.chess.state import from_boards  # noqa: E402

FOLDER = Path(str(DATA)) / "chess"
FILES = {
    "1100": "maia-1100",
    "1500": "maia-1500",
    "1900": "maia-1900",
    "attn_map": "random-attention-map",
    "attn_dense": "random-attention-dense",
}
BERLIN = "r1bqkb1r/pppp1ppp/2n2n2/1B2p3/4P3/5N2/PPPP1PPP/RNBQK2R w KQkq - 4 4"


@pytest.fixture(scope="module")
def reference():
    return json.loads((FOLDER / "lc0_reference.json").read_text())


def network(name: str) -> Lc0:
    module = load(FOLDER / f"{FILES[name]}.pb.gz").module
    assert isinstance(module, Lc0)
    return module


def played(entry: dict) -> chess.Board:
    board = chess.Board() if entry["fen"] is None else chess.Board(entry["fen"])
    for move in entry["moves"]:
        board.push_uci(move)
    return board


def as_lc0_writes(board: chess.Board, move: chess.Move) -> str:
    """UCI with castling as king takes rook."""
    if not board.is_castling(move):
        return move.uci()
    rook = "h" if move.to_square > move.from_square else "a"
    return f"{chess.square_name(move.from_square)}{rook}{chess.square_rank(move.from_square) + 1}"


@pytest.mark.parametrize("name", FILES)
def test_every_legal_move_value_and_moves_left(name: str, reference: dict):
    entries = reference[name]
    assert len(entries) == 49
    module = network(name)
    boards = [played(entry) for entry in entries]
    state = from_boards(boards)
    output = evaluate(module, state)
    found = move_probabilities(output.logits, legal_moves(boards, module.transforms(state)))
    promotions = 0
    for i, (entry, board, pairs) in enumerate(zip(entries, boards, found, strict=True)):
        ours = {as_lc0_writes(board, move): p for move, p in pairs}
        assert ours.keys() == entry["policy"].keys()
        promotions += sum(len(uci) == 5 for uci in ours)
        for uci, theirs in entry["policy"].items():
            assert abs(ours[uci] - theirs) < 1e-3, f"{board.fen()} {uci}"
        assert abs(float(output.value[i]) - entry["v"]) < 1e-4, board.fen()
        if "moves_left" in entry:
            assert output.moves_left is not None
            assert abs(float(output.moves_left[i]) - entry["moves_left"]) < 0.06, board.fen()
    assert promotions >= 8, "promotions are compared, too"
    assert ("moves_left" in entries[0]) == (output.moves_left is not None)


def test_the_comparison_can_fail(reference: dict):
    """The control: an untrained network of the shape, and the right network on the wrong position."""
    entries = [entry for entry in reference["1900"] if entry["policy"]]
    boards = [played(entry) for entry in entries]
    control = untrained(load(FOLDER / "maia-1900.pb.gz").config, seed=1).module
    for module, seen in ((control, boards), (network("1900"), boards[1:] + boards[:1])):
        found = move_probabilities(evaluate(module, from_boards(seen)).logits, legal_moves(boards))  # type: ignore[arg-type]
        wrong = 0
        for entry, board, pairs in zip(entries, boards, found, strict=True):
            ours = {as_lc0_writes(board, move): p for move, p in pairs}
            wrong += max(abs(ours[uci] - p) for uci, p in entry["policy"].items()) > 1e-3
        assert wrong > 0.9 * len(entries)


@torch.no_grad()
def test_trap_flattening_channel_last():
    """The planes of the policy head are flattened plane first; the other way legal moves have no mass at all."""
    module, board = network("1900"), chess.Board(BERLIN)
    planes = []
    hook = module.policy_heads["vanilla"].conv2.register_forward_hook(lambda *site: planes.append(site[2]))  # type: ignore[union-attr,operator]
    right = module(module.encode(from_boards([board]))).logits
    hook.remove()
    wrong = planes[0].permute(0, 2, 3, 1).flatten(1)[:, convolution_map()]
    mask = legal_moves([board]).mask()
    masses = [float(logits.softmax(1)[mask].sum()) for logits in (right, wrong)]
    assert masses[0] > 0.99
    assert masses[1] < 1e-3


@torch.no_grad()
def test_trap_no_history():
    module, board = network("1900"), chess.Board(BERLIN)
    state, castles = from_boards([board]), NAMES.index("e1h1")
    legal = legal_moves([board])
    chance = [
        float(
            log_probabilities(module(torch.from_numpy(encode(state, fill=fill))).logits, legal)[
                0, castles
            ].exp()
        )
        for fill in ("fen_only", "no")
    ]
    assert abs(chance[0] - 0.573) < 1e-3
    assert abs(chance[1] - 0.003) < 1e-3


@torch.no_grad()
def test_trap_castling_is_king_takes_rook():
    module, board = network("1900"), chess.Board(BERLIN)
    chance = module(module.encode(from_boards([board]))).logits.softmax(1)[0]
    assert float(chance[NAMES.index("e1h1")]) > 0.5
    assert float(chance[NAMES.index("e1g1")]) < 1e-5
    legal = legal_moves([board])
    castling = [move.uci() for move in legal.moves[0]].index("e1g1")
    assert NAMES[legal.index[castling]] == "e1h1"


def test_policies_of_different_input_formats_agree_on_what_is_legal():
    """Networks with different planes and transforms are read through the same list of legal moves."""
    boards = [chess.Board("8/1k6/8/8/3Q4/8/8/1K6 b - - 0 60"), chess.Board("8/8/2k5/8/8/8/1R6/K7 w - - 3 70")]
    state = from_boards(boards)
    classical, canonical = network("1900"), network("attn_dense")
    assert classical.transforms(state).tolist() == [0, 0]
    assert all(canonical.transforms(state))
    assert not torch.equal(classical.encode(state), canonical.encode(state))
    for module in (classical, canonical):
        legal = legal_moves(boards, module.transforms(state))
        found = move_probabilities(evaluate(module, state).logits, legal)
        for board, pairs in zip(boards, found, strict=True):
            assert {move for move, _ in pairs} == set(board.legal_moves)
            assert abs(sum(p for _, p in pairs) - 1) < 1e-5


def test_several_heads_and_what_was_not_chosen():
    module, state = network("attn_dense"), from_boards([chess.Board(BERLIN)])
    assert list(module.policy_heads) == ["vanilla", "optimistic_st"]
    assert list(module.value_heads) == ["winner", "q"]
    first = evaluate(module, state)
    other = evaluate(module.choose(policy="optimistic_st", value="q"), state)
    assert not torch.allclose(first.logits, other.logits, atol=0.1)
    assert not torch.allclose(first.value, other.value, atol=0.01)
    with pytest.raises(KeyError, match="no head 'soft'; there are vanilla, optimistic_st"):
        module.choose(policy="soft")


@pytest.mark.parametrize("name", FILES)
def test_saved_by_us_it_is_the_same_network(name: str, tmp_path: Path):
    policy = load(FOLDER / f"{FILES[name]}.pb.gz")
    save(tmp_path / "net.safetensors", policy.module, policy.config)
    again = load(tmp_path / "net.safetensors")
    state = from_boards([chess.Board(), chess.Board(BERLIN)])
    first, second = (evaluate(p.module, state) for p in (policy, again))  # type: ignore[arg-type]
    assert torch.equal(first.logits, second.logits) and torch.equal(first.value, second.value)
    assert again.config == policy.config and policy.name == FILES[name]


def test_pinned_sha256_is_that_of_the_files():
    ours = {name: source for name, source in SOURCES.items() if (FOLDER / f"{name}.pb.gz").is_file()}
    assert set(ours) == {"maia-1100", "maia-1500", "maia-1900"}
    for name, source in ours.items():
        path = FOLDER / f"{name}.pb.gz"
        assert load(path).sha256 == source.sha256
        assert path.stat().st_size == source.size


def test_weights_file_without_gzip(tmp_path: Path):
    import gzip

    plain = tmp_path / "maia-1900.pb"
    plain.write_bytes(gzip.decompress((FOLDER / "maia-1900.pb.gz").read_bytes()))
    first, second = load(plain), load(FOLDER / "maia-1900.pb.gz")
    assert first.name == second.name == "maia-1900" and first.sha256 != second.sha256
    for a, b in zip(first.module.parameters(), second.module.parameters(), strict=True):
        assert torch.equal(a, b)


def test_history_changes_what_is_played():
    """The same position reached by moves or given by its FEN: another input, another policy."""
    moves = ["e2e4", "e7e5", "g1f3", "b8c6", "f1b5", "g8f6"]
    game = chess.Board()
    for move in moves:
        game.push_uci(move)
    given = chess.Board(game.fen(en_passant="fen"))
    module = network("1900")
    output = evaluate(module, from_boards([game, given])).logits
    assert np.abs((output[0] - output[1]).numpy()).max() > 0.1
