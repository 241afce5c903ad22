"""A maze through one policy or two: every number that the page shows, and the pictures of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from goalscope.app import asked as ask
from goalscope.app.asked import Asked
from goalscope.app.desk import Desk
from goalscope.app.drawn import boards_svg, key_svg
from goalscope.app.edited import DOSES, cheese_fields, reach_of, sent_fields
from goalscope.app.lines import edit_lines, maze_lines
from goalscope.plots.boards.maze import difference
from goalscope.plots.boards.parts import Board, there
from goalscope.policies.checkpoint import Policy
from goalscope.rollout import Fields, fields
from goalscope.rollout.maze_view import VectorField, average_facings
from goalscope.worlds.contract import ANY
from goalscope.worlds.maze import Maze, MazeState, Move, parse_maze
from goalscope.worlds.maze.paths import decision_square, maze_size, shortest_path

LARGEST = 63
"""side of a maze that a policy of any size is asked about"""
STEPS = 200
"""the time limit, as everywhere"""
PAINTED = ("reach", "value", "final", "visits")
EDITS = ("edit:cheese", "edit:send")
"""what may stand beside a policy in place of another one: itself, edited"""
LABELS = {
    "reach": "P(reach the cheese)", "value": "value", "final": "P(ends here)", "visits": "expected visits",
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What one policy does in the maze, as [K] arrays over the squares of `field`."""

    name: str
    field: VectorField
    final: np.ndarray
    """[K] P(stands here after the time limit, or at the cheese)"""
    visits: np.ndarray
    """[K] expected number of steps that begin here"""

    def painted(self, what: str) -> np.ndarray:
        """[K] one of `PAINTED`."""
        own = {"final": self.final, "visits": self.visits}
        return own[what] if what in own else getattr(self.field, what)


def maze_answer(desk: Desk, asked: Asked) -> dict[str, Any]:
    """What the page asks of a maze.

    Args:
        desk: the policies.
        asked: `text` of the maze, `policy`, `beside` (a second policy; 'edit:cheese' or 'edit:send' for the same one
            edited by `dose` or `to`; '' for nothing), `paint` (one of `PAINTED`), `steps`.

    Returns:
        `text` as the policy sees it (centred in its world), `squares` [K, 2], `panels` with every number and the
        picture of each policy, `difference` of two, `effect` of an edit beside its controls, `key`, and `python`: lines
        that give the same numbers.

    Raises:
        ValueError: no maze; a policy of another world. KeyError: no such policy.
    """
    name, beside = ask.text(asked, "policy", desk.name, 200), ask.text(asked, "beside", "", 200)
    text, paint = ask.text(asked, "text"), ask.one_of(asked, "paint", PAINTED)
    steps = ask.whole(asked, "steps", STEPS, 1, 2000)
    names = [name, *([beside] if beside and beside not in EDITS else [])]
    policies = [desk.policy(each) for each in names]
    state = parsed(policies, text)
    written = Maze(state.walls.shape[1]).text(state)[0]
    seen = [_seen(each, policy, state, steps) for each, policy in zip(names, policies, strict=True)]
    effect, lines = None, maze_lines(names, written, steps)
    if beside in EDITS:
        other, effect, more = _edit(desk, policies[0], state, asked, seen[0], steps)
        seen, lines = [*seen, *([other] if other else [])], lines + more
    boards = [_board(each, paint) for each in seen]
    to = effect["to"] if effect else None
    if to is not None:
        way = {"way to the chosen square": shortest_path(state.walls[0], state.mouse[0], np.array(to))}
        boards = [replace(board, paths=way) for board in boards]
    pictures = boards_svg(boards)
    found: dict[str, Any] = {
        "text": written,
        "size": int(maze_size(state)[0]),
        "squares": seen[0].field.squares.tolist(),
        "decision": _square(decision_square(state)[0]),
        "paint": paint,
        "label": LABELS[paint],
        "panels": [{**_numbers(each), "svg": svg} for each, svg in zip(seen, pictures, strict=True)],
        "key": key_svg(boards),
        "difference": None,
        "effect": effect,
        "python": lines,
    }
    if len(seen) == 2:
        change = difference(*boards, caption=f"{seen[1].name} minus {seen[0].name}")
        found["difference"] = {
            "svg": boards_svg([change])[0],
            "key": key_svg([change]),
            "name": change.caption,
        }
    return found


def _edit(
    desk: Desk, policy: Policy, state: MazeState, asked: Asked, bare: Seen, steps: int
) -> tuple[Seen | None, dict[str, Any], str]:
    """The edited policy, where there is one yet; its `effect` as the page tells it; and its lines of Python."""
    if ask.text(asked, "beside") == "edit:cheese":
        dose = ask.number(asked, "dose", -1.0, *DOSES)
        name = f"{bare.name}, cheese vector {dose:+g}"
        found, noise = (cheese_fields(policy, state, dose, random) for random in (False, True))
        rows = [("no edit", bare.field.reach_start), (f"cheese vector, dose {dose:+g}", _reach(found, steps)),
                ("random vector of equal norm", _reach(noise, steps))]  # fmt: skip
        what = f"P(reach the cheese within {steps} steps)"
        told = {"what": what, "to": None, "rows": _rows(rows), "held_out": [], "learning": False}
        return seen_of(name, found, steps), told, edit_lines("cheese", dose, steps)
    to, learnt = ask.square(asked, "to", state.walls.shape[1]), desk.learning.of(policy)
    told = {
        "what": "",
        "to": to,
        "rows": [],
        "held_out": learnt.rows if learnt else [],
        "learning": learnt is None,
    }
    if learnt is None or to is None:
        return None, {**told, "to": None}, ""
    found, noise = (sent_fields(policy, state, to, learnt, random) for random in (False, True))
    plain = fields(policy.module, Maze(state.walls.shape[1]), state)
    rows = [("no edit", reach_of(plain, to, steps)), ("goal moved there", reach_of(found, to, steps)),
            ("noise of equal norm", reach_of(noise, to, steps))]  # fmt: skip
    told |= {"what": f"P(come to ({to[0]}, {to[1]}) within {steps} steps)", "rows": _rows(rows)}
    name = f"{bare.name}, sent to ({to[0]}, {to[1]})"
    return seen_of(name, found, steps), told, edit_lines("send", to, steps)


def _rows(rows: list[tuple[str, float]]) -> list[dict[str, Any]]:
    return [{"name": name, "estimate": value} for name, value in rows]


def _reach(found: Fields, steps: int) -> float:
    return float(found.reach_from_start(steps)[0])


def parsed(policies: list[Policy], text: str) -> MazeState:
    """One maze, centred in the world of the policies.

    Raises:
        ValueError: no maze, or too large; policies of different sizes.
    """
    sizes = {policy.name: getattr(policy.module, "size", None) for policy in policies}
    known = {size for size in sizes.values() if isinstance(size, int)}
    if len(known) > 1:
        said = " and ".join(f"{name} {size} x {size}" for name, size in sizes.items())
        raise ValueError(f"the two policies see mazes of different size: {said}")
    return parse_maze(text, min(known, default=None) or _width(text))


def level_answer(desk: Desk, asked: Asked) -> dict[str, Any]:
    """The text of a numbered level: `level`, `size` of the maze's world, `anywhere`: the cheese may lie anywhere."""
    size, level = ask.whole(asked, "size", 13, 3, LARGEST), ask.whole(asked, "level", 0, 0, ANY)
    if size % 2 == 0:
        raise ValueError(f"size must be odd (3, 5, ...), got {size}")
    world = Maze(size, cheese_region=None if asked.get("anywhere") is True else 5)
    return {"text": world.text(world.generate([level]))[0]}


def _width(text: str) -> int:
    """Of the world of a policy that takes any: that of the maze."""
    width = max(map(len, text.split("\n")))
    if width > LARGEST:
        raise ValueError(
            f"the maze has lines of {width} characters, the page takes mazes of side {LARGEST} at most"
        )
    return max(3, width | 1)


def _seen(name: str, policy: Policy, state: MazeState, steps: int) -> Seen:
    return seen_of(name, fields(policy.module, Maze(state.walls.shape[1]), state), steps)


def seen_of(name: str, found: Fields, steps: int) -> Seen:
    """What a policy's fields on one maze say."""
    ends = found.occupancy(steps)
    return Seen(name, average_facings(found, 0, steps), ends.final, ends.visits)


def _board(seen: Seen, paint: str) -> Board:
    field, maze = seen.field, seen.field.maze
    numbers = seen.painted(paint)
    return Board(
        maze.walls[0], maze.mouse[0], maze.cheese[0], squares=field.squares, probabilities=field.moves,
        heat=None if np.isnan(numbers).all() else numbers, heat_label=LABELS[paint],
        heat_range=(0, 1) if paint in ("reach", "final") else None, diverging=paint == "value",
        percent=paint in ("reach", "final"), decision_square=decision_square(maze)[0], caption=seen.name, cropped=False,
    )  # fmt: skip


def _numbers(seen: Seen) -> dict[str, Any]:
    """Every number of a policy on the maze, as JSON has them: null for what it has not."""
    field = seen.field
    start = int(np.flatnonzero((field.squares == field.maze.mouse[0]).all(1))[0])
    return {
        "name": seen.name,
        "steps": field.steps,
        "reach_start": field.reach_start if there(field.maze.cheese[0]) else None,
        "value_start": None if np.isnan(field.value[start]) else float(field.value[start]),
        "moves_start": field.moves[start].tolist(),
        "actions": [move.name.lower() for move in Move],
        "expected_steps": float(seen.visits.sum()),
        "reach": field.reach.tolist(),
        "value": [None if np.isnan(v) else float(v) for v in field.value],
        "moves": field.moves.tolist(),
        "final": seen.final.tolist(),
        "visits": seen.visits.tolist(),
    }


def _square(square: np.ndarray) -> list[int] | None:
    return [int(x) for x in square] if there(square) else None
