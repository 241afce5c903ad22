"""Retargeting a planner with an explicit goal map: one activation must take it to every square, and nothing less."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from goalscope.activations import editing
from goalscope.methods.intervening.frontier import frontier, smallest_budget
from goalscope.methods.intervening.retarget import Cases, TargetEdit, confirm, search
from goalscope.stats import Estimate
from goalscope.worlds.maze import Maze

SIZE = 7
CHANNELS = 6
WALLS, GOAL = 1, 4  # the planner's own channels; the others are read by nothing


def neighbours(x: Tensor) -> Tensor:
    """[N, 4, H, W] the values up, down, left and right of each square; 0 beyond the edge."""
    padded = F.pad(x, (1, 1, 1, 1))
    return torch.stack(
        [padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]], 1
    )


class Planner(nn.Module):
    """Value iteration on a goal map that is one channel of `encode`; moves go to the neighbour of highest value."""

    def __init__(self, goal: int | None = GOAL, size: int = SIZE):
        super().__init__()
        self.goal, self.steps = goal, 3 * size
        self.encode = nn.Conv2d(2, CHANNELS, 1)
        with torch.no_grad():
            self.encode.weight.copy_(
                torch.randn(self.encode.weight.shape, generator=torch.Generator().manual_seed(0))
            )
            self.encode.weight[WALLS] = torch.tensor([1.0, 0.0]).view(2, 1, 1)
            self.encode.weight[GOAL] = torch.tensor([0.0, 1.0]).view(2, 1, 1)
            self.encode.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """[N, 2, H, W] walls and goal to [N, 4, H, W] log-probabilities of the moves on every square."""
        features = self.encode(x)
        free = 1 - x[:, 0]
        goal = (x[:, 1] if self.goal is None else features[:, self.goal]) * free
        value = goal
        for _ in range(self.steps):
            value = torch.maximum(goal, 0.9 * neighbours(value).amax(1)) * free
        return (100 * (neighbours(value * free) + 1e-9).log()).log_softmax(1)


def reach(log_probs: Tensor, walls: Tensor, target: Tensor, start: Tensor) -> Tensor:
    """[N] probability of standing on the target within 60 steps, with a gradient."""
    free = ~walls
    probability = target.float()
    moves = log_probs.exp()
    for _ in range(60):
        ahead, open_ahead = neighbours(probability * free), neighbours(free.float())
        stays = (moves * (1 - open_ahead)).sum(1) * probability
        probability = torch.where(target, 1.0, (moves * open_ahead * ahead).sum(1) + stays)
    return (probability * start).sum((1, 2))


@lru_cache
def cases(first: int, levels: int, size: int = SIZE) -> Cases:
    """Every maze with every free square as its target."""
    state = Maze(size=size, cheese_region=None).generate(range(first, first + levels))
    level, row, column = np.nonzero(~state.walls)
    walls = torch.from_numpy(state.walls[level])
    target, start, cheese = (torch.zeros(walls.shape, dtype=torch.bool) for _ in range(3))
    every = np.arange(len(level))
    target[every, row, column] = True
    for plane, square in ((start, state.mouse), (cheese, state.cheese)):
        plane[every, square[level, 0], square[level, 1]] = True
    inputs = torch.stack([walls, cheese], 1).float()
    return Cases(inputs, target, lambda output: reach(output, walls, target, start), level + first)


VALUES = (-1.0, 1.0, 100.0)


@pytest.fixture(scope="module")
def found():
    return search(Planner(), "encode", cases(0, 5), values=VALUES, batch=512)


def test_one_activation_of_the_goal_map_is_found(found):
    assert found.edit == TargetEdit("replace", (GOAL,), (100.0,))
    assert found.trace.shape == (2, len(cases(0, 5).level)) and (found.trace[1] > 0.999).all()
    assert found.scored == CHANNELS * len(VALUES) + (CHANNELS - 1) * len(
        VALUES
    )  # two rounds, the second in vain
    assert found.alone.shape == (CHANNELS, len(VALUES)) and found.alone[GOAL, 2] == found.alone.max()
    # A wall in front of the target is of no use either: it hides the target from the planner.
    assert (found.alone[[0, 2, 3, 5]] == found.trace[0].mean()).all()


def test_every_square_of_every_held_out_maze_is_reached_with_the_minimal_edit(found):
    result = confirm(found, Planner(), "encode", [cases(5, 10), cases(15, 14)], batch=512)
    assert (result.cases["success"] > 0.999).all()
    assert result.success.n == 24 and len(result.cases["level"]) == len(result.cases["floor"])
    assert result.fraction == pytest.approx(1 / (CHANNELS * SIZE * SIZE))
    assert result.bare.estimate < 0.6 and result.floor.estimate < 0.75
    assert result.beyond_floor.low > 0.2


def test_random_edits_have_the_count_places_and_norm_of_the_edit():
    x = torch.randn(30, 8, 4, 4, generator=torch.Generator().manual_seed(1))
    where = torch.rand(30, 4, 4, generator=torch.Generator().manual_seed(2)) < 0.2
    where[:, 0, 0] = True
    seen: list[Tensor] = []

    def objective(output: Tensor) -> Tensor:
        seen.append(output - x)  # the module hands its activations through
        return torch.zeros(30)

    edit = TargetEdit("add", (2, 5), (3.0, -4.0))
    given = Cases(x, where, objective, np.arange(30))
    result = confirm(edit, nn.Sequential(nn.Identity(), nn.Identity()), "0", given, floor_draws=6)
    bare, edited, *random = seen
    assert not bare.any() and len(random) == 6
    norm = 5 * where.sum((1, 2)).sqrt()
    assert torch.allclose(edited.flatten(1).norm(dim=1), norm, atol=1e-4)
    for change in random:
        assert torch.allclose(change.flatten(1).norm(dim=1), norm, atol=1e-4)
        assert ((change != 0).any(1) == where).all()
        assert (change != 0).any(0).any(-1).any(-1).sum() == 2
    assert (
        len({tuple((change != 0).flatten(2).any(-1).any(0).nonzero()[:, 0].tolist()) for change in random})
        > 1
    )
    assert result.fraction == pytest.approx(float(where.float().mean()) / 4)
    assert result.norm_share == pytest.approx(float((norm / x.flatten(1).norm(dim=1)).mean()), rel=1e-4)
    assert result.success.estimate == result.floor.estimate == 0


def test_search_works_by_editing_what_it_says(found):
    given = cases(5, 3)
    module = Planner()
    with torch.no_grad(), editing(module, {"encode": found.edit.at(given.where)}):
        success = given.objective(module(given.inputs))
    result = confirm(found, module, "encode", given, batch=64)
    assert np.allclose(result.cases["success"], success.numpy(), atol=1e-6)


def test_a_network_that_reads_its_goal_elsewhere_cannot_be_retargeted_here():
    nothing = search(Planner(goal=None), "encode", cases(0, 3), values=VALUES)
    assert nothing.edit.channels == () and len(nothing.trace) == 1
    with pytest.raises(ValueError, match="the search found nothing"):
        confirm(nothing, Planner(goal=None), "encode", cases(5, 2))


def test_gradient_preselection_finds_the_same_and_runs_less():
    first, second = nn.Conv2d(2, 8, 1).double(), nn.Conv2d(8, 4, 3, padding=1).double()
    module = nn.Sequential(first, second)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(40, 2, 5, 5, generator=generator, dtype=torch.float64)
    where = torch.zeros(40, 5, 5, dtype=torch.bool)
    where[torch.arange(40), torch.arange(40) % 5, 2] = True
    linear = Cases(x, where, lambda output: (output[:, 1] * where).sum((1, 2)), np.arange(40))
    whole = search(module, "0", linear, most=2)
    quick = search(module, "0", linear, most=2, preselect=3)
    assert quick.edit == whole.edit and quick.scored == 6 < whole.scored
    # On a linear network the gradient is exact, so the best single channel is known in closed form.
    clean = first(x).detach()
    weight = second.weight.detach()[1, :, 1, 1]
    at = (clean * where[:, None]).sum((2, 3))
    gains = weight[:, None] * (torch.from_numpy(whole.values) - at.mean(0)[:, None])
    assert divmod(int(gains.argmax()), gains.shape[1])[0] == whole.edit.channels[0]
    gain = whole.trace[1].mean() - whole.trace[0].mean()
    assert gain == pytest.approx(float(gains.max()))


def test_useless_channels_are_dropped_again():
    # Alone, channel 0 looks best; beside 1 and 2 together it adds nothing.
    x = torch.zeros(6, 3, 1, 1)

    def objective(output):
        a, b, c = (output[:, i, 0, 0].clamp(0, 1) for i in range(3))
        return torch.maximum(0.6 * a, 0.4 * b + 0.4 * c) + 0.1 * b + 0.1 * c

    module = nn.Sequential(nn.Identity(), nn.Identity())
    given = Cases(x, torch.ones(6, 1, 1, dtype=torch.bool), objective, np.arange(6))
    result = search(module, "0", given, values=[1.0])
    assert sorted(result.edit.channels) == [1, 2]
    assert result.trace.mean(axis=1) == pytest.approx([0, 0.6, 0.7, 1, 1])


def test_confirmation_refuses_discovery_levels_and_edits_of_nothing(found):
    with pytest.raises(ValueError, match=r"level 4 was searched on \(1 such\)"):
        confirm(found, Planner(), "encode", cases(4, 3))
    given = cases(5, 2)
    with pytest.raises(ValueError, match="changes no activation"):
        confirm(TargetEdit("add", (GOAL,), (0.0,)), Planner(), "encode", given)
    with pytest.raises(ValueError, match="ceiling must be"):
        confirm(found, Planner(), "encode", given, ceiling=np.ones(3))
    with pytest.raises(ValueError, match="no held-out cases"):
        confirm(found, Planner(), "encode", [])


def test_ceiling_is_paired_with_success(found):
    given = cases(5, 3)
    result = confirm(found, Planner(), "encode", given, ceiling=np.ones(len(given.level)))
    assert result.ceiling is not None and result.ceiling.estimate == 1
    assert result.below_ceiling is not None and result.below_ceiling.estimate == pytest.approx(0, abs=1e-3)


def test_bad_cases():
    good = cases(0, 2)
    module = Planner()
    nowhere = good.where.clone()
    nowhere[3] = False
    with pytest.raises(ValueError, match="no position in some row"):
        search(module, "encode", Cases(good.inputs, nowhere, good.objective, good.level))
    with pytest.raises(ValueError, match=r"site 'encode' is .*6, 7, 7"):
        search(module, "encode", Cases(good.inputs, good.where[:, :4], good.objective, good.level))
    with pytest.raises(ValueError, match="not finite in case 2"):
        bad = torch.zeros(len(good.level))
        bad[2] = float("nan")
        search(module, "encode", Cases(good.inputs, good.where, lambda output: bad, good.level))
    with pytest.raises(ValueError, match="has no gradient"):
        search(
            module,
            "encode",
            Cases(good.inputs, good.where, lambda o: torch.zeros(len(good.level)), good.level),
            preselect=2,
        )
    with pytest.raises(ValueError, match="kind must be one of"):
        search(module, "encode", good, kind="write")
    with pytest.raises(ValueError, match=r"channels must be some of 0\.\.5"):
        search(module, "encode", good, channels=[6])


def test_edits_that_cannot_be_made():
    with pytest.raises(ValueError, match=r"kind must be one of .*got 'bogus'"):
        TargetEdit("bogus", (GOAL,), (1.0,))
    with pytest.raises(ValueError, match="2 channels, but 1 values"):
        TargetEdit("add", (1, 2), (1.0,))
    given = cases(5, 2)
    for channel in (60, CHANNELS, -1):
        edit = TargetEdit("replace", (GOAL, channel), (1.0, 1.0))
        with pytest.raises(
            ValueError, match=rf"channel {channel} is not in 0\.\.5: the site has shape \[\d+, 6, 7, 7\]"
        ):
            confirm(edit, Planner(), "encode", given)
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        search(Planner(), "encode", given, batch=0)


def test_dropout_in_training_mode_is_said():
    module = nn.Sequential(nn.Identity(), nn.Dropout(0.5))
    x = torch.rand(6, 3, 1, 1)
    given = Cases(x, torch.ones(6, 1, 1, dtype=torch.bool), lambda out: out.sum((1, 2, 3)), np.arange(6))
    with pytest.warns(UserWarning, match="training mode and runs so") as said:
        search(module, "0", given, values=[1.0])
    assert len(said) == 1 and said[0].filename == __file__


SMALL = 5


def corner(first: int, levels: int) -> Cases:
    """Small mazes with one target, the bottom-right square, where they have it."""
    every = cases(first, levels, SMALL)
    kept = every.where[:, -1, -1]
    inputs, target = torch.as_tensor(every.inputs)[kept], every.where[kept]
    walls = inputs[:, 0] > 0
    start = torch.zeros(target.shape, dtype=torch.bool)
    start[:, -1, 0] = True
    return Cases(
        every.inputs[kept],
        target,
        lambda output: reach(output, walls, target, start),
        every.level[kept.numpy()],
    )


def test_frontier_needs_one_activation_of_a_planner():
    module, given = Planner(size=SMALL), corner(0, 60)
    total = CHANNELS * SMALL * SMALL
    result = frontier(
        module,
        "encode",
        given.inputs,
        given.objective,
        budgets=(1e-4, 5 / total),
        strengths=(100.0,),
        singles=2 * total,
    )
    assert result.fractions == (1 / total, 5 / total)
    entry = GOAL * SMALL**2 + SMALL**2 - 1
    assert result.edits[0].entries.tolist() == [entry] and result.edits[1].entries[0] == entry
    assert len(result.edits[1].entries.unique()) == 5
    held = [confirm(edit, module, "encode", corner(100, 40)) for edit in result.edits]
    assert held[0].success.estimate > 0.999 and held[0].fraction == pytest.approx(1 / total)
    assert held[0].floor.estimate < 0.6
    assert smallest_budget(result.fractions, [h.success for h in held], 0.9)[0] == 1 / total
    assert result.bare.mean() < 0.6


def test_frontier_on_a_linear_network_takes_the_entries_with_the_greatest_gain():
    generator = torch.Generator().manual_seed(6)
    read = nn.Linear(12, 1)
    module = nn.Sequential(nn.Identity(), nn.Flatten(), read)
    x = torch.randn(50, 3, 2, 2, generator=generator)
    result = frontier(
        module,
        "0",
        x,
        lambda output: output[:, 0],
        budgets=(1 / 12, 3 / 12, 1.0),
        strengths=(1.0,),
        singles=24,
    )
    low, high = x.amin((0, 2, 3)), x.amax((0, 2, 3))
    weight = read.weight.detach()[0]
    gains = torch.maximum(*(weight * (end.repeat_interleave(4) - x.mean(0).flatten()) for end in (low, high)))
    order = gains.argsort(descending=True)
    for edit, count in zip(result.edits, (1, 3, 12), strict=True):
        assert sorted(edit.entries.tolist()) == sorted(order[:count].tolist())
        assert torch.isin(edit.values, torch.cat([low, high])).all()
    means = result.success.mean(axis=1) - result.bare.mean()
    assert means == pytest.approx([float(gains[order[:k]].sum()) for k in (1, 3, 12)], abs=1e-5)


def test_smallest_budget_by_estimate_and_by_interval():
    held = [Estimate(0.2, 0.1, 0.3, 9), Estimate(0.92, 0.8, 0.97, 9), Estimate(0.99, 0.95, 1, 9)]
    assert smallest_budget((0.01, 0.1, 0.5), held, 0.9) == (0.1, 0.5)
    assert smallest_budget((0.01, 0.1, 0.5), held, 0.995) == (None, None)
    with pytest.raises(ValueError, match="2 fractions, but 3"):
        smallest_budget((0.1, 0.2), held, 0.9)


def test_bad_budgets():
    with pytest.raises(ValueError, match="ascending"):
        frontier(Planner(), "encode", torch.zeros(2, 2, 7, 7), lambda o: o, budgets=(0.1, 0.01))
    with pytest.raises(ValueError, match="batch must be at least 1, got 0"):
        frontier(Planner(), "encode", torch.zeros(2, 2, 7, 7), lambda o: o, batch=0)


def test_frontier_reckons_gains_from_what_the_activations_are_and_not_from_nothing():
    """Entry 1 already stands where it would be written, so all that it promises is small, however high that is."""
    module = nn.Sequential(nn.Identity(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        module[1].weight.copy_(torch.tensor([[1.0, 1.0]]))  # type: ignore[union-attr, operator]
    x = torch.tensor([[0.0, 99.0], [1.0, 100.0], [2.0, 101.0], [3.0, 100.0]])
    x[:, 0] *= 2
    result = frontier(module, "0", x, lambda out: out[:, 0], budgets=(0.5,), strengths=(1.0,), singles=1)
    assert result.edits[0].entries.tolist() == [0]
