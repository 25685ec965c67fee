"""How a search was run, as its result's entry states it, in a sentence for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from search import trail


def sentence(result: Mapping[str, Any]) -> str:
    """What the fields of a `search:result:stored` entry say about what the search could miss."""
    if result.get("method") == "two_stage":
        return (
            "Searched in two stages, the first by codes: it could miss a photo exactly at the threshold with a chance of at "
            f"most 1 in {int(result['loss_one_in']):,}, and a better match with a smaller one."
        )
    return "Every photo was compared exactly: none at or above the threshold could be missed."


def of(said: Iterable[trail.Entry]) -> str:
    """The sentence for a search with these entries; empty while it has no result."""
    return next((sentence(entry.fields) for entry in said if entry.type == "search:result:stored"), "")
