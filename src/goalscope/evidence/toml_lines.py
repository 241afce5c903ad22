"""Where the tables of a TOML text and their keys stand, for messages; the standard library's reader does not say."""

from __future__ import annotations

import re
from collections.abc import Mapping


class At:
    """Says 'file, line N' of a key of one table; the table's own line where the key is not found."""

    def __init__(self, name: str, header: int, keys: Mapping[str, int]):
        self.name, self.header, self.keys = name, header, keys

    def number(self, key: str) -> int:
        """The line, counted from 1; 0 where nothing is known."""
        return self.keys.get(key, self.header)

    def __call__(self, key: str = "") -> str:
        line = self.number(key)
        return f"{self.name}, line {line}" if line else self.name


class Lines:
    """The lines of a text's `[[tables]]` and their keys, and of the keys before the first table."""

    def __init__(self, text: str, name: str):
        self.name = name
        self.tables: dict[str, list[At]] = {}
        keys: dict[str, int] = {}
        self.top = At(name, 0, keys)
        """of the keys before the first table"""
        quote = ""
        for number, line in enumerate(text.split("\n"), start=1):
            begun = quote
            for mark in re.findall(r'"""|\'\'\'', line):
                quote = "" if mark == quote else quote or mark
            if begun:  # inside of a text of several lines
                continue
            if header := re.match(r"\s*\[\[\s*\"?(\w+)\"?\s*\]\]", line):
                keys = {}
                self.tables.setdefault(header[1], []).append(At(name, number, keys))
            elif key := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line):
                keys.setdefault(key[1], number)

    def of(self, kind: str, index: int) -> At:
        """Of a table by its kind and its number among those of this kind, from 0."""
        found = self.tables.get(kind, [])
        return found[index] if index < len(found) else At(self.name, 0, {})
