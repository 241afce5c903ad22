"""Square patching on a network that copies a planted third move, and on one that decides from the first move alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.methods.chess.square_patch import against_matched, matched_squares, patch_squares
from goalscope.methods.reading.probe import fit_probe

SITES = ["blocks.0", "blocks.1"]
N = 60
FIRST, THIRD, OCCUPIED = 0, 1, 2


class Planner(nn.Module):
    """Channels mark the first and the third move's square; the policy reads one of them and what is occupied.

    The third is copied into the stream by the first block (it is not in the input of the second), so it is a
    representation and not the input itself.
    """

    def __init__(self, reads: int, tokens: bool = False):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Identity(), nn.Identity()])
        self.reads, self.tokens = reads, tokens

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).movedim(1, 2) if self.tokens else x
        for block in self.blocks:
            x = block(x)
        flat = x.movedim(1, 2) if self.tokens else x.flatten(2)
        mixed = 0.1 * flat[:, OCCUPIED].sum(1)
        return torch.stack([3 * flat[:, self.reads].sum(1) + mixed, mixed], 1)


def planted() -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
    """Clean and corrupted boards [N, 3, 8, 8], the two squares of each; the twin lacks both plans and one piece."""
    rng = np.random.default_rng(0)
    clean = torch.zeros(N, 3, 8, 8)
    clean[:, OCCUPIED] = torch.from_numpy(rng.random((N, 8, 8)) < 0.5).float()
    squares = np.stack([rng.permutation(64)[:3] for _ in range(N)])
    flat = clean.view(N, 3, 64)
    rows = torch.arange(N)
    flat[rows, FIRST, squares[:, 0]] = 1
    flat[rows, THIRD, squares[:, 1]] = 1
    corrupted = clean.clone()
    corrupted[:, :2] = 0
    corrupted.view(N, 3, 64)[rows, OCCUPIED, squares[:, 2]] = 1 - flat[rows, OCCUPIED, squares[:, 2]]
    return clean, corrupted, squares[:, 0], squares[:, 1]


def metric(output: object, rows: np.ndarray) -> Tensor:
    assert isinstance(output, Tensor)
    return output[:, 0] - output[:, 1]


def slots(clean: Tensor, first: np.ndarray, third: np.ndarray) -> np.ndarray:
    """[N, 8] first, third, three squares matched with each."""
    found = []
    for n in range(N):
        kind = clean[n, OCCUPIED].flatten().long().numpy()[:, None]
        distance = np.maximum(abs(np.arange(64) // 8 - first[n] // 8), abs(np.arange(64) % 8 - first[n] % 8))
        matched = matched_squares(
            [first[n], third[n]], kind, distance, [first[n], third[n]], most=3, tolerance=3
        )
        found.append([first[n], third[n], *matched.squares.ravel()])
    return np.array(found)


@pytest.mark.parametrize("tokens", [False, True])
def test_look_ahead_is_told_from_a_decision_by_the_first_move(tokens: bool) -> None:
    clean, corrupted, first, third = planted()
    squares = slots(clean, first, third)
    margins = {}
    for reads in (FIRST, THIRD):
        effects = patch_squares(Planner(reads, tokens), clean, corrupted, SITES, squares, metric, batch=17)
        for slot, matched in ((0, [2, 3, 4]), (1, [5, 6, 7])):
            margins[reads, slot] = np.nanmean(against_matched(effects, slot, matched), axis=0)
    np.testing.assert_allclose(margins[THIRD, 1], 3, atol=1e-5)
    np.testing.assert_allclose(margins[FIRST, 1], 0, atol=1e-5)
    np.testing.assert_allclose(margins[FIRST, 0], 3, atol=1e-5)
    np.testing.assert_allclose(margins[THIRD, 0], 0, atol=1e-5)


def test_a_probe_reads_the_third_move_only_where_it_is_written() -> None:
    clean, _, _, third = planted()
    rows = clean.flatten(2).movedim(1, 2)
    level = np.repeat(np.arange(N), 64)
    y = (np.arange(64) == third[:, None]).astype(int).ravel()

    def share(x: Tensor) -> float:
        half = level < N // 2
        fitted = fit_probe(x.flatten(0, 1)[torch.from_numpy(half)], y[half], level[half], penalty=1e-3)
        best = fitted(x)[N // 2 :, :, 1].argmax(1).numpy()
        return float((best == third[N // 2 :]).mean())

    assert share(rows) == 1.0
    assert share(rows[:, :, [FIRST, OCCUPIED]]) < 0.2


def test_effects_are_those_of_brute_force() -> None:
    clean, corrupted, *_ = planted()
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.Flatten())
    torch.manual_seed(0)
    squares = np.array([[5, -1], [9, 63]] * (N // 2))

    def total(output: object, rows: np.ndarray) -> Tensor:
        assert isinstance(output, Tensor)
        return output.sum(1) * torch.from_numpy(
            rows + 1.0
        )  # rows must be numbers of positions, not of the batch

    effects = patch_squares(net, clean, corrupted, ["0"], squares, total, batch=7)
    with torch.no_grad():
        ours, theirs = net[0](clean), net[0](corrupted)
        for n in (0, 1, 31):
            for s, square in enumerate(squares[n]):
                if square < 0:
                    assert np.isnan(effects.effect[n, 0, s])
                    continue
                mixed = ours[[n]].clone()
                mixed[0, :, square // 8, square % 8] = theirs[n, :, square // 8, square % 8]
                plain, after = (net[1:](x).sum() * (n + 1) for x in (ours[[n]], mixed))
                assert effects.effect[n, 0, s] == pytest.approx(float(plain - after), abs=1e-3)


def test_all_squares_together_give_the_corrupted_run_and_its_own_activations_nothing() -> None:
    clean, corrupted, *_ = planted()
    net = Planner(THIRD)
    everything = np.tile(np.arange(64), (N, 1))
    together = patch_squares(net, clean, corrupted, SITES, everything, metric, together=True)
    np.testing.assert_allclose(
        together.effect[:, :, 0], (together.clean - together.corrupted)[:, None].repeat(2, 1), atol=1e-5
    )
    assert (together.clean - together.corrupted > 2).all()
    null = patch_squares(net, clean, clean, SITES, everything, metric)
    assert (null.effect == 0).all()


def test_matched_squares_are_alike_and_free() -> None:
    rng = np.random.default_rng(1)
    kind, distance = rng.integers(0, 2, (64, 3)), rng.integers(0, 7, 64)
    exclude = list(range(10))
    found = matched_squares([20, -1, 33], kind, distance, exclude, most=5, tolerance=1)
    assert (found.squares[1] == -1).all() and found.count[1] == 0
    for row, target in ((0, 20), (2, 33)):
        chosen = found.squares[row][found.squares[row] >= 0]
        assert len(chosen) and found.count[row] == len(chosen) == len(set(chosen.tolist()))
        assert target not in chosen and not set(chosen.tolist()) & set(exclude)
        assert (kind[chosen] == kind[target]).all() and (abs(distance[chosen] - distance[target]) <= 1).all()
        assert (np.diff(abs(distance[chosen] - distance[target])) >= 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"squares": np.full((N, 2), -1)}, "all of them are -1"),
        ({"squares": np.full((N, 2), 64)}, "must lie in 0..63"),
        ({"squares": np.zeros((N - 1, 2), int)}, "one row a position"),
        ({"sites": []}, "no sites"),
        ({"sites": ["block.0"]}, "blocks.0"),
        ({"sites": [""]}, "no board"),
        ({"corrupted": torch.zeros(N, 3, 8, 7)}, "of one shape"),
        ({"metric": lambda output, rows: output}, "one number each"),
    ],
)
def test_wrong_input_is_named(change: dict, message: str) -> None:
    clean, corrupted, *_ = planted()
    given = dict(clean=clean, corrupted=corrupted, sites=SITES, squares=np.zeros((N, 1), int), metric=metric)
    with pytest.raises(ValueError, match=message):
        patch_squares(Planner(FIRST), **{**given, **change})  # type: ignore[arg-type]
