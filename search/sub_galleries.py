"""Sub-galleries: named parts of a gallery, by what the enrolment manifests say of each photo.

A definition is a list of `column:value`. A photo belongs to it when, for every column that is named, its value is one of
those listed; capitals and the width of spaces do not count. Definitions are written once; who was enrolled before is in none
that is defined later, because the mark is written with the template.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from core import database
from core.exceptions import Conflict, Invalid
from core.models import User
from search import permissions, shards
from search.exceptions import gate_sentences
from search.gate import client, params
from search.gate.client import SubGallery
from search.models import Gallery
from search.proposals import propose
from search.shards import ServerTrouble

MOST_MATCHES: Final = 64
# The same patterns stand in search/gate/sql (gallery.define_sub_gallery).
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")
_MATCH: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}:[a-z0-9_.:-]{1,39}")


def define(
    *, by: User | None, gallery: Gallery, name: str, matches: Sequence[str], approver: User, secret: str
) -> SubGallery:
    """Define a sub-gallery for everything that is enrolled from now on; by=None is the operator at the command line.

    Of a gallery over several servers on each of them, the main one last: until then it is offered to nobody, and where one
    does not answer this is to be repeated. Raises NotAllowed, Unavailable, Invalid (fields name, matches, secret), Conflict: among them a name that is taken, and an enrolment
    that is not finished.
    """
    permissions.check_can_keep_galleries(by, gallery.agency_id)
    wanted = sorted({_match(*match.split(":", 1)) for match in matches})
    wrong: dict[str, list[str]] = {}
    if not _NAME.fullmatch(name):
        wrong["name"] = ["Name it with up to 60 small letters, digits, hyphens, dots or underscores."]
    if not 1 <= len(wanted) <= MOST_MATCHES:
        wrong["matches"] = [f"Name 1 to {MOST_MATCHES} values, each as column:value."]
    elif strange := [match for match in wanted if not _MATCH.fullmatch(match)]:
        wrong["matches"] = [f"“{strange[0]}” is not column:value in letters, digits, hyphens, dots and underscores."]
    if wrong:
        raise Invalid("The sub-gallery cannot be defined like this.", wrong)
    made = [_define_at(by, gallery, shard, name, wanted, approver, secret) for shard in (*shards.others(gallery), "")]
    if not any(made):
        raise Conflict(
            "The gallery has a sub-gallery of this name. What it means is never changed: choose another name."
        )
    defined = client.sub_galleries(database.session())
    return next(one for one in defined if (one.gallery, one.name) == (gallery.id, name))


def _define_at(
    by: User | None, gallery: Gallery, shard: str, name: str, wanted: list[str], approver: User, secret: str
) -> bool:
    """Define it on one server; says whether it was not there yet, with this meaning. Raises Conflict, Unavailable."""
    with shards.session(shard) as at, gate_sentences():
        known = next((one for one in client.sub_galleries(at) if (one.gallery, one.name) == (gallery.id, name)), None)
        if known is not None and list(known.matches) == wanted:
            return False
        given = params.define_sub_gallery(gallery=gallery.id, name=name, matches=wanted)
        proposal = propose(
            by=by, act="gallery:define_sub_gallery", params=given, approver=approver, secret=secret, at=at
        )
        client.define_sub_gallery(at, gallery=gallery.id, name=name, matches=wanted, proposal=proposal)
    return True


def of_edition(edition: int, shard: str = "") -> list[SubGallery]:
    """The sub-galleries of an edition of one server, by name, with their sizes there now. Raises Unavailable."""
    with shards.session(shard) as at:
        return [one for one in client.sub_galleries(at) if one.edition == edition]


def shown(gallery: Gallery, edition: int) -> list[SubGallery]:
    """For pages: those of an edition, with all servers' photos; none of a gallery of which a server does not answer."""
    if not gallery.shards:
        return of_edition(edition)
    with suppress(ServerTrouble):
        return of_gallery(gallery)
    return []


def of_gallery(gallery: Gallery) -> list[SubGallery]:
    """What can be searched alone in a gallery now, by name; of one over several servers with the sum of their sizes.

    There it has to mean the same on every server. Raises ServerTrouble when one does not answer.
    """
    found: dict[str, list[SubGallery]] = defaultdict(list)
    names = shards.others(gallery)
    current = {one.edition for one in client.editions(database.session(), gallery.id) if one.is_current}
    for one in client.sub_galleries(database.session()):
        if one.edition in current:
            found[one.name].append(one)
    for server in names if found else []:  # the main server is the last to know of one
        with shards.reach(server) as at:
            current = {one.edition for one in client.editions(at, gallery.id) if one.is_current}
            for one in client.sub_galleries(at):
                if one.edition in current and one.name in found:
                    found[one.name].append(one)
    return [
        replace(parts[0], templates=sum(one.templates for one in parts))
        for _, parts in sorted(found.items())
        if len(parts) == 1 + len(names) and len({one.matches for one in parts}) == 1
    ]


def marks(among: Sequence[SubGallery], attributes: Mapping[str, str]) -> int:
    """The bits of the sub-galleries that a photo with these attributes belongs to, as the template will hold them."""
    if not among:
        return 0
    has = {_match(column, value) for column, value in attributes.items()}
    return sum(one.mark for one in among if _belongs(one.matches, has))


def _belongs(matches: Sequence[str], has: set[str]) -> bool:
    columns: dict[str, set[str]] = defaultdict(set)
    for match in matches:
        columns[match.partition(":")[0]].add(match)
    return all(values & has for values in columns.values())


def _match(*parts: str) -> str:
    return ":".join("_".join(part.casefold().split()) for part in parts)
