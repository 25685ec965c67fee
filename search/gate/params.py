"""What each act's approval is given for: the parameters whose digest the database recomputes."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final

from audit.log.entries import params_digest

SEARCH_ACT: Final = "search:request"
_SEARCH_FIELDS: Final = (
    "request",
    "requester",
    "gallery",
    "edition",
    "model",
    "threshold",
    "k",
    "purpose",
    "emergency",
    "claim",
    "expires",
)


def search(intent: Mapping[str, Any], *, photo: str, box: str) -> bytes:
    """The digest of a search's parameters (`gate.search_params`): the intent's fields and its commitments to photo and box.

    The sub-gallery is among them where the intent names one. With `shards` (name:edition of each server) it is the same for
    all of them: the list takes the place of the edition.
    """
    names = (*_SEARCH_FIELDS, "sub_gallery") if "sub_gallery" in intent else _SEARCH_FIELDS
    values = {**{name: intent[name] for name in names}, "photo": photo, "box": box}
    if not intent.get("shards"):
        return params_digest(values)
    return params_digest({"search": params_digest({**values, "edition": 0}).hex(), "shards": intent["shards"]})


def spread_gallery(*, gallery: uuid.UUID, shards: Sequence[str]) -> dict[str, Any]:
    return {"gallery": gallery, "shards": list(shards)}


def register_edition(*, gallery: uuid.UUID, model: str, dimension: int) -> dict[str, Any]:
    return {"gallery": gallery, "model": model, "dimension": dimension}


def switch_edition(*, gallery: uuid.UUID, edition: int, missing: int) -> dict[str, Any]:
    """`missing`: how many people of the edition that is searched are not in this one."""
    return {"gallery": gallery, "edition": edition, "missing": missing}


def open_reembedding(
    *, gallery: uuid.UUID, source: int, target: int, version: int, templates: int, claim: bytes
) -> dict[str, Any]:
    """`version` and `templates` say which templates of `source`: what is enrolled later is not read."""
    return {
        "gallery": gallery,
        "source": source,
        "target": target,
        "version": version,
        "templates": templates,
        "claim": claim.hex(),
    }


def define_sub_gallery(*, gallery: uuid.UUID, name: str, matches: Sequence[str]) -> dict[str, Any]:
    return {"gallery": gallery, "sub_gallery": name, "matches": list(matches)}


def remove(*, edition: int, templates: Sequence[uuid.UUID]) -> dict[str, Any]:
    """`templates` are hashed as the sorted, distinct ids in text form joined by commas."""
    joined = ",".join(str(template) for template in sorted(set(templates)))
    return {"edition": edition, "templates": hashlib.sha256(joined.encode()).hexdigest()}


def abandon_batch(*, edition: int, batch: int) -> dict[str, Any]:
    return {"edition": edition, "batch": batch}


def expunge(*, person: uuid.UUID) -> dict[str, Any]:
    return {"person": person}


def replay(*, request: uuid.UUID) -> dict[str, Any]:
    return {"request": request}


def erase(*, record: uuid.UUID) -> dict[str, Any]:
    return {"record": record}


def erase_search(*, request: uuid.UUID) -> dict[str, Any]:
    return {"request": request}


def adopt_evaluation(
    *, model: str, report: str, verdict: str, policy: str, threshold: int, expires: int
) -> dict[str, Any]:
    return {
        "model": model,
        "report": report,
        "verdict": verdict,
        "policy": policy,
        "threshold": threshold,
        "expires": expires,
    }


def set_policy(*, setting: str, value: int) -> dict[str, Any]:
    return {"setting": setting, "value": value}


def set_exemption(*, gallery: uuid.UUID, purpose: str, exempt: bool) -> dict[str, Any]:
    return {"gallery": gallery, "purpose": purpose, "exempt": exempt}


def lift_hold(*, subject: uuid.UUID) -> dict[str, Any]:
    return {"subject": subject}
