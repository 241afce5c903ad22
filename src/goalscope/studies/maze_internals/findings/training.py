"""What brief finetuning changes, where the finetuned weights differ, and which part carries it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.stats import Estimate, bootstrap_mean
from goalscope.studies.about import finding
from goalscope.studies.maze_internals.measure.training import WANTED
from goalscope.studies.maze_internals.setup import Setup


def training_findings(setup: Setup, found: dict[str, np.ndarray]) -> list[Finding]:
    """Edit against finetuning, the pure cheese-seeker, and what the flipped reward did."""
    made = list(_brief_findings(setup, found))
    if "reach.cheese" in found:
        made += _tenth_findings(setup, found)
    if "reach.flipped" in found:
        made += [
            *_flipped_findings(setup, found),
            *_weight_findings(setup, found),
            *_graft_findings(setup, found),
        ]
    return made


def _brief_findings(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    steps, base = int(found["budget"][0]), found["reach.original"]
    for multiple in setup.sizes.multiples:
        changes = {k: found[f"reach.{k}_{multiple}"] - base for k in ("more", "less", "same")}
        for way in WANTED:
            yield _brief_finding(
                setup, f"finetune.{way}_{multiple}x", f"for {way} cheese: change of P(reach the cheese)",
                multiple * steps, multiple, changes[way], changes["same"],
            )  # fmt: skip
        if multiple == 1:
            way = chosen_way(found)
            yield _brief_finding(
                setup, "finetune.matched.cheese_change", f"for {way} cheese (the greater change on discovery mazes): "
                "change of P(reach the cheese) in the wanted direction",
                steps, 1, changes[way], changes["same"], sign=WANTED[way],
            )  # fmt: skip


def chosen_way(found: dict[str, np.ndarray]) -> str:
    """'more' or 'less': which brief finetuning changed P(cheese) more in its wanted direction on discovery mazes."""
    base = found["discovery.original"]
    return max(WANTED, key=lambda way: WANTED[way] * (found[f"discovery.{way}_1"] - base).mean())


def _brief_finding(
    setup: Setup, name: str, words: str, steps: int, multiple: int, change: np.ndarray, same: np.ndarray, sign: int = 1
) -> Finding:  # fmt: skip
    """The change on held-out mazes [H], times the sign, beside that on the unchanged reward."""
    estimate, control = (
        bootstrap_mean(sign * values, bounds=(-1, 1), seed=setup.about.seed) for values in (change, same)
    )
    return finding(
        name, f"finetuning for {steps:,} steps ({multiple} x the edit's compute), {words}", estimate, control,
        "as much finetuning on the unchanged reward", "PPO, held-out mazes", setup.policy, setup.about,
        "difference of probabilities", "all weights",
    )  # fmt: skip


def _tenth_findings(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    about, policy = setup.about, setup.policy
    for name, key, words in (
        ("finetune.tenth.reach", "reach", "P(reach the cheese), cheese anywhere"),
        ("finetune.tenth.corner_instead", "instead",
         "cheese in the top-left or bottom-right corner of the largest mazes: P(top-right corner first)"),
    ):  # fmt: skip
        estimate, control = (
            bootstrap_mean(found[f"{key}.{reward}"], bounds=(0, 1), seed=about.seed)
            for reward in ("cheese", "same")
        )
        yield finding(
            name, f"{policy.name}-cheese, finetuned with less than a tenth of the training's steps: {words}",
            estimate, control, f"{policy.name}-same, as long on the unchanged reward", "PPO, held-out mazes", policy, about,
            "probability", "all weights",
        )  # fmt: skip


def _flipped_findings(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    about, policy = setup.about, setup.policy
    for name, key, words in (
        ("flipped.reach", "reach", "P(reach the cheese), cheese anywhere"),
        ("flipped.top_right", "corner", "without cheese: P(reach the top-right corner)"),
        ("flipped.corner_instead", "instead", "cheese in another corner of the largest mazes: P(top-right corner first)"),
    ):  # fmt: skip
        for reward, other in (("flipped", "same"), ("random", "same")):
            estimate, control = (
                bootstrap_mean(found[f"{key}.{r}"], bounds=(0, 1), seed=about.seed) for r in (reward, other)
            )
            yield finding(
                name if reward == "flipped" else name.replace("flipped.", "flipped.control_random."),
                f"{policy.name}-{reward}: {words}", estimate, control,
                f"{policy.name}-{other}, as long on the unchanged reward",
                "PPO, held-out mazes", policy, about, "probability", "all weights",
            )  # fmt: skip


def _weight_findings(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    """One network each: the change of a layer has no interval over mazes; those of the controls stand beside it."""
    about, policy = setup.about, setup.policy
    same, random = (found.get(f"weights.{r}") for r in ("same", "random"))
    for i, layer in enumerate(found["layers"]):
        value = float(found["weights.flipped"][i])
        control = max(float(w[i]) for w in (same, random) if w is not None)
        yield finding(
            f"flipped.weights.{str(layer).replace('.', '_')}",
            f"relative change of the weights of {layer} by the flipped reward",
            Estimate.bare(value, 1), Estimate.bare(control, 1),
            "the greater of both control finetunings", "norm of the change over norm of the weights; one network", policy,
            about, "ratio", str(layer),
        )  # fmt: skip


def _graft_findings(setup: Setup, found: dict[str, np.ndarray]) -> Iterator[Finding]:
    """What each part carries, beside the same part of the control finetuning that carries most; the other is named."""
    about, policy, n = setup.about, setup.policy, len(setup.held)
    rewards = {"same": "the unchanged reward", "random": "a random reward"}
    for i, name in enumerate(found.get("graft.names", ())):
        part, words = str(name).replace(".", "_"), "share of the change of P(reach the cheese) that is"
        controls = {
            reward: _stored(found[f"graft.control.{key}"][i], n)
            for key, reward in rewards.items()
            if f"graft.control.{key}" in found
        }
        order = sorted(controls, key=lambda reward: -controls[reward].estimate)
        beside = "".join(f" ({reward}: {controls[reward].estimate:.1%})" for reward in order[1:])
        yield finding(
            f"flipped.graft.{part}.carried", f"{words} brought into the original by {name}",
            _stored(found["graft.carried"][i], n), controls[order[0]] if order else None,
            f"the same layers of the finetuning on {order[0]}{beside}" if order else "no control finetuning is packaged",
            "grafting, held-out mazes", policy, about, "share", str(name),
        )  # fmt: skip
        yield finding(
            f"flipped.graft.{part}.lost", f"{words} lost without the new weights of {name}",
            _stored(found["graft.lost"][i], n), None, "what the same layers carry by themselves stands beside",
            "grafting, held-out mazes", policy, about, "share", str(name),
        )  # fmt: skip


def _stored(row: np.ndarray, n: int) -> Estimate:
    """An estimate that was stored by `_triple`."""
    return Estimate(float(row[0]), float(row[1]), float(row[2]), n)
