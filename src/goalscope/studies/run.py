"""Any study by its short name, with its options as keywords. Nothing heavy is imported before a study runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from goalscope.studies.checks import refuse_early

if TYPE_CHECKING:
    from goalscope.studies.about import Outcome

STUDIES = {
    "maze": "maze_goal",
    "maze-internals": "maze_internals",
    "sokoban": "sokoban_plan",
    "chess": "chess_lookahead",
    "goals": "goals",
    "utility": "utility",
    "anomalies": "anomalies",
    "planning": "planning",
}
"""name on the command line -> folder"""
SUBJECT = {"chess": "strong"}
"""study -> its option for the policy in question, where that is not 'policy'"""
NEEDED = {"chess": ("puzzles",), "goals": ("world",)}
"""study -> options that have no default, said before anything heavy is imported"""


def study(
    name: str, policy: Any = None, *, say: Callable[[str], None] = lambda _: None, **options: Any
) -> Outcome:  # fmt: skip
    """Runs a study and writes its run folder.

    Args:
        name: as on the command line: 'maze', 'maze-internals', 'sokoban', 'chess', 'goals', 'utility', 'anomalies' or
            'planning'.
        policy: the policy in question, whatever `policies.given.policy_of` takes: a name, a path, a `Policy`, a module;
            None takes the study's own.
        say: called with one line at each step, for progress.
        options: of this study, as on the command line with '_' for '-': `levels=60`, `quick=True`, `out="runs/mine"`.

    Raises:
        KeyError: there is no study of this name.
        TypeError: the study has no such option, or one that it must have is missing.
        ValueError, FileNotFoundError, FileExistsError: as the study itself.
    """
    if name not in STUDIES:
        raise KeyError(f"there is no study {name!r}{_near(name, STUDIES)}; there are {', '.join(STUDIES)}")
    own = SUBJECT.get(name, "policy")
    if policy is not None:
        if own in options:
            raise TypeError(
                f"study {name!r} was given two policies, policy={policy!r} and {own}={options[own]!r}"
            )
        options = {own: policy, **options}
    for option in NEEDED.get(name, ()):
        if option not in options:
            raise TypeError(f"study {name!r} needs the option {option!r}")
    refuse_early(name, options.get(own), options)
    module = import_module(f"goalscope.studies.{STUDIES[name]}.study")
    known = {field.name: field for field in fields(module.Options)}
    for option in options:
        if option not in known:
            raise TypeError(
                f"study {name!r} has no option {option!r}{_near(option, known)}; it has {', '.join(known)}"
            )
    for option, field in known.items():  # what is needed beside `NEEDED`, such as the policy itself
        if option not in options and field.default is MISSING and field.default_factory is MISSING:
            raise TypeError(f"study {name!r} needs the option {option!r}")
    with compiling_said(say):
        return module.study(module.Options(**options), say)


def goal_study(
    policy: Any, world: Any, goals: Mapping[str, Callable[[Any], Any]] | Sequence[str] | None = None, *,
    say: Callable[[str], None] = lambda _: None, **options: Any,
) -> Outcome:  # fmt: skip
    """What does a policy pursue, in any world? The study `goals`, as `goalscope study goals` runs it.

    Args:
        policy: whatever `policies.given.policy_of` takes: a name, a path, a `Policy`, a module.
        world: a World, or what `worlds.named.world_of` takes: 'maze', 'minigrid:MiniGrid-DoorKey-6x6-v0', 'file.py:factory'.
        goals: candidates beside the world's things and places: name -> function of N states that gives the squares [N, 2]
            to be at, or [N] bool, whether it is there; or texts 'file.py:function', each such a function.
        say: called with one line at each step, for progress.
        options: `levels=50`, `quick=True`, `out="runs/mine"` and the others of `goalscope.studies.goals.study.Options`.

    Raises:
        As `study`.
    """
    return study("goals", policy, say=say, world=world, goals=goals, **options)


@contextmanager
def compiling_said(say: Callable[[str], None]) -> Iterator[None]:
    """Says once that kernels are compiled, if any is: what was compiled before comes from numba's cache in silence."""
    from numba.core import event

    class Said(event.Listener):
        said = False

        def on_start(self, event: Any) -> None:
            if not self.said:
                say("compiling kernels, once after installation")
            self.said = True

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Said()):
        yield


def _near(word: str, known: Any) -> str:
    close = get_close_matches(word, list(known), 1)
    return f": did you mean {close[0]!r}?" if close else ""
