"""10,000 forecasts resolved and scored: statements of 20 forecasters, groups and numbers, over 200 findings.

Measured from parsed forecasts and read findings to scores with their parts, intervals and calibration. Bound: 1 s.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from goalscope.evidence.finding import Finding
from goalscope.evidence.forecast import Forecast
from goalscope.evidence.resolve import resolve
from goalscope.evidence.rule import parse
from goalscope.evidence.scores import score

FORECASTS = 10_000
FORECASTERS = 20
FINDINGS = 200
BOUND = 1.0
REPETITIONS = 7


def findings(rng: np.random.Generator) -> dict[str, Finding]:
    """Shares with intervals of a plausible width."""
    found = {}
    for i in range(FINDINGS):
        value = float(rng.uniform(0.1, 0.9))
        found[f"made.up_{i}"] = Finding(
            f"made.up_{i}", "a made-up share", value, value - 0.05, value + 0.05, 100, "probability", 0.1, 0.05, 0.15,
            "made-up control", "none", "behaviour", "nobody", "", "nowhere", 0, "1",
        )  # fmt: skip
    return found


def forecasts(rng: np.random.Generator) -> list[Forecast]:
    """8,500 statements, 500 groups of two, 500 numbers."""
    made = []
    for i in range(FORECASTS - 1500):
        rule = parse(f"made.up_{rng.integers(FINDINGS)} > {rng.uniform(0.2, 0.8):.3f}")
        by, p = f"forecaster {i % FORECASTERS}", float(rng.uniform())
        made.append(Forecast(f"s{i}", by, "threshold", "words", p, (), "", "", rule, "", ""))
    for i in range(500):
        by, p = f"forecaster {i % FORECASTERS}", float(rng.uniform())
        name = f"made.up_{rng.integers(FINDINGS)}"
        for side, share, text in (("a", p, f"{name} < 0.5"), ("b", 1 - p, f"not {name} < 0.5")):
            made.append(
                Forecast(f"{side}{i}", by, "choice", "words", share, (), f"g{i}", "", parse(text), "", "")
            )
        quantiles = tuple((q, q) for q in (0.1, 0.25, 0.5, 0.75, 0.9))
        made.append(Forecast(f"n{i}", by, "numeric", "words", None, quantiles, "", "", parse(name), "", ""))
    return made


def main() -> None:
    rng = np.random.default_rng(0)
    found, predicted = findings(rng), forecasts(rng)
    resolve(predicted[:100], found)
    seconds = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        scores = score(resolve(predicted, found))
        seconds.append(time.perf_counter() - start)
    mine = statistics.median(seconds)
    everyone = scores[0]
    print(
        f"{len(predicted):,} forecasts of {FORECASTERS} forecasters resolved and scored, median of {REPETITIONS}"
    )
    print(f"scored: {everyone.statements} statements, {everyone.groups} groups, {everyone.numbers} numbers")
    print(f"{mine:.2f} s, from {min(seconds):.2f} to {max(seconds):.2f}; bound {BOUND:.0f} s")
    print(f"RATIO forecast_scoring {mine / BOUND:.3f}")


if __name__ == "__main__":
    main()
