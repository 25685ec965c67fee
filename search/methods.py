"""How a search was run, as the log states it: by each server of its gallery, and in a sentence for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.shard_file import MAIN
from search import shards, trail

_EXACTLY: Final = "Every photo was compared exactly: none at or above the threshold could be missed."


@dataclass(frozen=True)
class Method:
    """How one server searched: exactly, or in two stages with `cut`, where a photo exactly at the threshold is missed with a
    chance of at most 1 in `loss_one_in`."""

    server: str
    edition: int
    cut: int | None = None
    loss_one_in: int | None = None

    @property
    def method(self) -> str:
        """exact or two_stage."""
        return "exact" if self.cut is None else "two_stage"

    def as_dict(self) -> dict[str, Any]:
        """For a file or a summary."""
        return {
            "server": self.server,
            "edition": self.edition,
            "method": self.method,
            "cut": self.cut,
            "loss_one_in": self.loss_one_in,
        }


def by_server(said: Iterable[trail.Entry]) -> list[Method]:
    """How each server searched, by the main log's entries of a search; empty while not every one of them has its result."""
    entries = {entry.type: entry.fields for entry in said}
    if entries.get("search:intent:filed", {}).get("shards"):
        merged = entries.get(shards.MERGED)
        return [] if merged is None else list(_of_parts(merged))
    result = entries.get("search:result:stored")
    if result is None:
        return []
    return [Method(MAIN, result["edition"], result.get("cut"), result.get("loss_one_in"))]


def _of_parts(merged: Mapping[str, Any]) -> Iterable[Method]:
    for one, cut in zip(merged["shards"], merged["cuts"], strict=True):
        name, _, edition = one.partition(":")
        if cut == shards.EXACT:
            yield Method(name, int(edition))
        else:
            yield Method(name, int(edition), int(cut), merged["loss_one_in"])


def sentence(used: Sequence[Method]) -> str:
    """What the methods of the servers say about what the search could miss; empty without any."""
    losses = [one.loss_one_in for one in used if one.loss_one_in is not None]
    if not used or not losses:
        return _EXACTLY if used else ""
    exact = [one.server for one in used if one.cut is None]
    return (
        f"Searched in two stages{_on(used) if exact else ''}, the first by codes: it could miss a photo "
        f"{'there ' if exact else ''}exactly at the threshold with a chance of at most 1 in {min(losses):,}, and a better match "
        f"with a smaller one.{_and_exactly(exact)}"
    )


def _on(used: Sequence[Method]) -> str:
    return f" on the server{_several(names := [one.server for one in used if one.cut is not None])} {_listed(names)}"


def _and_exactly(names: Sequence[str]) -> str:
    return f" On the server{_several(names)} {_listed(names)} every photo was compared exactly." if names else ""


def _several(names: Sequence[str]) -> str:
    return "s" if len(names) > 1 else ""


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def of(said: Iterable[trail.Entry]) -> str:
    """The sentence for a search with these entries; empty while it has no result, or not that of every server."""
    return sentence(by_server(said))
