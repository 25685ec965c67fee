"""A TOML table that is read strictly: each key is taken once, with its type, and whatever is left is an error."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from typing import Any, NoReturn, TypeVar

from search.law_pack import Source
from search.vocabulary import CODE

Read = TypeVar("Read")


class LawPackError(ValueError):
    """A law pack cannot be read. The message names file, place and what is wrong."""


class Table:
    """One table of a law pack. Every method but `keys` raises LawPackError when the file says something else."""

    def __init__(self, place: str, values: Mapping[str, Any]) -> None:
        self._place = place
        self._values = dict(values)

    @property
    def keys(self) -> list[str]:
        """The keys that were not taken yet."""
        return list(self._values)

    def fail(self, key: str, why: str) -> NoReturn:
        raise LawPackError(f"{self._place}: {key}: {why}")

    def done(self, rule: Read) -> Read:
        """`rule`, once nothing is left in the table."""
        if self._values:
            raise LawPackError(f"{self._place}: unknown key: {listed(self._values)}")
        return rule

    def text(self, key: str, *, optional: bool = False) -> str:
        value = self._take(key, str, optional=optional)
        if value is None:
            return ""
        if not value.strip():
            self.fail(key, "is empty")
        return str(value)

    def code(self, key: str) -> str:
        value = self.text(key)
        if not CODE.match(value):
            self.fail(key, f"not a code: {value!r}")
        return value

    def flag(self, key: str) -> bool:
        return bool(self._take(key, bool))

    def number(self, key: str, low: int, high: int) -> int:
        value = self._take(key, int)
        if isinstance(value, bool) or not low <= value <= high:
            self.fail(key, f"must be a whole number from {low} to {high}")
        return int(value)

    def day(self, key: str) -> date:
        found = self.optional_day(key)
        return found if found is not None else self.fail(key, "is missing")

    def optional_day(self, key: str) -> date | None:
        value = self._take(key, date, optional=True)
        if isinstance(value, datetime):
            self.fail(key, "must be a date without a time")
        return value

    def codes(self, key: str, known: Collection[str], *, may_be_empty: bool = False) -> frozenset[str]:
        """A list of codes out of `known`, each once; `"*"` alone stands for all of them."""
        values = self._take(key, list, optional=may_be_empty) or []
        if values == ["*"]:
            return frozenset(known)
        unknown = [str(value) for value in values if value not in known]
        if unknown:
            self.fail(key, f"unknown code: {listed(unknown)}")
        if len(set(values)) != len(values):
            self.fail(key, "a code is listed twice")
        if not values and not may_be_empty:
            self.fail(key, "is empty")
        return frozenset(values)

    def names(self, key: str) -> list[str]:
        """A list of codes that are checked elsewhere."""
        values = self._take(key, list)
        if not all(isinstance(value, str) for value in values):
            self.fail(key, "must be a list of codes")
        return list(values)

    def table(self, key: str, *, optional: bool = False) -> Table:
        return Table(f"{self._place}: {key}", self._take(key, dict, optional=optional) or {})

    def tables(self, key: str, *, optional: bool = False) -> list[Table]:
        values = self._take(key, list, optional=optional) or []
        if not optional and not values:
            self.fail(key, "is empty")
        if not all(isinstance(value, dict) for value in values):
            self.fail(key, f"write it as [[{key}]]")
        return [Table(f"{self._place}: {key}[{n}]", value) for n, value in enumerate(values, 1)]

    def source(self) -> Source:
        """`house = true`, or `citation` with `verified` (and a `note` with either)."""
        note = self.text("note", optional=True)
        house = self._take("house", bool, optional=True)
        if house is not None:
            if not house or "citation" in self._values or "verified" in self._values:
                self.fail("house", "write either house = true, or citation and verified")
            return Source(note=note)
        return Source(citation=self.text("citation"), verified=self.flag("verified"), note=note)

    def _take(self, key: str, kind: type, *, optional: bool = False) -> Any:
        if key not in self._values:
            return None if optional else self.fail(key, "is missing")
        value = self._values.pop(key)
        if not isinstance(value, kind):
            self.fail(key, f"must be a {kind.__name__}, not {type(value).__name__}")
        return value


def listed(items: Iterable[str]) -> str:
    return ", ".join(sorted(items))
