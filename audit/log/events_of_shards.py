"""What is logged about galleries that are spread over several servers. Rows of `audit.log.events.REGISTRY`.

Each is (type, writer, sentence, fields, optional fields, commitments), as `events` explains them. No Django here.
A server stands in `shards` as name:edition; `results` are SHA-256 of the result entries in the logs of these servers, in that order;
`cuts` say of each how it searched: `exact`, or the cut of two stages, and `loss_one_in` is the greatest chance of a loss that any states.
"""

from __future__ import annotations

from typing import Final

EVENTS_OF_SHARDS: Final[tuple[tuple[str, str, str, str, str, str], ...]] = (
    ("gate:shard:named", "migrate", "This server was made a shard of an installation.", "shard=code", "", ""),
    (
        "gate:gallery:spread",
        "gate_owner",
        "It was fixed over which servers a gallery is spread.",
        "gallery=id shards=codes approver=id",
        "",
        "",
    ),
    (
        "search:request:incomplete",
        "app",
        "A search is incomplete: a server that holds a part of the gallery has not given its result.",
        "request=id shard=code reason=code",
        "",
        "",
    ),
    (
        "search:result:merged",
        "app",
        "Every server of a spread gallery has the result of a search in its signed log.",
        "request=id shards=codes results=codes cuts=codes",
        "loss_one_in=int",
        "",
    ),
)
