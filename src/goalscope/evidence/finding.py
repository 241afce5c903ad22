"""A finding, one claim as a number with its interval, its control and its origin; and the file of findings.

The file is Parquet with a fixed schema and nothing in it that changes between equal runs (no time, no host),
so that equal findings are equal files, byte for byte.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from goalscope import __version__
from goalscope.evidence.standing import CLAIMS, REASONS, ROLES, Standing, could_differ, standing
from goalscope.files import write_whole
from goalscope.showing import interval

_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
_SHA256 = re.compile(r"([0-9a-f]{64})?")
_SLACK = 1e-9
"""relative; the mean of equal numbers may leave their interval by a rounding"""


@dataclass(frozen=True)
class Finding:
    """One claim about one policy in one world, beside the control that would look the same if it were empty.

    Raises:
        ValueError: on construction, where a number is not finite, an interval does not hold its estimate, n
            is below 1, an id or sha256 is malformed, or a text that must be there is empty.
    """

    id: str
    """section, dot, what is measured: 'reach.size.13'; lower case, digits, underscores, at least one dot"""
    question: str
    """what the number answers, in words"""
    estimate: float
    low: float
    """lower end of the 95% interval"""
    high: float
    n: int
    """independent units (levels)"""
    unit: str
    """of the estimate: 'probability', 'nats per step', ..."""
    control: float | None
    """None where there is no control; `control_name` then says why"""
    control_low: float | None
    control_high: float | None
    control_name: str
    method: str
    site: str
    """the module that was read or edited; 'behaviour' where none was"""
    policy: str
    policy_sha256: str
    """of the weights file; empty for a policy that has none"""
    world: str
    seed: int
    code_version: str
    role: str = "undeclared"
    """one of `standing.ROLES`, declared before the run"""
    claim: str = "apart"
    """one of `standing.CLAIMS`: where it would have to lie beside its control"""
    invalid: str = ""
    """one of `standing.REASONS` where the measurement could not have answered; empty where it could"""
    quick: bool = False
    """of a quick run: fewer levels, so less can be told apart"""
    floor: float | None = None
    """what the control gives by construction, whatever the claim (the most frequent label's score, no effect, the uniform
    walk's chance); None where that is not known"""

    @property
    def standing(self) -> Standing:
        """'supported', 'contradicted', 'inconclusive', 'untested' or 'invalid', by `standing.standing`."""
        return standing(self.low, self.high, *self._beside, self.claim, self.invalid)

    @property
    def control_could_differ(self) -> bool | None:
        """Whether the control is shown to be able to come out otherwise, by `standing.could_differ`; None: not known."""
        return could_differ(self.low, self.high, *self._beside, self.floor)

    @property
    def _beside(self) -> tuple[float | None, float | None]:
        """The ends of the control's interval, both its number where it has none."""
        low = self.control if self.control_low is None else self.control_low
        return low, self.control if self.control_high is None else self.control_high

    def __repr__(self) -> str:
        """The claim in six lines; the fields have the rest."""
        lines = [
            f"{self.id}{' (quick)' if self.quick else ''}: {self.question}",
            f"  {_numbers(self.estimate, self.low, self.high)} {self.unit}, n = {self.n}",
            f"  control: {_numbers(self.control, self.control_low, self.control_high)} ({self.control_name})",
            f"  {self.role}, claim '{self.claim}': {self.standing}{f' ({self.invalid})' if self.invalid else ''}",
            f"  {self.policy} in {self.world}, at {self.site}, seed {self.seed}",
            f"  by {self.method}",
        ]
        return "\n".join(line if len(line) <= 110 else f"{line[:109]}…" for line in lines)

    def _repr_html_(self) -> str:
        measured = f"{_numbers(self.estimate, self.low, self.high)}, n = {self.n}"
        rows = [("measured", self.estimate, self.low, self.high, measured)]
        if self.control is not None:
            low, high = self.control_low, self.control_high
            ends = (low, high) if low is not None and high is not None else (self.control, self.control)
            rows.append(
                ("control", self.control, *ends, f"{_numbers(self.control, low, high)} {self.control_name}")
            )
        return interval(f"{self.id}: {self.question} ({self.standing})", rows)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not _ID.fullmatch(self.id):
            raise ValueError(
                f"finding id {self.id!r} must be lower-case words joined by dots, such as 'reach.size.13'"
            )
        for field in fields(self):
            self._check_type(field.name, str(field.type))
        for name in ("question", "unit", "control_name", "method", "site", "policy", "world", "code_version"):
            if not getattr(self, name).strip():
                raise ValueError(f"finding {self.id}: {name} is empty; say it in words")
        for name, known in (("role", ROLES), ("claim", CLAIMS), ("invalid", ("", *REASONS))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"finding {self.id}: {name} is {getattr(self, name)!r}; it is one of {', '.join(known)}"
                )
        if self.n < 1:
            raise ValueError(f"finding {self.id}: n is {self.n}; an estimate needs at least one unit")
        if not _SHA256.fullmatch(self.policy_sha256):
            raise ValueError(
                f"finding {self.id}: policy_sha256 {self.policy_sha256[:80]!r} is not 64 hexadecimal digits"
            )
        _check_interval(self.id, "estimate", self.estimate, self.low, self.high)
        if self.control is None:
            if self.control_low is not None or self.control_high is not None:
                raise ValueError(f"finding {self.id}: a control interval without a control")
        else:
            _check_interval(self.id, "control", self.control, self.control_low, self.control_high)

    def _check_type(self, name: str, kind: str) -> None:
        """Numbers become plain Python numbers (arrays' scalars are taken); anything else is refused."""
        value: Any = getattr(self, name)
        if kind.endswith("None") and getattr(self, name) is None:
            return
        try:
            if kind == "str" and isinstance(value, str):
                return
            if kind == "bool" and isinstance(value, bool | np.bool_):
                return object.__setattr__(self, name, bool(value))
            if kind == "int" and not isinstance(value, bool | str) and int(value) == value:
                return object.__setattr__(self, name, int(value))
            if kind.startswith("float") and not isinstance(value, bool | str) and math.isfinite(value):
                return object.__setattr__(self, name, float(value))
        except (TypeError, ValueError, OverflowError):
            pass
        wanted = {"str": "a text", "int": "a whole number", "bool": "true or false"}.get(
            kind, "a finite number"
        )
        raise ValueError(f"finding {self.id}: {name} must be {wanted}, got {value!r}")


def _numbers(estimate: float | None, low: float | None, high: float | None) -> str:
    if estimate is None:
        return "none"
    return f"{estimate:.4g}" if low is None or high is None else f"{estimate:.4g} [{low:.4g}, {high:.4g}]"


def _check_interval(
    identifier: str, name: str, estimate: float, low: float | None, high: float | None
) -> None:
    slack = _SLACK * max(1.0, abs(estimate))
    if (low is not None and low > estimate + slack) or (high is not None and high < estimate - slack):
        raise ValueError(
            f"finding {identifier}: the {name} {estimate} lies outside of its interval [{low}, {high}]"
        )


_ARROW = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "float | None": pa.float64(),
    "bool": pa.bool_(),
}
LATER = ("role", "claim", "invalid", "quick", "floor")
"""columns that files of version 0.1.0 lack; what they would say is then unknown, as the defaults have it"""
SCHEMA = pa.schema(
    [
        pa.field(field.name, _ARROW[str(field.type)], nullable=str(field.type).endswith("None"))
        for field in fields(Finding)
    ]
)


def to_table(findings: Iterable[Finding]) -> pa.Table:
    """The findings as an Arrow table with `SCHEMA`, one row each in their order.

    Raises:
        ValueError: two findings have the same id, policy and world.
    """
    rows = [asdict(finding) for finding in findings]
    seen = set()
    for row in rows:
        key = (row["id"], row["policy"], row["world"])
        if key in seen:
            raise ValueError(f"two findings are called {key[0]!r} for policy {key[1]!r} in world {key[2]!r}")
        seen.add(key)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def from_row(row: Mapping[str, Any]) -> Finding:
    """The finding of a table's row; what else the row says (its run, its standing) is left out."""
    return Finding(**{name: row[name] for name in SCHEMA.names if name in row})


def to_json(findings: Iterable[Finding]) -> str:
    """The findings with their standings as a JSON list of objects, for `--json`; numbers keep every digit."""
    rows = [
        {**asdict(f), "standing": f.standing, "control_could_differ": f.control_could_differ}
        for f in findings
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False)


def write_findings(path: str | os.PathLike[str], findings: Sequence[Finding]) -> None:
    """Writes a Parquet file, whole or not at all; equal findings give equal bytes.

    Raises:
        ValueError: two findings have the same id, policy and world.
        OSError: the place cannot be written, or the disk is full; an older file then still stands.
    """
    path = Path(path)
    buffer = BytesIO()
    pq.write_table(to_table(findings), buffer, compression="zstd", version="2.6")
    write_whole(path, buffer.getvalue())


def read_findings(path: str | os.PathLike[str]) -> tuple[Finding, ...]:
    """Reads what `write_findings` wrote, every finding checked again.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, is no Parquet file, lacks a column or holds what no finding can be.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; findings.parquet is in the run folder of a finished study")
    try:
        # Small files, read whole: Arrow's reading threads now and then abort a process that ends right after.
        table = pq.read_table(pa.BufferReader(path.read_bytes()), use_threads=False, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path} is not a readable Parquet file ({reason}); run the study again") from error
    missing = [name for name in SCHEMA.names if name not in (*table.column_names, *LATER)]
    if missing:
        raise ValueError(
            f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(table.column_names)}"
        )
    there = [name for name in SCHEMA.names if name in table.column_names]
    try:
        return tuple(from_row(row) for row in table.select(there).to_pylist())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def code_version() -> str:
    """The package's version and the first 12 digits of a sha256 over its source files: '0.1.0+3f2a...'.

    Any edit of the code changes it; it needs no git: a wheel and a checkout of the same files have the same.
    """
    return f"{__version__}+{code_digest('')[:12]}"


@functools.cache
def code_digest(*places: str) -> str:
    """sha256 over the names and contents of source files of the package.

    Args:
        places: folders and files of the package, as 'rollout' or 'studies/maze.py'; '' is the whole package.

    Raises:
        FileNotFoundError: there is no source file at one of them.
    """
    package = Path(__file__).resolve().parents[1]
    files: set[Path] = set()
    for place in places:
        here = package / place
        found = {here} if here.is_file() else set(here.rglob("*.py"))
        if not found:
            raise FileNotFoundError(f"no source file at {here}")
        files |= found
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.relative_to(package).as_posix()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
