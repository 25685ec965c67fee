"""Sub-galleries: named parts of a gallery, by what the enrolment manifests say of each photo.

A definition is a list of `column:value`. A photo belongs to it when, for every column that is named, its value is one of
those listed; capitals and the width of spaces do not count. Definitions are written once; who was enrolled before is in none
that is defined later, because the mark is written with the template.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from core import database
from core.exceptions import Conflict, Invalid
from core.models import User
from search import permissions
from search.exceptions import gate_sentences
from search.gate import client, params
from search.gate.client import SubGallery
from search.models import Gallery
from search.proposals import propose

MOST_MATCHES: Final = 64
# The same patterns stand in search/gate/sql (gallery.define_sub_gallery).
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,59}")
_MATCH: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}:[a-z0-9_.:-]{1,39}")


def define(
    *, by: User | None, gallery: Gallery, name: str, matches: Sequence[str], approver: User, secret: str
) -> SubGallery:
    """Define a sub-gallery for everything that is enrolled from now on; by=None is the operator at the command line.

    Raises NotAllowed, Invalid (fields name, matches, secret), Conflict: among them a name that is taken, and an enrolment
    that is not finished.
    """
    permissions.check_can_keep_galleries(by, gallery.agency_id)
    if gallery.shards:
        raise Conflict("This gallery is spread over several servers: it has no sub-galleries.")
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
    given = params.define_sub_gallery(gallery=gallery.id, name=name, matches=wanted)
    proposal = propose(by=by, act="gallery:define_sub_gallery", params=given, approver=approver, secret=secret)
    session = database.session()
    with gate_sentences():
        client.define_sub_gallery(session, gallery=gallery.id, name=name, matches=wanted, proposal=proposal)
    return next(one for one in client.sub_galleries(session) if (one.gallery, one.name) == (gallery.id, name))


def of_edition(edition: int) -> list[SubGallery]:
    """The sub-galleries of an edition, by name, with their sizes now."""
    return [one for one in client.sub_galleries(database.session()) if one.edition == edition]


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
