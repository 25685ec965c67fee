"""What a disclosure has of the other servers of a spread gallery: every entry, its receipt, and the list that it commits to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from audit.log import storage
from audit.log.commitments import Opening
from audit.log.proof import Receipt
from audit.oversight.exports import KEYS
from core.exceptions import Unavailable
from search import shards, trail
from search.exceptions import Unproven
from search.methods import Method
from search.models import SearchRequest
from search.shards import Server

_STORED: Final = "search:result:stored"


def files(request: SearchRequest, shown: Mapping[str, Any] | None, used: Sequence[Method]) -> dict[str, bytes]:
    """The files by name, each entry under the keys of its server's own log; `shown` is what a reading showed, if there was one,
    `used` how each server searched, as the main log states it.

    Raises Unavailable for a server or a signature that is missing now, Unproven when a list or a method is not what the
    server's log says.
    """
    found: dict[str, bytes] = {}
    for name in shards.others_of(request):
        try:
            with shards.reach(name) as connection:
                server = Server(name, 0, connection)
                found |= _of(server, request, shown, next(one for one in used if one.server == name))
        except (shards.ServerTrouble, storage.NotCovered) as missing:
            raise Unavailable(f"The log of the server {name} cannot be had now. Try again later.") from missing
    return found


def opening(part: Mapping[str, Any]) -> Opening:
    """What opens a result entry's commitment to its list, from what a reading kept of one server."""
    return Opening("candidates", bytes.fromhex(part["salt"]), part["candidates"])


def _of(server: Server, request: SearchRequest, shown: Mapping[str, Any] | None, used: Method) -> dict[str, bytes]:
    keys = server.keys()
    place = f"servers/{server.name}"
    found = {f"{place}/{KEYS}": "".join(f"{key}\n" for key in keys).encode()}
    for number, entry in enumerate(trail.entries(server.connection, request.id), 1):
        body = storage.entry_body(server.connection, entry.id)
        receipt = storage.receipt(server.connection, entry.id, keys, signed_only=True).encode()
        Receipt.parse(receipt).verify(body, keys)
        named = f"{number:03d}-{entry.type.replace(':', '-')}"
        found[f"{place}/entries/{named}.entry.json"] = body
        found[f"{place}/entries/{named}.tlog-proof"] = receipt
        if entry.type == _STORED and entry.fields.get("cut") != used.cut:
            raise Unproven(f"How the server {server.name} searched is not what its log says. Tell the oversight board.")
        if entry.type == _STORED and shown is not None:
            opened = opening(shown["parts"][server.name])
            if opened.commitment != entry.fields["c"]["candidates"]:
                raise Unproven(
                    f"The list of the server {server.name} is not what its log says. Tell the oversight board."
                )
            found[f"{place}/openings/{named}.candidates.opening.json"] = opened.encode()
    return found
