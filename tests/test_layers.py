"""The order of the layers, and the habits that hold in every file of the package."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import goalscope

PACKAGE = Path(goalscope.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

MAY_IMPORT = {
    # room: the rooms that it may import beside itself, `files`, `showing` and `progress`, which all may
    "files": set(),
    "showing": set(),  # how any record shows itself, so all rooms may import it as they may `files`
    "progress": set(),  # how long work is counted, so likewise
    "moved": set(),
    "verbs": {"activations", "policies"},
    "worlds": set(),
    "activations": set(),
    "parallel": {"evidence"},
    "stats": set(),
    "policies": {"worlds"},
    "methods": {"activations", "stats"},
    "evidence": {"stats"},
    "plots": {"stats"},
    # How a finding stands is one rule; the pages read it, and otherwise files only.
    "report": {"evidence"},
    "rollout": {"worlds", "policies", "activations", "methods", "plots"},
    "training": {"worlds", "policies", "rollout", "stats"},
    "studies": {
        "worlds", "policies", "rollout", "training", "activations", "stats", "methods", "evidence", "plots",
        "report",
    },
    "sweep": {"parallel", "policies", "evidence", "studies"},
    "viewing": {"worlds", "policies", "rollout", "methods", "plots", "studies"},
    "app": {
        "worlds", "policies", "activations", "stats", "rollout", "methods", "evidence", "plots", "report", "studies",
        "viewing",
    },
    "commands": {
        "worlds", "policies", "rollout", "training", "evidence", "plots", "report", "studies", "viewing", "app",
        "parallel", "sweep",
    },
    # `import goalscope` names the public surface and loads it on first use.
    "": {"worlds", "policies", "rollout", "activations", "methods", "studies", "moved", "verbs"},
}  # fmt: skip
"""The import direction of ARCHITECTURE.md; a room is a folder or a file beside them ('' is the package)."""

METHODS_APART = "methods"
"""in this room the methods do not import each other either; a method is a file, or a folder in one of its rooms"""

STUDIES_APART = "studies"
"""in this room neither the folders, a study each, import each other, nor do the files beside them import a folder"""

STUDY_ROOMS = ("setup", "measure", "findings", "figures", "words", "study")
"""the rooms of a study, files or folders: each may import itself and those before it"""
LEAST_STUDY = {"measure", "findings", "figures", "words", "study"}
"""the rooms that every study has; `setup` only where there is something to set up"""


def room(module: str) -> str:
    """'goalscope.worlds.maze' is in 'worlds'."""
    return module.split(".")[1] if "." in module else ""


def module_name(file: Path) -> str:
    parts = ("goalscope", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Every module of ours that a file imports, wherever in the file, by whatever form of import."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module.split(".")
                above = here[: len(here) - node.level + is_package]
                base = ".".join([*above, base] if base else above)
            # `from goalscope import worlds` imports a room, `from goalscope import __version__` does not.
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "goalscope" else [base]
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
            "import_module", "__import__",
        ):  # fmt: skip
            first = node.args[0] if node.args else None
            names = [first.value] if isinstance(first, ast.Constant) and isinstance(first.value, str) else []
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "goalscope")


def method(module: str) -> str:
    """'goalscope.methods.reading.probe.linear' is of the method 'goalscope.methods.reading.probe'."""
    return ".".join(module.split(".")[:4])


def study_of(module: str) -> str:
    """'goalscope.studies.maze_goal.words' is of the study 'maze_goal'; a file beside the studies is of none ('')."""
    parts = module.split(".")
    name = parts[2] if len(parts) > 2 else ""
    return name if (PACKAGE / STUDIES_APART / name).is_dir() else ""


def back_up(module: str, name: str) -> bool:
    """Whether a file of a study imports one of a later room of the same study."""
    here, there = (part.split(".")[3:4] for part in (module, name))
    if not here or not there or study_of(module) != study_of(name):
        return False
    return STUDY_ROOMS.index(there[0]) > STUDY_ROOMS.index(here[0])


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """The groups of files that import each other, on whatever way."""
    reach: dict[str, set[str]] = {}
    for start in imports:
        seen, todo = set(), [start]
        while todo:
            for there in imports.get(todo.pop(), ()):
                if there not in seen:
                    seen.add(there)
                    todo.append(there)
        reach[start] = seen
    tied = [sorted(b for b in imports if b in reach[a] and a in reach[b]) for a in imports if a in reach[a]]
    return [list(group) for group in dict.fromkeys(map(tuple, tied))]


def file_imports(sources: dict[str, str]) -> dict[str, set[str]]:
    """module -> the modules of ours that it imports: the files that names come from, not the folders around them.

    An `__init__` is what its folder shows outside; what a file imports by the folder's name is the folder's file.
    """
    found = {}
    for module, source in sources.items():
        if (
            module == "goalscope"
        ):  # imports names for readers of types only; who asks it for the version comes first
            continue
        names = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and node.module:
                inside = {f"{node.module}.{alias.name}" for alias in node.names} & sources.keys()
                names |= inside or {node.module}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
        found[module] = names & sources.keys() - {module}
    return found


def is_room(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def breaches(source: str, module: str, is_package: bool = False) -> list[str]:
    """The imports of a file that the table does not allow."""
    here = room(module)
    found = []
    for name in imported(source, module, is_package):
        there = room(name)
        if not is_room(there) or there == "":
            continue
        if there not in (here, "files", "showing", "progress") and there not in MAY_IMPORT[here]:
            found.append(name)
        if there == here == METHODS_APART and method(name) != method(module):
            found.append(name)
        if there == here == STUDIES_APART:
            apart = study_of(name) not in ("", study_of(module))
            if apart or (study_of(module) and back_up(module, name)):
                found.append(name)
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_import_direction(file: Path):
    module = module_name(file)
    assert room(module) in MAY_IMPORT, f"{room(module)} has no row in the table: say what it may import"
    assert breaches(file.read_text(encoding="utf-8"), module, file.name == "__init__.py") == []


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in PACKAGE.glob("studies/*/study.py")), ids=lambda f: f.name
)
def test_every_study_has_the_same_rooms(folder: Path):
    found = {
        path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert found - {"__init__"} >= LEAST_STUDY
    assert found - {"__init__"} <= set(STUDY_ROOMS)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("goalscope.worlds.maze", "import goalscope.policies.compact"),
        ("goalscope.worlds.maze", "from goalscope import stats"),
        ("goalscope.worlds.maze", "from ..stats import Estimate"),
        ("goalscope.worlds.maze", "from .. import methods"),
        ("goalscope.worlds.maze", "def f():\n    from goalscope.rollout import play"),
        ("goalscope.worlds.maze", "if x:\n    import os, goalscope.plots.svg as svg"),
        ("goalscope.policies.x", "from goalscope.evidence.finding import Finding"),
        (
            "goalscope.methods.behaviour.reach",
            "from goalscope.methods.behaviour.decision import fractional_logit",
        ),
        ("goalscope.methods.behaviour.reach", "from .decision import fractional_logit"),
        ("goalscope.methods.behaviour.reach", "from goalscope.worlds.maze import Move"),
        ("goalscope.evidence.store", "from goalscope.methods import reach"),
        ("goalscope.report.html", "from goalscope.plots.svg import clean"),
        ("goalscope.studies.maze_internals.words", "from goalscope.studies.maze_goal.words import told"),
        ("goalscope.studies.sokoban_plan.words", "from ..maze_goal import words"),
        (
            "goalscope.studies.maze_goal.measure",
            "from goalscope.studies.maze_goal.findings.decision import regress",
        ),
        ("goalscope.studies.maze_goal.words", "from .study import Options"),
        ("goalscope.studies.frame", "def f():\n    from goalscope.studies.maze_goal.study import study"),
        ("goalscope.stats", "import importlib\nimportlib.import_module('goalscope.methods.behaviour.reach')"),
    ],
)
def test_the_check_sees_every_form_of_import(module: str, source: str):
    assert len(breaches(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("goalscope.worlds.gym", "from goalscope.worlds.contract import World\nfrom . import maze"),
        ("goalscope.methods.behaviour.reach", "from goalscope.stats import Estimate"),
        ("goalscope.evidence.finding", "from goalscope import __version__\nimport torch, numpy"),
        ("goalscope.studies.maze_goal.study", "from goalscope.report.html import write_report"),
        ("goalscope.studies.maze_goal.study", "from goalscope.studies.maze_goal import words"),
        ("goalscope.studies.maze_goal.study", "from goalscope.studies.maze import toward"),
        ("goalscope.studies.frame", "from goalscope.studies.about import Outcome"),
    ],
)
def test_the_check_allows_what_the_table_allows(module: str, source: str):
    assert breaches(source, module) == []


def test_no_file_imports_one_that_imports_it():
    """Inside a room too imports go one way: what two files need of each other is a third one."""
    assert (
        circles(file_imports({module_name(file): file.read_text(encoding="utf-8") for file in FILES})) == []
    )


def test_the_check_sees_circles_on_every_way():
    sources = {
        "goalscope.w.a": "from goalscope.w.b import x",
        "goalscope.w.b": "def f():\n    from goalscope.w import c",
        "goalscope.w.c": "import goalscope.w.a",
        "goalscope.w.d": "from goalscope.w.a import y",
        "goalscope.w": "from goalscope.w.a import y",
    }
    assert circles(file_imports(sources)) == [["goalscope.w.a", "goalscope.w.b", "goalscope.w.c"]]


def loaded_by(code: str) -> set[str]:
    """The names of the modules that are loaded after the code, in a fresh process."""
    program = (
        f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('\\n'.join(['', *sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n"))


@pytest.mark.parametrize(
    "code",
    [
        "import goalscope",
        "from goalscope.studies import study",
        "import goalscope.report.html, goalscope.report.inline, goalscope.report.reading",
        "import goalscope.evidence.finding, goalscope.evidence.run_folder",
        "import goalscope.plots, goalscope.plots.boards.maze, goalscope.plots.charts",
        "sys.argv = ['goalscope', '--help']; from goalscope.commands.main import main; main()",
        "sys.argv = ['goalscope', 'study', 'maze', '--help']; from goalscope.commands.main import main; main()",
    ],
)
def test_no_torch_where_none_is_needed(code: str):
    modules = loaded_by(code)
    assert any(name.startswith("goalscope") for name in modules)
    assert "torch" not in modules


def test_distributions_come_without_all_of_scipys():
    """`scipy.stats` takes longer to import than the rest of what a finding needs; `scipy.special` has the functions."""
    loaded = loaded_by("import goalscope.studies.maze_goal.study, goalscope.methods.intervening")
    assert "goalscope.stats.student" in loaded and "scipy.stats" not in loaded


def test_the_check_for_torch_can_fail():
    assert "torch" in loaded_by("import goalscope.policies.compact")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_file_says_what_it_is_for_and_stays_short(file: Path):
    source = file.read_text(encoding="utf-8")
    assert source.count("\n") <= 400
    if source.strip():
        assert ast.get_docstring(ast.parse(source)), "the first line of a file says what it is for"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_nothing_is_asserted_or_unpickled(file: Path):
    """Checks at the boundary raise errors with words; foreign files are data."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: assert"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = getattr(node.func.value, "id", "")
            options = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
            called = f"{owner}.{node.func.attr}"
            assert called not in ("pickle.load", "pickle.loads"), f"line {node.lineno}: {called}"
            if called == "torch.load":
                assert options.get("weights_only") is True, (
                    f"line {node.lineno}: {called} without weights_only"
                )
            if called == "np.load":
                assert not options.get("allow_pickle"), f"line {node.lineno}: {called} with allow_pickle"


LINES = 60
"""of a function, without its docstring: what one sees at once"""


def long_functions(source: str) -> list[str]:
    """The functions of a file with more than `LINES` lines beside their docstring."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            lines = node.end_lineno - node.lineno + 1
            said = node.body[0]
            if ast.get_docstring(node) is not None and said.end_lineno is not None:
                lines -= said.end_lineno - said.lineno + 1
            if lines > LINES:
                found.append(f"{node.name}: {lines}")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_a_function_fits_a_screen(file: Path):
    assert long_functions(file.read_text(encoding="utf-8")) == []


def test_the_check_counts_code_and_not_docstrings():
    words, code = ["    '''first", *["    more"] * 80, "    '''"], ["    x = 1"] * (LINES - 1)
    assert long_functions("\n".join(["def f():", *words, *code])) == []
    assert long_functions("\n".join(["class A:", " async def f(self):", *words, *code, "    y = 2"])) == [
        "f: 61"
    ]
