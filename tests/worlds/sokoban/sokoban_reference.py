"""Sokoban in plain Python, one level at a time: the oracle of the kernels, and of the solver by brute force."""

from __future__ import annotations

from collections import deque

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
"""(row, column) change of up, down, left, right"""

COLOURS = {
    "wall": (0, 0, 0), "floor": (243, 248, 238), "goal": (254, 126, 125), "box on goal": (254, 95, 56),
    "box": (142, 121, 56), "player": (160, 212, 56), "player on goal": (219, 212, 56),
}  # fmt: skip


class Level:
    """Sets of (row, column) squares; everything that is not floor is wall."""

    def __init__(self, state, i):
        rows, columns = state.walls[i].shape
        every = [(r, c) for r in range(rows) for c in range(columns)]
        self.shape = rows, columns
        self.floor = frozenset(s for s in every if not state.walls[i][s])
        self.goals = frozenset(s for s in every if state.goals[i][s])
        self.boxes = frozenset(s for s in every if state.boxes[i][s])
        self.player = tuple(int(x) for x in state.player[i])

    def move(self, player, boxes, action):
        """(player, boxes) after one move, the same where it goes nowhere."""
        ahead, beyond = (tuple(p + k * d for p, d in zip(player, MOVES[action], strict=True)) for k in (1, 2))
        if ahead not in self.floor:
            return player, boxes
        if ahead not in boxes:
            return ahead, boxes
        if beyond not in self.floor or beyond in boxes:
            return player, boxes
        return ahead, boxes - {ahead} | {beyond}

    def step(self, action):
        """(player, boxes, reward, ended)."""
        if self.boxes <= self.goals:
            return self.player, self.boxes, 0.0, True
        player, boxes = self.move(self.player, self.boxes, action)
        on = len(boxes & self.goals) - len(self.boxes & self.goals)
        ended = boxes <= self.goals
        return player, boxes, -0.1 + on + 10 * ended, ended

    def planes(self):
        """Four lists of rows: walls, goals, boxes, player."""
        rows, columns = self.shape
        walls = {(r, c) for r in range(rows) for c in range(columns)} - self.floor
        kinds = (walls, self.goals, self.boxes, {self.player})
        return [[[int((r, c) in kind) for c in range(columns)] for r in range(rows)] for kind in kinds]

    def colour(self, square):
        """The pixel of a square."""
        thing = (
            "wall" if square not in self.floor else "player" if square == self.player
            else "box" if square in self.boxes else "goal" if square in self.goals else "floor"
        )  # fmt: skip
        return COLOURS[thing + " on goal" if thing in ("player", "box") and square in self.goals else thing]

    def fewest_moves(self):
        """Length of the shortest solution by breadth-first search over all positions; None where there is none."""
        start = (self.player, self.boxes)
        steps, queue = {start: 0}, deque([start])
        while queue:
            now = queue.popleft()
            if now[1] <= self.goals:
                return steps[now]
            for action in range(4):
                then = self.move(*now, action)
                if then not in steps:
                    steps[then] = steps[now] + 1
                    queue.append(then)
        return None
