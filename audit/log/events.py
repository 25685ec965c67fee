"""The closed vocabulary of the log: every event type, who may write it, and its fields.

An event type is `source:subject:action`. Each type has one writer role, a closed list of fields with a kind each, and a
closed list of commitments. The database holds the same list (`log.event_type`) and refuses every other entry in
`log.append`; `glasscase-verify` checks it again from an export. No Django here: an outsider runs this module.

Source: EU AI Act Art. 12(3) and BJA audit-log contents (what a search must leave behind); RFC 8785 (canonical bytes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from audit.log.events_of_galleries import EVENTS_OF_GALLERIES
from audit.log.events_of_privacy import EVENTS_OF_PRIVACY
from audit.log.events_of_reviews import EVENTS_OF_REVIEWS
from audit.log.events_of_shards import EVENTS_OF_SHARDS
from audit.log.events_of_witnesses import EVENTS_OF_WITNESSES

VERSION: Final = 1
MAX_ENTRY_BYTES: Final = 4096
MAX_LIST: Final = 64

UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
CODE: Final = r"[a-z0-9][a-z0-9_.:-]{0,79}"
# The same patterns stand in audit/log/sql/060_bytes.sql; tests/audit/log/test_registry.py compares the two.
SCALARS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "id": re.compile(rf"{UUID}"),
        "hash": re.compile(r"[0-9a-f]{64}"),
        "nonce": re.compile(r"[0-9a-f]{32}"),
        "code": re.compile(CODE),
        "bytes": re.compile(r"[A-Za-z0-9_-]{1,1400}"),
    }
)
LISTS: Final[Mapping[str, str]] = MappingProxyType({"ids": "id", "codes": "code"})
MAX_INTEGER: Final = 2**53 - 1

ENVELOPE: Final[Mapping[str, str]] = MappingProxyType(
    {"v": "int", "type": "code", "id": "id", "at": "int", "nonce": "nonce"}
)
ENVELOPE_OPTIONAL: Final[Mapping[str, str]] = MappingProxyType({"actor": "id", "role": "code"})


@dataclass(frozen=True)
class Event:
    """One event type.

    `writer` is the database role (without prefix) whose append wrapper accepts it, `fields` and `optional` map a field to
    its kind, `commits` names the salted commitments that the entry may carry under `c`, `sentence` is what it says.
    """

    type: str
    writer: str
    sentence: str
    fields: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    commits: tuple[str, ...] = ()


def _event(
    type_: str,
    writer: str,
    sentence: str,
    fields: str = "",
    optional: str = "",
    commits: str = "",
) -> Event:
    def kinds(text: str) -> dict[str, str]:
        return dict(part.split("=", 1) for part in text.split())

    return Event(type_, writer, sentence, kinds(fields), kinds(optional), tuple(commits.split()))


_REQUEST = "request=id case=id requester=id purpose=code offence=code legal_basis=code gallery=id"
# Of search entries: which case, told by who holds the key (audit.log.absence). Entries of older versions have none.
_TAG = "case_tag=hash case_key=hash"

REGISTRY: Final[Mapping[str, Event]] = MappingProxyType(
    {
        event.type: event
        for event in (
            # People
            _event("core:agency:added", "app", "An agency was added.", "agency=code law_pack=code"),
            _event("core:user:signed_in", "app", "A person signed in.", "user=id"),
            _event("core:user:signed_out", "app", "A person signed out.", "user=id"),
            _event("core:user:sign_in_failed", "app", "A sign-in failed.", "reason=code", "user=id", "username"),
            _event(
                "core:user:added",
                "app",
                "A person was added.",
                "user=id roles=codes",
                "training_until=int",
                "username full_name badge_number agency",
            ),
            _event(
                "core:user:registered",
                "app",
                "Somebody made an account to read reports on error rates.",
                "user=id roles=codes",
                commits="username full_name",
            ),
            _event(
                "core:user:roles_changed", "app", "A person's roles were changed.", "user=id roles=codes previous=codes"
            ),
            _event(
                "core:user:training_recorded", "app", "A person's training was recorded.", "user=id training_until=int"
            ),
            _event("core:user:deactivated", "app", "A person's account was closed.", "user=id"),
            _event(
                "core:user:credential_changed", "app", "A person's way to sign in was changed.", "user=id kind=code"
            ),
            _event("core:token:issued", "app", "An API token was issued.", "user=id token=id"),
            _event("core:token:revoked", "app", "An API token was revoked.", "user=id token=id"),
            _event("core:command:used", "app", "A command acted in a person's name.", "user=id command=code"),
            # Approvers and policy, written by the gate itself
            _event(
                "gate:approver:enrolled",
                "gate_owner",
                "An approval secret was enrolled.",
                "approver=id replaced=bool",
            ),
            _event("gate:approver:revoked", "gate_owner", "An approval secret was revoked.", "approver=id"),
            _event(
                "gate:approver:locked",
                "gate_owner",
                "An approver was locked after wrong or unanswered proposals.",
                "approver=id proposals=int",
            ),
            _event("gate:approver:unlocked", "gate_owner", "An approver was unlocked.", "approver=id"),
            _event(
                "gate:approver:notified",
                "notifier",
                "An approver was told what was done in their name.",
                "approver=id entry=id",
            ),
            _event(
                "gate:approver:unreachable",
                "notifier",
                "An approver could not be told what was done in their name.",
                "approver=id entry=id reason=code",
            ),
            _event(
                "gate:proposal:made",
                "gate_owner",
                "An approval was proposed in an approver's name.",
                "proposal=id approver=id act=code params=hash",
                "subject=id",
            ),
            _event(
                "gate:proposal:failed",
                "gate_owner",
                "A proposal carried a wrong approval secret.",
                "proposal=id approver=id",
            ),
            _event(
                "gate:evaluation:adopted",
                "gate_owner",
                "An evaluation and its threshold were adopted for a face model.",
                "model=hash report=hash verdict=code threshold=int acceptance_policy=code expires=int approvers=ids",
            ),
            _event(
                "gate:policy:set",
                "gate_owner",
                "A limit or switch of the gate was changed.",
                "setting=code previous=int value=int approvers=ids",
            ),
            _event(
                "gate:exemption:set",
                "gate_owner",
                "Approval was made needed or not needed for a gallery and purpose.",
                "gallery=id purpose=code exempt=bool approvers=ids",
            ),
            _event("gate:hold:placed", "gate_owner", "A legal hold was placed.", "subject=id"),
            _event("gate:hold:lifted", "gate_owner", "A legal hold was lifted.", "subject=id approvers=ids"),
            # Cases
            _event("search:case:imported", "app", "A case was imported.", "case=id offence=code", commits="number"),
            _event(
                "search:case:opened",
                "app",
                "A case was opened.",
                "case=id offence=code confirmed=bool",
                commits="number",
            ),
            _event("search:case:confirmed", "app", "A case was confirmed.", "case=id"),
            _event("search:case:assigned", "app", "Officers were assigned to a case.", "case=id officers=ids"),
            _event("search:case:closed", "app", "A case was closed.", "case=id"),
            _event("search:case:reopened", "app", "A case was reopened.", "case=id"),
            # The life of a search
            _event(
                "search:request:submitted",
                "app",
                "A search was requested.",
                f"{_REQUEST} edition=int emergency=bool law_pack=code faces=int",
                f"threshold=int k=int sub_gallery=code shards=codes {_TAG}",
                "case_number justification photo box original",
            ),
            _event(
                "search:request:refused",
                "app",
                "A search was refused.",
                "reasons=codes law_pack=code",
                f"request=id case=id requester=id purpose=code offence=code gallery=id channel=code {_TAG}",
                "case_number justification photo original",
            ),
            _event("search:request:held", "app", "A search was held for counsel.", "request=id reasons=codes"),
            _event(
                "search:request:cleared",
                "app",
                "Counsel decided a held search.",
                "request=id decision=code",
                commits="note",
            ),
            _event(
                "search:request:rejected",
                "app",
                "An approver turned a search down.",
                "request=id",
                commits="note",
            ),
            _event("search:request:expired", "app", "A search request expired unused.", "request=id"),
            _event("search:request:failed", "app", "A search could not be run.", "request=id reason=code"),
            _event(
                "search:quality:overridden",
                "app",
                "A supervisor accepted a probe below the quality limits.",
                "request=id shortfalls=codes",
                commits="note",
            ),
            _event(
                "search:attachment:filed",
                "app",
                "A document was attached to a search.",
                "request=id kind=code",
                commits="file",
            ),
            _event(
                "search:request:approved",
                "gate_owner",
                "An approver approved a search.",
                "request=id approver=id proposal=id params=hash approval_proof=code",
                "credential=hash authenticator_data=bytes client_data=bytes signature=bytes",
            ),
            _event("search:request:withdrawn", "gate_owner", "A search was withdrawn.", "request=id"),
            _event(
                "search:intent:filed",
                "app",
                "The intent of a search was filed.",
                f"{_REQUEST} edition=int model=hash threshold=int k=int emergency=bool claim=hash expires=int params=hash",
                f"{_TAG} sub_gallery=code shards=codes",
                commits="photo box case_number justification",
            ),
            _event(
                "search:probe:bound",
                "gate_owner",
                "A search was bound to one embedding.",
                "request=id intent=id edition=int version=int emergency=bool",
                "approval=id deadline=int sub_gallery=code sub_templates=int",
                "embedding",
            ),
            _event(
                "search:result:stored",
                "gate_owner",
                "A search was run and its result stored.",
                "request=id intent=id bound=id edition=int version=int templates=int threshold=int k=int method=code started=int",
                "bits=int cut=int loss_one_in=int sub_gallery=code sub_templates=int",
                commits="candidates candidates_micro",
            ),
            _event(
                "search:candidates:viewed",
                "app",
                "The candidates of a search were read.",
                "request=id viewer=id claim=hash",
            ),
            _event("search:outcome:sealed", "gate_owner", "A result was sealed.", "request=id reason=code"),
            _event(
                "search:result:replayed",
                "gate_owner",
                "A search was run again and compared.",
                "request=id comparison=code expunged=int near_threshold=int approver=id",
                "lost=int",
            ),
            *(_event(*said) for said in EVENTS_OF_REVIEWS),
            *(_event(*said) for said in EVENTS_OF_PRIVACY),
            _event("search:photo:viewed", "app", "Somebody looked at a searched photo.", "request=id viewer=id"),
            _event("search:receipt:downloaded", "app", "A receipt was downloaded.", "request=id entry=id"),
            # A link with which a court or counsel reads receipts without an account.
            _event(
                "search:court_link:made",
                "app",
                "A link to the receipts of a search was made for a court or counsel.",
                "request=id link=id recipient=code expires=int",
            ),
            _event("search:court_link:revoked", "app", "A court link was revoked.", "request=id link=id"),
            _event(
                "search:court_link:used",
                "app",
                "Something was read or downloaded through a court link.",
                "request=id link=id what=code",
                "entry=id",
            ),
            _event(
                "search:court_link:refused", "app", "An ended court link was used.", "request=id link=id reason=code"
            ),
            _event("search:policy:viewed", "app", "The rules of a jurisdiction were read.", "law_pack=code"),
            *(_event(*said) for said in EVENTS_OF_GALLERIES),
            *(_event(*said) for said in EVENTS_OF_SHARDS),
            # Face models and evaluations
            _event(
                "model:licence:acknowledged",
                "app",
                "The licence of a face model was acknowledged.",
                "model=hash licence_status=code",
            ),
            _event(
                "evaluation:run:started",
                "app",
                "An evaluation was started.",
                "run=id model=hash set=hash",
                "repeats=id excluded=int",
            ),
            _event(
                "evaluation:report:published",
                "app",
                "An evaluation's report was published.",
                "run=id model=hash set=hash report=hash verdict=code acceptance_policy=code threshold=int",
            ),
            _event(
                "evaluation:run:requested",
                "app",
                "An evaluation was asked for.",
                "run=id kind=code set=hash",
            ),
            _event("evaluation:run:paused", "app", "An evaluation was paused.", "run=id"),
            _event("evaluation:run:resumed", "app", "An evaluation was resumed.", "run=id"),
            _event("evaluation:run:cancelled", "app", "An evaluation was cancelled.", "run=id"),
            _event(
                "evaluation:set:added",
                "app",
                "A benchmark set was frozen.",
                "benchmark=id name=code layout=code set=hash people=int items=int left_out=int",
            ),
            _event(
                "evaluation:set:verified",
                "app",
                "A benchmark set was compared with what was frozen.",
                "benchmark=id name=code set=hash changes=int",
            ),
            _event("evaluation:run:failed", "app", "An evaluation failed.", "run=id reason=code"),
            _event(
                "evaluation:labels:viewed",
                "app",
                "Photos of benchmark people that an evaluation took for one person were read.",
                "run=id viewer=id first=int last=int",
            ),
            _event(
                "evaluation:labels:reviewed",
                "app",
                "The labels of photos that an evaluation took for one person were reviewed.",
                "run=id different=int same=int unclear=int",
            ),
            _event("evaluation:report:downloaded", "app", "An evaluation's report was downloaded.", "run=id file=code"),
            # Independent testing and findings
            _event(
                "testing:session:opened",
                "app",
                "An accredited tester opened a session to test a face model.",
                "session=id model=hash",
                commits="purpose",
            ),
            _event(
                "testing:set:scored",
                "app",
                "A tester's own photos were compared with each other; nothing of them was kept.",
                "session=id model=hash photos=int extracted=int set=hash",
            ),
            _event("testing:session:closed", "app", "A tester's session was closed.", "session=id"),
            _event(
                "oversight:finding:opened",
                "app",
                "A finding was filed.",
                "finding=id kind=code",
                "run=id entry=id",
                "text",
            ),
            _event("oversight:finding:closed", "app", "A finding was closed.", "finding=id", commits="resolution"),
            # The vault and the log itself
            _event(
                "vault:record:viewed",
                "app",
                "Sealed values of an entry were opened.",
                "entry=id viewer=id claim=hash",
            ),
            _event(
                "vault:record:erased",
                "vault_owner",
                "A record's values were erased.",
                "record=id values=int approver=id",
            ),
            # `about` is the search whose whole life was shown beside an entry.
            _event(
                "log:entries:viewed", "app", "Entries were read in the log browser.", "", "first=int last=int about=id"
            ),
            # `reader` is the API token, or the person where no token was used.
            _event("log:bundle:served", "app", "Entry bundles were served.", "reader=id"),
            _event("log:export:made", "app", "The log was exported.", "size=int"),
            # `size` is that of the signed log; the optional fields are the filter and what it found.
            _event(
                "log:selection:exported",
                "app",
                "A selection of the log was exported with its proofs.",
                "entries=int size=int",
                "first=int last=int event=code case=id about=id user=id since=int until=int",
            ),
            _event("log:key:announced", "signer", "A signing key was announced.", "key=hash"),
            _event("log:key:rotated", "signer", "The signing key was rotated.", "previous=hash key=hash"),
            # `first` to `size` were inserted again at their indices; `waiting` entries came in meanwhile and follow them.
            _event(
                "log:entries:recovered",
                "migrate",
                "Entries that a restored database had lost were put back.",
                "first=int size=int root=hash waiting=int frozen=int",
            ),
            # Entry 0 of a new log. `previous` is the SHA-256 of the old log's name, `size` and `root` its last verifiable
            # checkpoint, `signed_size` and `signed_root` the largest known one, `kept` and `kept_root` the tree as it is stored.
            _event(
                "log:origin:succeeded",
                "migrate",
                "A log that lost entries for good was closed, and this one begun.",
                "previous=hash number=int size=int root=hash signed_size=int signed_root=hash lost=int kept=int "
                "kept_root=hash cause=code approved_by=ids",
            ),
            # Written before it happens. `reason` is there when maintenance was announced that is no migration of ours.
            _event(
                "log:database:maintained", "migrate", "The database is maintained.", "migrations=int", "reason=code"
            ),
            *(_event(*said) for said in EVENTS_OF_WITNESSES),
        )
    }
)
WRITERS: Final = (
    "app",
    "gate_owner",
    "gallery_owner",
    "vault_owner",
    "signer",
    "witness_client",
    "notifier",
    "migrate",
)
