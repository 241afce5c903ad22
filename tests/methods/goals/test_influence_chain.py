"""The influence chain of agents whose solvers are built by hand: two that keep each other going, and one by itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from goalscope.methods.goals.influence_chain import Influence, influence, solver_chain

FIRST, SECOND, ALONE, NOWHERE = range(4)


class Solvers(nn.Module):
    """Three solvers, each active in its own context, each with its own move; `heard` is how far the moves heed them."""

    def __init__(self, heard: float = 8.0):
        super().__init__()
        self.see = nn.Linear(4, 3, bias=False)
        self.solve = nn.ReLU()
        self.act = nn.Linear(3, 3, bias=False)
        with torch.no_grad():
            self.see.weight.copy_(torch.eye(3, 4))
            self.act.weight.copy_(heard * torch.eye(3))

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4] to logits [N, 3]."""
        return self.act(self.solve(self.see(x)))


def observe(state: np.ndarray) -> Tensor:
    return torch.eye(4)[torch.from_numpy(state)]


def step(state: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """The right move leads from the first context to the second and back, or stays alone; a wrong one leads nowhere."""
    right = np.array([SECOND, FIRST, ALONE, NOWHERE])[state]
    return np.where((moves == state) | (state == NOWHERE), right, NOWHERE)


def found(module: nn.Module, reading: str = "value", count: int = 900) -> Influence:
    state = np.arange(count) % 3
    return influence(
        module, "solve", state, observe=observe, step=step, take=lambda s, rows: s[rows], solvers=[0, 1, 2],
        steps=6, reading=reading,
    )  # fmt: skip


def test_two_that_keep_each_other_going_and_one_alone_are_two_classes() -> None:
    chain = solver_chain(found(Solvers()))
    assert chain.closed == chain.confirmed == ((0, 1), (2,))
    np.testing.assert_allclose(chain.stationary, [[0.5, 0.5, 0], [0, 0, 1]], atol=0.1)
    np.testing.assert_allclose(chain.matrix[2, :2], 0, atol=0.1)


def test_the_influence_is_what_the_world_makes_of_it() -> None:
    given = found(Solvers())
    at = np.arange(900) % 3
    assert given.turned.min() > 0.05
    assert (given.effects[at == ALONE, 2, 0] == 0).all() and (given.effects[at == ALONE, 2, 2].max() == 1)
    # Who leaves the first context by a wrong move misses three visits of each of the two in six steps.
    lost = given.effects[(at == FIRST) & (given.effects[:, 0].sum(1) > 0), 0]
    np.testing.assert_allclose(lost, np.tile([0.5, 0.5, 0.0], (len(lost), 1)))
    assert given.correlation[0, 1] > 0.5 and given.correlation[2, 2] > 0.5


def test_by_its_gradient_a_solver_is_as_active_as_its_move_depends_on_it() -> None:
    given = found(Solvers(3.0), "gradient")
    first = np.arange(900) % 3 == FIRST
    odds = np.exp([3.0, 0, 0])
    own = 3 * (1 - odds[0] / odds.sum())
    taken = np.isclose(given.active[first, 0], own, atol=1e-5)
    assert taken.mean() > 0.8, "where it takes its own move"
    np.testing.assert_allclose(given.active[first][taken, 1], 3 * odds[1] / odds.sum(), atol=1e-5)


def test_solvers_that_nobody_heeds_have_no_influence_and_no_class() -> None:
    given = found(Solvers(0.0))
    assert not given.effects.any() and not given.turned.any()
    assert solver_chain(given).closed == ()


def test_the_rest_is_played_with_the_same_random_numbers() -> None:
    """The first move leads to the same place whatever it is, so what follows is the same too, though every move is drawn."""

    def forgetful(state: np.ndarray, moves: np.ndarray) -> np.ndarray:
        return np.where(
            state == FIRST, SECOND, np.where(state == NOWHERE, NOWHERE, np.where(moves == 0, ALONE, SECOND))
        )

    given = influence(
        Solvers(1.0), "solve", np.array([FIRST, ALONE] * 200), observe=observe, step=forgetful,
        take=lambda s, rows: s[rows], solvers=[0, 1, 2], steps=6,
    )  # fmt: skip
    assert given.turned[0] > 0.05 and not given.effects[::2, 0].any()


def test_a_class_that_influence_leaves_is_not_closed() -> None:
    """0 and 1 keep each other going and feed 2, which keeps only itself."""
    effects = np.zeros((200, 3, 3))
    effects[:, 0, 1] = effects[:, 1, 0] = effects[:, 0, 2] = effects[:, 2, 2] = 1.0
    given = Influence(effects, np.ones((200, 3)), np.ones(3), np.zeros((3, 3)))
    chain = solver_chain(given)
    assert chain.kept.tolist() == [[False, True, True], [True, False, False], [False, False, True]]
    assert chain.closed == ((2,),) and chain.inside.tolist() == [1.0]


def test_equal_influence_of_all_on_all_is_no_shard() -> None:
    rng = np.random.default_rng(0)
    given = Influence(rng.random((80, 5, 5)), np.ones((80, 5)), np.ones(5), np.zeros((5, 5)))
    assert solver_chain(given).confirmed == ()


class Remembers(Solvers):
    """Has a memory."""

    def initial_carry(self, count: int) -> Tensor:
        return torch.zeros(count)


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="has a memory, which carries influence besides the world"):
        found(Remembers())
    with pytest.raises(ValueError, match="no reading 'size'"):
        found(Solvers(), "size")
    with pytest.raises(ValueError, match=r"2 levels and solvers within 0\.\.2 are needed"):
        found(Solvers(), count=1)
