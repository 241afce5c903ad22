"""Verdicts of the chess study from made-up findings: nothing counts that its control has as well."""

from __future__ import annotations

from goalscope.evidence.finding import Finding
from goalscope.studies.chess_lookahead.words import above_control, is_legible, is_lookahead


def found(
    name: str, low: float, high: float, control: tuple[float, float] | None = None, n: int = 500
) -> Finding:
    middle = None if control is None else sum(control) / 2
    return Finding(
        name, "?", (low + high) / 2, low, high, n, "log-odds", middle, *(control or (None, None)), "control",
        "patching", "body", "made-up", "", "chess", 0, "0",
    )  # fmt: skip


def test_an_effect_counts_only_above_its_control_and_above_nothing() -> None:
    name = "lookahead.published.third.margin"
    assert above_control(found(name, 0.3, 0.5, (0.0, 0.2)))
    assert not above_control(found(name, 0.1, 0.5, (0.0, 0.2)))
    assert not above_control(found(name, -0.1, 0.5, (-0.4, -0.2)))
    assert above_control(found(name, 0.3, 0.5))
    assert not above_control(None)


def test_look_ahead_is_not_shown_where_the_untrained_network_shows_as_much() -> None:
    name = "lookahead.published.third.margin"
    assert is_lookahead({name: found(name, 0.3, 0.5, (0.0, 0.2))})
    assert not is_lookahead({name: found(name, 0.3, 0.5, (0.2, 0.4))})


def test_a_probe_must_be_better_than_every_control() -> None:
    gains = {f"probe.third.gain.{k}": found(f"probe.third.gain.{k}", 0.1, 0.2) for k in ("board", "blank")}
    assert is_legible(gains) and not is_legible({})
    gains["probe.third.gain.blank"] = found("probe.third.gain.blank", -0.1, 0.2)
    assert not is_legible(gains)
