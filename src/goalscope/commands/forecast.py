"""The commands `goalscope forecast ...`; nothing heavy is imported before one runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from goalscope.commands.findings import printable
from goalscope.commands.parser import App, Argument, Option

forecast_app = App(help="Write predictions down, resolve them from findings, score them.")

Ledger = Annotated[Path, Option("The ledger file.")]
Runs = Annotated[Path, Option("Folder of run folders, or one run folder.")]
Policies = Annotated[list[str] | None, Option("Only this policy; may be given again.", "--policy")]
Quick = Annotated[bool, Option("Take the findings of quick runs too, and mark them.", "--quick")]
AsJson = Annotated[bool, Option("Print JSON, and nothing else.", "--json")]
LEDGER = Path("forecasts/ledger.jsonl")
RUNS = Path("runs")


@forecast_app.command("register")
def register(
    file: Annotated[str, Argument("A TOML file of forecasts, or the packaged 'cheese_maze'.")],
    ledger: Ledger = LEDGER,
    author: Annotated[str | None, Option("Who registers [default: the user's name].")] = None,
    runs: Runs = RUNS,
) -> None:
    """Check a file of forecasts and write it into the ledger, for good."""
    import getpass

    from goalscope.studies.forecasts import register as write

    entry, found = write(file, ledger, author or getpass.getuser(), runs)
    counted = f"{len(found.forecasts)} forecasts and {len(found.questions)} questions"
    print(f"Registered {counted} as entry {entry.number} of {ledger}, {entry.time}, by {entry.author}.")
    print(
        f"Hash: {entry.hash}\nPublish it, and 'goalscope forecast verify --hash' will tell if this is ever rewritten."
    )


@forecast_app.command("verify")
def verify(
    ledger: Ledger = LEDGER,
    published: Annotated[str | None, Option("A hash that was printed at registration.", "--hash")] = None,
) -> None:
    """Say whether the ledger is whole: nothing edited, taken out, moved or cut off."""
    from goalscope.evidence.ledger import verify as check

    found = check(ledger, published)
    print(f"{ledger} is whole: {len(found.entries)} entries, hash of the last {found.head}")
    for note in found.notes:
        print(f"note: {note}")


@forecast_app.command("resolve")
def resolve(
    ledger: Ledger = LEDGER,
    runs: Runs = RUNS,
    policy: Policies = None,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Decide every registered forecast from the findings of the runs."""
    from goalscope.studies.forecasts import resolve_ledger, scoreboard

    resolved = resolve_ledger(ledger, runs, policy or [], quick)
    _say_left_out([str(problem) for problem in resolved.problems])
    if json:
        _print_json(scoreboard(resolved, Path.cwd()))
        return
    for subject, resolutions in zip(resolved.subjects, resolved.resolutions, strict=True):
        print(printable(f"{subject.policy}, {subject.world}"))
        for each in resolutions:
            said = "" if each.forecast.probability is None else f"{each.forecast.probability:.0%}"
            verdict = each.verdict if each.value is None else f"{each.value.estimate:.3g}"
            why = f"  ({each.reason})" if each.reason else ""
            why += "  [from a quick run]" if any(finding.quick for finding in each.findings) else ""
            print(printable(f"  {verdict:10} {said:>4}  {each.forecast.id}{why}"))


@forecast_app.command("score")
def score(
    ledger: Ledger = LEDGER,
    runs: Runs = RUNS,
    policy: Policies = None,
    out: Annotated[Path | None, Option("Folder of the page [default: the ledger's].")] = None,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Score the forecasters, and write the page with scoreboard, reliability diagram and every forecast."""
    from goalscope.studies.forecasts import score_ledger

    board, page = score_ledger(ledger, runs, out or ledger.parent, policy or [], quick)
    _say_left_out(board["left_out"])
    if json:
        _print_json(board)
        return
    for subject in board["subjects"]:
        print(printable(f"{subject['policy']}, {subject['world']}"))
        print("  forecaster            scored  true   Brier     log  skill/50%  skill/base  ambiguous  void")
        for row in subject["scores"]:
            brier = row["brier"]["score"] if row["brier"] else None
            numbers = [_number(x, w) for x, w in (
                (brier, 7), (row["log"], 7), (row["skill_half"], 10), (row["skill_base"], 11))]  # fmt: skip
            line = f"  {row['forecaster']:20} {row['statements']:7} {row['true']:5} {' '.join(numbers)} "
            print(printable(f"{line}{row['ambiguous']:10} {row['void']:5}"))
    print(f"Page: {page}")


def _say_left_out(problems: list[str]) -> None:
    for problem in problems:
        print(printable(problem), file=sys.stderr)


def _number(value: float | None, width: int) -> str:
    return f"{'-' if value is None else f'{value:.3f}':>{width}}"


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
