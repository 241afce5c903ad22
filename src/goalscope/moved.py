"""Where the modules of version 0.1 are now: importing one by its old name gives the new one, and a warning.

Notebooks name modules; they go on for one version. Nothing in this package uses an old name.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "worlds.maze_paths": "worlds.maze.paths",
    "worlds.maze_kernels": "worlds.maze.kernels",
    "worlds.procgen_bytes": "worlds.procgen.bytes",
    "worlds.sokoban_text": "worlds.sokoban.text",
    "worlds.sokoban_lurd": "worlds.sokoban.lurd",
    "worlds.sokoban_generate": "worlds.sokoban.generate",
    "worlds.sokoban_deadlocks": "worlds.sokoban.deadlocks",
    "worlds.sokoban_distances": "worlds.sokoban.tables",
    "worlds.sokoban_search": "worlds.sokoban.search",
    "worlds.sokoban_solver": "worlds.sokoban.solver",
    "worlds.sokoban_kernels": "worlds.sokoban.kernels",
    "worlds.chess_game": "worlds.chess.world",
    "worlds.chess_state": "worlds.chess.state",
    "worlds.chess_planes": "worlds.chess.planes",
    "worlds.chess_files": "worlds.chess.files",
    "worlds.chess_puzzles": "worlds.chess.puzzles",
    "policies.lc0_attention": "policies.lc0.attention",
    "policies.lc0_convert": "policies.lc0.convert",
    "policies.lc0_file": "policies.lc0.file",
    "policies.lc0_layers": "policies.lc0.layers",
    "policies.lc0_moves": "policies.lc0.moves",
    "activations.resume": "activations.recompute.from_site",
    "activations.trace": "activations.recompute.trace",
    "activations.fold": "activations.recompute.fold",
    "activations.narrow": "activations.recompute.narrow",
    "activations.shards": "activations.streaming.shards",
    "methods.reach": "methods.behaviour.reach",
    "methods.decision": "methods.behaviour.decision",
    "methods.algorithms": "methods.behaviour.algorithms",
    "methods.agreement": "methods.behaviour.agreement",
    "methods.probe": "methods.reading.probe",
    "methods.attribution": "methods.intervening.attribution",
    "methods.patch": "methods.intervening.patch",
    "methods.paths": "methods.intervening.paths",
    "methods.steer": "methods.intervening.steer",
    "methods.stencil": "methods.intervening.stencil",
    "methods.retarget": "methods.intervening.retarget",
    "methods.frontier": "methods.intervening.frontier",
    "methods.side_effects": "methods.intervening.side_effects",
    "methods.select": "methods.intervening.select",
    "methods.finetuned": "methods.weights.finetuned",
    "methods.chess_motifs": "methods.chess.motifs",
    "methods.chess_twins": "methods.chess.twins",
    "methods.chess_engine": "methods.chess.engine",
    "methods.square_patch": "methods.chess.square_patch",
    "plots.board": "plots.boards.maze",
    "plots.board_parts": "plots.boards.parts",
    "plots.glyphs": "plots.boards.glyphs",
    "plots.chess_board": "plots.boards.chess",
    "plots.chess_glyphs": "plots.boards.chess_glyphs",
    "plots.sokoban_board": "plots.boards.sokoban",
    "plots.axes": "plots.charts.axes",
    "plots.marks": "plots.charts.marks",
    "plots.terminal_chess": "plots.terminal.chess",
    "plots.terminal_sokoban": "plots.terminal.sokoban",
    "play_cli": "commands.play",
}
"""old name -> new name, both below `goalscope`"""


class _Moved(MetaPathFinder, Loader):
    """Asked last, so a module that exists is never replaced."""

    _spec: ModuleSpec | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.removeprefix("goalscope.") in MOVED and fullname.startswith("goalscope."):
            return ModuleSpec(fullname, self)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = f"goalscope.{MOVED[spec.name.removeprefix('goalscope.')]}"
        warnings.warn(f"{spec.name} is now {new}", DeprecationWarning, stacklevel=2)
        module = import_module(new)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """The module has run under its own name, which it keeps."""
        module.__spec__ = self._spec


def install() -> None:
    """Makes the old names importable."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.append(_Moved())
