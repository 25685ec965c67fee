"""What approvers are written. Mail travels in clear: no names, case numbers or reasons, only what and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from audit.oversight.sentences import when

_ACTS: Final[Mapping[str, str]] = {
    "search:request": "a face search",
    "gallery:register_edition": "a new edition of a gallery",
    "gallery:define_sub_gallery": "a new sub-gallery of a gallery",
    "gallery:open_reembedding": "the reading of a gallery's photos by another face model",
    "gallery:switch_edition": "the switch of a gallery to another edition",
    "gallery:remove": "the removal of templates from searches",
    "gallery:expunge": "the expungement of a person",
    "gate:replay": "running a search again",
    "gate:adopt_evaluation": "the threshold of a face model",
    "gate:set_policy": "a limit of the gate",
    "gate:set_exemption": "searching without approval",
    "gate:lift_hold": "lifting a legal hold",
    "gate:erase_search": "the erasure of a search's photo, embedding and candidates",
    "vault:erase": "the erasure of a record",
}
_NOT_YOU: Final = (
    "If this was not you, somebody knows your approval secret or is trying to find it out. Tell the registrar who gave it "
    "to you at once, by telephone: your secret is then revoked. Do not answer this message."
)


def _proposed(entry: Mapping[str, Any]) -> tuple[str, str]:
    what = _ACTS.get(entry["act"], entry["act"])
    return (
        "an approval was proposed in your name",
        f"On {when(entry['at'])} UTC an approval secret was typed in your name to approve {what}. The message does not say "
        f"whether it was right.\n\nIf this was you, there is nothing to do.\n\n{_NOT_YOU}",
    )


def _approved(entry: Mapping[str, Any]) -> tuple[str, str]:
    return (
        "you approved a face search",
        f"On {when(entry['at'])} UTC a face search was approved with your approval secret.\n\n"
        f"If this was you, there is nothing to do.\n\n{_NOT_YOU}",
    )


def _locked(entry: Mapping[str, Any]) -> tuple[str, str]:
    return (
        "your approval secret is locked",
        f"On {when(entry['at'])} UTC your approval secret was locked, after {entry['proposals']} wrong or unanswered "
        "approvals in your name within 15 minutes. Nothing can be approved with it until the registrar unlocks it.\n\n"
        f"{_NOT_YOU}",
    )


# Event type -> subject and text of the message to the entry's `approver`.
MESSAGES: Final[Mapping[str, Callable[[Mapping[str, Any]], tuple[str, str]]]] = {
    "gate:proposal:made": _proposed,
    "search:request:approved": _approved,
    "gate:approver:locked": _locked,
}
