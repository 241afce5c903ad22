"""Findings of the internals study from made-up measurements: what is chosen where, and what stands beside what."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from goalscope.evidence.finding import Finding
from goalscope.methods.intervening.select import select
from goalscope.studies.about import About
from goalscope.studies.maze_internals import words
from goalscope.studies.maze_internals.findings import channels as channels_found
from goalscope.studies.maze_internals.findings import steering as steering_found
from goalscope.studies.maze_internals.findings import training as training_found
from goalscope.studies.maze_internals.findings.steering import strongest, verdict
from goalscope.studies.maze_internals.measure import training as training_measured
from goalscope.studies.maze_internals.measure.steering import CHOICE, CUT_DOSES
from goalscope.studies.maze_internals.setup import PIXELS, Layout

DISCOVERY, HELD, CHANNELS = 20, 30, 4


def setup() -> Any:
    return SimpleNamespace(
        about=About("maze", 0, "test"),
        policy=SimpleNamespace(name="made-up", sha256=""),
        layout=Layout(("stem", "blocks.0"), "stem", "blocks.0", True),
        discovery=range(DISCOVERY),
        held=range(HELD),
        sizes=SimpleNamespace(multiples=(1,)),
    )


def spread(mean: float, count: int = HELD) -> np.ndarray:
    """[count] numbers around a mean."""
    return mean + 0.02 * np.sin(np.arange(count))


def channels() -> dict[str, np.ndarray]:
    """Channels 1 and 2 have an effect on discovery mazes, channel 2 alone has it on the others."""
    effects = np.stack([spread(mean, DISCOVERY + HELD) for mean in (0.0, -0.3, -0.2, 0.0)])
    effects[[0, 3]] *= np.where(np.arange(DISCOVERY + HELD) % 2, 1, -1)
    effects[1, DISCOVERY:] = 0.02 * np.sin(1 + 2 * np.arange(HELD))
    found = {"effects": effects, "order": np.array([1, 2, 0, 3]), "sizes": np.array([1, 2])}
    for i, suffix in enumerate(("", ".there")):
        turn = 1 - 2 * i
        found[f"top{suffix}"] = np.stack([spread(-0.1 * turn), spread(-0.5 * turn)])
        found[f"random{suffix}"] = np.stack([spread(-0.09 * turn), spread(-0.05 * turn)])
        found[f"all{suffix}"], found[f"noise{suffix}"] = spread(-0.6 * turn), spread(0.01 * turn)
    return found


def table(findings: list[Finding]) -> dict[str, Finding]:
    return {f.id: f for f in findings}


def test_what_was_found_is_reported_whether_or_not_the_held_out_mazes_confirm_it() -> None:
    found = table(channels_found.channel_findings(setup(), channels()))
    assert {i for i in found if i.startswith("channels.channel_")} == {
        "channels.channel_1",
        "channels.channel_2",
    }
    lost, kept = found["channels.channel_1"], found["channels.channel_2"]
    assert "not confirmed" in lost.question and abs(lost.estimate) < 0.05
    assert "not confirmed" not in kept.question and kept.estimate == pytest.approx(-0.2, abs=0.02)
    share = found["channels.carry_goal"]
    assert share.estimate == 1 / 4 and share.n == CHANNELS
    # All channels of the network are counted, none is a sample of others: no interval, so rules do not decide on it.
    assert share.low == share.high == share.estimate and share.standing == "untested"
    assert "; all 4 together: -59.9% [" in share.method  # what the assay can show at most


def test_a_set_of_channels_stands_beside_as_many_random_ones() -> None:
    measured = channels()
    found = table(channels_found.channel_findings(setup(), measured))
    for suffix, name in (("other_place", ""), ("to_other_place", ".there")):
        for row, size in enumerate((1, 2)):
            moved = found[f"channels.top_{size}.{suffix}"]
            assert moved.estimate == pytest.approx(measured[f"top{name}"][row].mean())
            assert moved.control == pytest.approx(measured[f"random{name}"][row].mean())
        whole = found[f"channels.all.{suffix}"]
        assert whole.estimate == pytest.approx(measured[f"all{name}"].mean())
        assert whole.control == pytest.approx(measured[f"noise{name}"].mean())
    assert found["channels.top_2.other_place"].control_name == "2 random channels"
    assert "(1, 2)" in found["channels.top_2.other_place"].question
    standing = {size: found[f"channels.top_{size}.other_place"].standing for size in (1, 2)}
    assert standing == {1: "inconclusive", 2: "supported"}
    assert "The fewest shown to take more than as many random channels: 2 (" in words._set_words(found)


def test_where_all_channels_show_nothing_nothing_is_said_of_fewer() -> None:
    measured = channels()
    found = table(channels_found.channel_findings(setup(), measured | {"noise": measured["all"] + 0.005}))
    assert found["channels.all.other_place"].standing == "inconclusive"
    assert found["channels.top_2.other_place"].standing == "invalid"
    assert found["channels.top_2.other_place"].invalid == "ceiling"
    assert "nothing is said of single channels or of sets" in words._set_words(found)


def test_the_least_effect_that_can_be_found_is_found_as_often_as_is_said() -> None:
    rng, rate, count = np.random.default_rng(0), 0.05, 40
    flat = rng.normal(0, 0.1, (32, count))
    least = channels_found.detectable(flat, rate)
    assert least is not None
    hits = 0
    for _ in range(100):
        effects = rng.normal(0, 0.1, (32, 2 * count))
        effects[7] += least
        chosen = select(effects, np.arange(2 * count) < count)
        hits += 7 in chosen.found
    assert 0.65 < hits / 100 < 0.95


def test_an_effect_in_few_mazes_must_be_larger_than_one_in_all() -> None:
    """By the rule that decides: a mean of 1.6 points found in 75 of 100 where every maze has it, hardly where few do."""
    flat = np.random.default_rng(1).normal(0, 0.1, (32, 100))
    constant, exponential, sparse = (
        channels_found.detectable(flat, 0.05, shape) for shape in ("constant", "exponential", "sparse")
    )
    assert constant is not None and exponential is not None
    assert constant < exponential and (sparse is None or sparse > 1.5 * constant)
    alone = channels_found.least_effect(flat[0])
    assert alone is not None and constant > 1.3 * alone  # of 32 channels one must be surer than alone


def test_pixels_have_discovery_mazes_enough_to_find_one_of_32_channels() -> None:
    noise = np.random.default_rng(2).normal(size=(32, PIXELS.discovery))
    assert channels_found.detectable(noise[:, :10], 0.05) is None
    assert channels_found.detectable(noise, 0.05) is not None


def doses(best_found: float, best_held: float) -> dict[str, np.ndarray]:
    """P(cheese) of 0.5 that one dose lowers by 0.2 on the discovery mazes and another by 0.4 on the held-out ones."""
    found = {}
    for name, count, best, size in (
        ("found", DISCOVERY, best_found, 0.2),
        ("held", HELD, best_held, 0.4),
        ("random", HELD, 0, 0),
    ):
        rows = np.stack([spread(0.5 - size * (dose == best), count) for dose in CHOICE])
        found |= {f"choice.{name}.{goal}": rows for goal in ("cheese", "corner")}
        found[f"choice.{name}.base"] = np.stack([spread(0.5, count)] * 2)
    return found


def test_the_strongest_dose_is_chosen_on_discovery_mazes() -> None:
    dose, gain, noise = strongest(doses(-1.0, -2.0))
    assert dose == -1.0 and gain.mean() == pytest.approx(0) and noise.mean() == pytest.approx(0)
    dose, gain, _ = strongest(doses(-2.0, -2.0))
    assert dose == -2.0 and gain.mean() == pytest.approx(0.4)


def test_less_cheese_by_a_dose_for_more_does_not_count() -> None:
    dose, gain, _ = strongest(doses(2.0, 2.0))
    assert dose != 2.0 and gain.mean() == pytest.approx(0)
    assert len(CHOICE) > len(CUT_DOSES) and all(dose < 0 for dose in CUT_DOSES)


def brief(more: tuple[float, float], less: tuple[float, float]) -> dict[str, np.ndarray]:
    """Changes of P(cheese) by brief finetuning, on discovery and on held-out mazes."""
    found = {
        "budget": np.array([2048]),
        "discovery.original": spread(0.5, DISCOVERY),
        "reach.original": spread(0.5),
    }
    for way, (discovery, held) in (("more", more), ("less", less), ("same", (0.0, 0.1))):
        found |= {
            f"discovery.{way}_1": spread(0.5 + discovery, DISCOVERY),
            f"reach.{way}_1": spread(0.5 + held),
        }
    return found


def test_the_finetuning_is_chosen_on_discovery_mazes_and_a_move_the_wrong_way_is_a_loss() -> None:
    found = table(training_found.training_findings(setup(), brief((0.2, 0.05), (-0.1, -0.4))))
    matched = found["finetune.matched.cheese_change"]
    assert matched.estimate == pytest.approx(0.05) and matched.control == pytest.approx(0.1)
    found = table(training_found.training_findings(setup(), brief((-0.3, -0.3), (-0.1, 0.2))))
    matched = found["finetune.matched.cheese_change"]
    assert matched.estimate == pytest.approx(-0.2) and matched.control == pytest.approx(-0.1)
    assert found["finetune.less_1x"].estimate == pytest.approx(0.2)


def test_a_graft_stands_beside_the_control_that_carries_most() -> None:
    rows = {
        "graft.names": np.array(["stem"]), "graft.carried": np.array([[0.5, 0.4, 0.6]]),
        "graft.lost": np.array([[0.3, 0.2, 0.4]]), "graft.control.random": np.array([[0.1, 0.0, 0.2]]),
        "graft.control.same": np.array([[0.25, 0.2, 0.3]]),
    }  # fmt: skip
    carried, lost = training_found._graft_findings(setup(), rows)
    assert carried.control == 0.25 and "the unchanged reward (a random reward: 10.0%)" in carried.control_name
    assert carried.n == lost.n == HELD


def test_grafts_are_judged_on_held_out_mazes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def judged(original: Any, finetuned: Any, behaviour: Any, *rest: Any, **more: Any) -> Any:
        seen.append(behaviour(original))
        return SimpleNamespace(grafts={})

    monkeypatch.setattr(training_measured, "grafting", judged)
    monkeypatch.setattr(training_measured, "_reach", lambda setup, module, state: state)
    monkeypatch.setattr(training_measured, "parts", lambda module: {})
    made_up = setup()
    made_up.module = None
    policy: Any = SimpleNamespace(module=None)
    training_measured._grafts(made_up, {"flipped": policy})
    assert seen == [made_up.held]


@pytest.mark.parametrize(
    "kept, cut, answer",
    [
        ((0.8, 0.9), (0.6, 0.7), "yes"),
        ((0.5, 0.7), (0.6, 0.7), "no"),
        ((0.8, 0.9), (0.3, 0.4), "no"),
        ((0.7, 0.9), (0.6, 0.7), "cannot tell"),
        ((0.8, 0.9), (0.4, 0.7), "cannot tell"),
    ],
)
def test_a_cut_has_a_verdict(kept: tuple[float, float], cut: tuple[float, float], answer: str) -> None:
    measured = doses(-1.0, -1.0)
    base = next(f for f in steering_found._cut_findings(setup(), measured) if f.id == "cut.cheese_50")
    first, second = (replace(base, estimate=low, low=low, high=high) for low, high in (kept, cut))
    assert verdict(first, second, 0.5) == answer
