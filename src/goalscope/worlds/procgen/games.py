"""CoinRun and Heist of the real Procgen behind the World protocol, through the package `procgen-mirror` (extra `procgen`).

Generation, movement, rewards and pictures are Procgen's own: each state goes through its library as bytes (`layout.py`).
What lies where, and edits of it, are in `lying.py`.
"""

from __future__ import annotations

import base64
import dataclasses
import difflib
import zlib
from collections.abc import Sequence

import numpy as np

from goalscope.worlds.contract import Step, take, whole_seeds
from goalscope.worlds.procgen import layout, lying
from goalscope.worlds.procgen.bytes import LAST_LEVEL, PIXELS, Game
from goalscope.worlds.procgen.layout import GameState
from goalscope.worlds.procgen.world import ProcgenAction

GAMES = {"coinrun": (64, 8), "heist": (32, 16)}
"""game -> entities and own words that a state has room for"""
DISTRIBUTIONS = ("easy", "hard")


class ProcgenGame:
    """A game of Procgen behind the World protocol.

    Procgen goes to the next episode at once when one ends and never shows the last state. Here a level that is over stays
    as it was before the step that ended it.

    Args:
        game: "coinrun" or "heist".
        distribution: "easy" or "hard".
        time_limit: steps after which callers end an episode; Procgen's is 1,000.

    Raises:
        ImportError: the extra is not installed.
        ValueError: another game or distribution.
    """

    actions = ProcgenAction
    observation_shape = (3, PIXELS, PIXELS)
    no_chain = "its agent moves by fractions of a square, so nearly every way to a place is another state"
    """why `rollout.enumerate_states` need not try"""

    def __init__(self, game: str, distribution: str = "easy", time_limit: int = 1000):
        for given, known, what in ((game, GAMES, "game"), (distribution, DISTRIBUTIONS, "distribution")):
            if given not in known:
                near = difflib.get_close_matches(str(given), known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
                raise ValueError(f"no {what} of Procgen is called {given!r} here: {hint}")
        self.name, self.game, self.distribution, self.time_limit = (
            f"procgen:{game}",
            game,
            distribution,
            time_limit,
        )
        self._game = Game(distribution, game)
        self._first = self.from_bytes([self._game.template])

    def generate(self, seeds: Sequence[int] | np.ndarray) -> GameState:
        """Procgen's levels of these numbers.

        Args:
            seeds: [N] level numbers, 0 to 2**31 - 2, as `start_level` of Procgen.
        """
        seeds = whole_seeds(seeds, LAST_LEVEL)
        before = take(self._first, np.zeros(len(seeds), int))
        head = before.head.copy()
        head[:, layout.LEVEL] = seeds
        before = dataclasses.replace(before, head=head)
        made = [self._game.next_level(data) for data in layout.encode(before, self.game)]
        return self.from_bytes(made) if made else before

    def step(self, state: GameState, actions: np.ndarray) -> Step[GameState]:
        """One step of Procgen for each level; a level that is over stays as it is and gives no reward.

        Args:
            state: N levels.
            actions: [N] values of ProcgenAction.
        """
        actions = np.asarray(actions)
        if actions.shape != (len(state),) or actions.dtype.kind not in "iu":
            raise ValueError(
                f"actions must be [{len(state)}] integers, got {actions.dtype} {list(actions.shape)}"
            )
        illegal = (actions < 0) | (actions >= len(ProcgenAction))
        if illegal.any():
            i = int(illegal.argmax())
            raise ValueError(f"level {i}: action {actions[i]} is not a ProcgenAction (0 to 14)")
        reward, over = np.zeros(len(state), np.float32), state.over.copy()
        going = np.flatnonzero(~over)
        after = layout.encode(take(state, going), self.game)
        for k, i in enumerate(going):
            reward[i], over[i], left = self._game.step(after[k], int(actions[i]))
            after[k] = after[k] if over[i] else left
        fields = {name: getattr(state, name).copy() for name in lying.ARRAYS}
        if len(going):
            moved = self.from_bytes(after)
            for name in lying.ARRAYS:
                fields[name][going] = getattr(moved, name)
        ended = over & ~state.over
        for name in lying.ARRAYS:
            fields[name][ended] = getattr(state, name)[ended]
        return Step(dataclasses.replace(state, **fields, over=over), reward, over.copy())

    def observe(self, state: GameState) -> np.ndarray:
        """[N, 3, 64, 64] uint8: Procgen's own picture, with the colours last in memory (channels last)."""
        pictures = np.empty((len(state), PIXELS, PIXELS, 3), np.uint8)
        for i in range(len(state)):  # one at a time: the bytes of a state are many
            pictures[i] = self._game.picture(layout.encode(take(state, i), self.game)[0])
        return pictures.transpose(0, 3, 1, 2)

    def from_bytes(self, states: Sequence[bytes]) -> GameState:
        """The states of Procgen's `get_state`: N byte strings of this game; of Heist see `lying.settled`.

        Raises:
            ValueError: bytes that are not laid out as those of this game.
        """
        state = layout.decode(states, self.game, *GAMES[self.game])
        return lying.settled(state) if self.game == "heist" else state

    def to_bytes(self, state: GameState) -> list[bytes]:
        """N byte strings for Procgen's `set_state`."""
        return layout.encode(state, self.game)

    def text(self, state: GameState) -> list[str]:
        """The N levels as texts: a map to look at, and behind it the whole state, which alone is read again."""
        return [
            "\n".join(
                [
                    *lying.map_of(self.game, state, i),
                    f"; over={'yes' if state.over[i] else 'no'} state={packed}",
                ]
            )
            for i, packed in enumerate(self._packed(state))
        ]

    def parse(self, text: str) -> GameState:
        """One level from its text.

        Raises:
            ValueError: without its last line, or with a map that is not the one of the state in that line: edit levels by
                `move`, `remove`, `add` and `move_agent`, and write their texts anew.
        """
        *rows, note = text.replace("\r\n", "\n").rstrip().split("\n")
        parts = [part.partition("=") for part in note.removeprefix("; ").split(" ")]
        said = {name: value for name, _, value in parts}
        if said.keys() != {"over", "state"} or said["over"] not in ("yes", "no"):
            raise ValueError(
                f"line {len(rows) + 1}: '; over=no state=...' is wanted, as the world's text has it"
            )
        try:
            data = zlib.decompress(base64.b64decode(said["state"], validate=True))
        except (ValueError, zlib.error) as error:
            raise ValueError(f"line {len(rows) + 1}: the state cannot be read: {error}") from error
        state = self.from_bytes([data])
        state = dataclasses.replace(state, over=np.array([said["over"] == "yes"]))
        if rows != lying.map_of(self.game, state, 0):
            raise ValueError(
                "line 1: the map is not that of the state in the last line: edit levels by the world's move, remove, add "
                "and move_agent"
            )
        return state

    def _packed(self, state: GameState) -> list[str]:
        return [base64.b64encode(zlib.compress(data, 9)).decode() for data in self.to_bytes(state)]

    # What a study of goals asks for; see `goalscope.worlds.contract`.

    def things(self, state: GameState) -> list[dict[str, tuple[int, int]]]:
        """[N] of {"coin": (row, column)}: CoinRun's coin, saws and enemies; Heist's gem, keys and locks."""
        return lying.things(self.game, state)

    def agent(self, state: GameState) -> np.ndarray:
        """[N, 2] int64: the agents' squares."""
        return state.places()[:, 0]

    def free(self, state: GameState) -> np.ndarray:
        """[N, H, W] bool: empty squares; in CoinRun those with something to stand on."""
        return lying.free(self.game, state)

    def move(self, state: GameState, name: str, to: np.ndarray) -> GameState:
        """The levels with that thing on the free squares `to` [N, 2]; raises ValueError."""
        return lying.moved(self.game, state, name, lying.free_squares(self.game, state, to))

    def remove(self, state: GameState, name: str) -> GameState:
        """The levels without that thing; raises ValueError where none lies."""
        return lying.removed(self.game, state, name)

    def add(self, state: GameState, name: str, to: np.ndarray) -> GameState:
        """The levels with one more such thing on the free squares `to` [N, 2]; raises ValueError."""
        return lying.added(self.game, state, name, lying.free_squares(self.game, state, to))

    def move_agent(self, state: GameState, to: np.ndarray) -> GameState:
        """The levels with the agent at rest on the free squares `to` [N, 2]; raises ValueError."""
        return lying.agent_moved(self.game, state, lying.free_squares(self.game, state, to))
