"""What an entry of the log says, as one sentence for people.

A template names fields in braces; a part in square brackets is left out when the entry lacks one of its fields. How a field
is written follows from its name and kind: people, cases and galleries by what the reader may know of them (`Names`),
thresholds as numbers between 0 and 1, times as dates, everything else as it stands. Nothing sealed is ever shown here.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from audit.log import events
from core.permissions import OPERATOR
from core.person_roles import ROLES

PEOPLE: Final = frozenset({"actor", "user", "requester", "approver", "viewer"})
TIMES: Final = frozenset({"at", "backups_until", "expires", "deadline", "started", "training_until", "disclosed"})
MILLIONTHS: Final = frozenset({"threshold"})
_PART: Final = re.compile(r"\[([^\]]*)\]")
_FIELD: Final = re.compile(r"\{([a-z_]+)\}")

# Without a template the registry's own sentence stands.
TEMPLATES: Final[Mapping[str, str]] = {
    "core:agency:added": "The agency {agency} was added under the law pack {law_pack}.",
    "core:user:signed_in": "{user} signed in.",
    "core:user:signed_out": "{user} signed out.",
    "core:user:sign_in_failed": "A sign-in [as {user} ]failed: {reason}.",
    "core:user:added": "{user} was added with the roles {roles}[; training valid until {training_until}].",
    "core:user:roles_changed": "The roles of {user} were changed from {previous} to {roles}.",
    "core:user:training_recorded": "The training of {user} was recorded: valid until {training_until}.",
    "core:user:deactivated": "The account of {user} was closed.",
    "core:user:credential_changed": "How {user} signs in was changed: {kind}.",
    "core:token:issued": "{user} made the API token {token}.",
    "core:token:revoked": "The API token {token} of {user} was revoked.",
    "core:command:used": "The command {command} was used in the name of {user}.",
    "gate:approver:enrolled": "An approval secret was enrolled for {approver}; another one before it: {replaced}.",
    "gate:approver:revoked": "The approval secret of {approver} was revoked.",
    "gate:approver:locked": "{approver} was locked after {proposals} wrong or unanswered proposals in 15 minutes.",
    "gate:passkey:enrolled": "A passkey that proves approvals was enrolled for {approver}.",
    "gate:passkey:revoked": "A passkey that proves approvals of {approver} was revoked.",
    "gate:approval:disputed": (
        "The proof of the approval {approval} in the name of {approver} is wrong: no search runs on it."
    ),
    "gate:approver:unlocked": "{approver} was unlocked.",
    "gate:approver:notified": "{approver} was told of entry {entry}.",
    "gate:approver:unreachable": "{approver} could not be told of entry {entry}: {reason}.",
    "gate:proposal:made": "An approval of {act} was proposed in the name of {approver}[ for {subject}].",
    "gate:proposal:failed": "A wrong approval secret was given in the name of {approver}.",
    "gate:evaluation:adopted": (
        "An evaluation of face model {model} was adopted by {approvers}: {verdict} under {acceptance_policy}, "
        "threshold {threshold}, until {expires}."
    ),
    "gate:policy:set": "{setting} was changed from {previous} to {value} by {approvers}.",
    "gate:exemption:set": "For {gallery} and the purpose {purpose}, searching without approval was set to {exempt} by {approvers}.",
    "gate:hold:placed": "A legal hold was placed on {subject}.",
    "gate:hold:lifted": "The legal hold on {subject} was lifted by {approvers}.",
    "search:probe:erased": "Embedding and candidates of the search {request} were erased: {reason}[, approved by {approver}].",
    "search:photo:erased": (
        "The photo of the search {request} was erased with its key: {reason}. Backups of the key store hold it until {backups_until}."
    ),
    "core:keys:backed_up": "The key store with {keys} keys was backed up until {expires}.",
    "search:case:imported": "{case} was imported, offence {offence}.",
    "search:case:opened": "{case} was opened, offence {offence}; confirmed at once: {confirmed}.",
    "search:case:confirmed": "{case} was confirmed.",
    "search:case:assigned": "Assigned to {case}: {officers}.",
    "search:case:closed": "{case} was closed.",
    "search:case:reopened": "{case} was reopened.",
    "search:request:submitted": (
        "{requester} requested a search of {gallery} in {case}: purpose {purpose}, offence {offence}, "
        "legal basis {legal_basis}[, threshold {threshold}, at most {k} candidates]; emergency: {emergency}."
    ),
    "search:request:refused": "A search[ by {requester}][ in {case}] was refused: {reasons}.",
    "search:request:held": "The search {request} was held for counsel: {reasons}.",
    "search:request:cleared": "Counsel decided the held search {request}: {decision}.",
    "search:request:rejected": "The search {request} was turned down.",
    "search:request:expired": "The search {request} expired unused.",
    "search:request:failed": "The search {request} could not be run: {reason}.",
    "search:quality:overridden": "The probe of the search {request} was accepted below the quality limits: {shortfalls}.",
    "search:attachment:filed": "A document ({kind}) was attached to the search {request}.",
    "search:request:approved": "{approver} approved the search {request}.",
    "search:request:withdrawn": "The search {request} was withdrawn.",
    "search:intent:filed": (
        "The intent of the search {request} was filed: {requester} in {case}, {gallery}, purpose {purpose}, "
        "threshold {threshold}, at most {k} candidates, until {expires}; emergency: {emergency}."
    ),
    "search:probe:bound": "The search {request} was bound to one embedding[; result sealed unless approved by {deadline}].",
    "search:result:stored": (
        "The search {request} was run over {templates} templates of edition {edition}, version {version}, at threshold "
        "{threshold}, method {method}[, which could miss a photo at the threshold with a chance of at most 1 in {loss_one_in}]; "
        "its result is stored and sealed."
    ),
    "search:candidates:viewed": "{viewer} read the candidates of the search {request}.",
    "search:outcome:sealed": "The result of the search {request} was sealed: {reason}.",
    "search:result:replayed": "The search {request} was run again: {comparison}, {expunged} expunged since[, {lost} lost in two stages].",
    "search:review:decided": "An examiner took seat {seat} and decided on the candidates; ranks and scores hidden: {blind}.",
    "search:review:concluded": (
        "The review of {request} was concluded by {examiners}: {outcome}, {agreed} of {candidates} candidates supported by both."
    ),
    "search:lead:released": "The lead {lead} was released; examined by {examiners}, face model {model}, threshold {threshold}.",
    "search:lead:withheld": "A lead was withheld: {candidates} candidates that two examiners support.",
    "search:lead:viewed": "{viewer} read the lead {lead}.",
    "search:outcome:recorded": (
        "Outcome {number} of the lead {lead} was recorded: {truth}, {procedure}, other evidence {evidence}"
        "[; told the defence on {disclosed}]."
    ),
    "search:disclosure:made": (
        "The search {request} was disclosed as bundle {bundle}; photos of other candidates in it: {photos}, "
        "examiners named: {examiners_named}."
    ),
    "search:rates:viewed": "The error rates of {leads} released leads were read ({file}).",
    "search:photo:viewed": "{viewer} looked at the photo of the search {request}.",
    "search:receipt:downloaded": "A receipt of the search {request} was downloaded.",
    "search:court_link:made": "A link to the receipts of the search {request} was made for {recipient}, valid until {expires}.",
    "search:court_link:revoked": "The court link {link} of the search {request} was revoked.",
    "search:court_link:used": "Through the court link {link}, {what} of the search {request} was read.",
    "search:court_link:refused": "The court link {link} of the search {request} was used after its end: {reason}.",
    "search:policy:viewed": "The rules of {law_pack} were read.",
    "gallery:gallery:created": "{gallery} was created: legal basis {legal_basis}, photos kept {retention_days} days.",
    "gallery:edition:registered": "Edition {edition} of {gallery} was registered under face model {model}, approved by {approver}.",
    "gallery:edition:switched": "{gallery} was switched to edition {edition}, approved by {approver}.",
    "gallery:batch:opened": "Batch {batch} of edition {edition} was opened.",
    "gallery:batch:discarded": "Batch {batch} of edition {edition} was discarded with {templates} templates.",
    "gallery:batch:sealed": "Batch {batch} of edition {edition} was sealed with {templates} templates as version {version}.",
    "gallery:codes:drawn": "The database drew {bits} planes for the codes of edition {edition}; SHA-256 {digest}.",
    "gallery:codes:built": "All {templates} templates of edition {edition} have codes; {batches} batches were added.",
    "gallery:template:removed": "{templates} templates of edition {edition} were removed from searches, approved by {approver}.",
    "gallery:person:expunged": "The person {person} was expunged with {templates} templates, approved by {approver}.",
    "gallery:import:started": "The import of {templates} templates computed elsewhere into {gallery} was started. That they come from the face model is the importer's word.",
    "gallery:reembedding:opened": "{approvers} let the photos of edition {source} of {gallery} be read again for edition {edition}.",
    "gallery:reembedding:drawn": "The keys of {templates} photos of edition {source} were given, to be read again for edition {edition}.",
    "gallery:enrolment:started": "The enrolment of {photos} photos into {gallery} was started.",
    "gallery:enrolment:finished": "An enrolment into {gallery} was finished: {enrolled} enrolled, {left_out} left out.",
    "gallery:enrolment:resumed": "An enrolment into {gallery} was gone on with.",
    "gallery:enrolment:failed": "An enrolment into {gallery} stopped before its end: {reason}.",
    "gallery:photos:erased": "{photos} photos of {gallery} were erased with their keys: {reason}.",
    "gallery:gallery:viewed": "The list of {gallery} was read.",
    "model:licence:acknowledged": "The licence of face model {model} was acknowledged: {licence_status}.",
    "evaluation:run:started": "The evaluation {run} of face model {model} was started[, also without {excluded} pairs whose labels a review found wrong].",
    "evaluation:report:published": (
        "The report of the evaluation {run} was published: {verdict} under {acceptance_policy}, threshold {threshold}."
    ),
    "evaluation:run:requested": "The evaluation {run} was asked for, on {kind}.",
    "evaluation:run:paused": "The evaluation {run} was paused.",
    "evaluation:run:resumed": "The evaluation {run} was resumed.",
    "evaluation:run:cancelled": "The evaluation {run} was cancelled.",
    "evaluation:set:added": (
        "The benchmark set {name} was frozen: {items} items of {people} people, {left_out} left out, layout {layout}."
    ),
    "evaluation:set:verified": "The benchmark set {name} was compared with what was frozen; changes found: {changes}.",
    "evaluation:run:failed": "The evaluation {run} failed: {reason}.",
    "evaluation:labels:viewed": "{viewer} read the photos of pairs {first} to {last} of the evaluation {run} to check their labels.",
    "evaluation:labels:reviewed": (
        "Labels of the evaluation {run} were reviewed: {same} pairs are the same person, {different} different people, "
        "{unclear} cannot be told."
    ),
    "evaluation:report:downloaded": "A file of the evaluation {run} was downloaded: {file}.",
    "vault:record:viewed": "{viewer} opened sealed values of entry {entry}.",
    "vault:record:erased": "{values} sealed values of record {record} were erased, approved by {approver}.",
    "log:entries:viewed": "Entries[ {first} to {last}] were read in the log browser[, with the life of the search {about}].",
    "log:bundle:served": "Entry bundles were served within the hour that follows.",
    "log:export:made": "The log was exported: {size} entries.",
    "log:absence:keyed": "The key {key} was announced: it tags search entries with their case.",
    "log:absence:stated": "Of the entries {first} to {last}, {of_case} were stated to be for one case number.",
    "log:selection:exported": "{entries} entries of the log were exported with their proofs[, from {first} to {last}].",
    "log:quorum:lost": "{cosigned} witnesses cosign the log of {size} entries, and {needed} are needed at least.",
    "log:quorum:restored": "Enough witnesses cosign the log again, at {size} entries, after {seconds} seconds.",
    "log:quorum:waived": "{request} went on without a quorum of witnesses, in the time that the policy allows.",
    "log:witness:contradicted": "The witness {witness} knows another log[, of {known} entries]: {reason}. This one had {signed}.",
    "log:key:announced": "The signing key {key} was announced.",
    "log:key:rotated": "The signing key {previous} was replaced by {key}.",
    "log:database:maintained": "The database is maintained[ ({reason})]: {migrations} migrations.",
}


@dataclass(frozen=True)
class Names:
    """What the reader may know of people, cases and galleries: their ids mapped to words. Without a word, the short id."""

    people: Mapping[str, str] = field(default_factory=dict)
    cases: Mapping[str, str] = field(default_factory=dict)
    galleries: Mapping[str, str] = field(default_factory=dict)


def short(value: str) -> str:
    """The first eight characters of an id or a hash: enough to tell two apart on a page."""
    return value[:8]


def words(code: str) -> str:
    """A code as words: underscores are gaps."""
    return code.replace("_", " ")


def when(milliseconds: int) -> str:
    """A point in time of an entry, in UTC: 3 May 2026, 14:05:09."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M:%S}"


def day(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def sentence(entry: Mapping[str, Any], names: Names) -> str:
    """What the entry says. It follows the registry, or at least names an event type."""
    type_ = str(entry["type"])
    template = TEMPLATES.get(type_)
    if template is None:
        event = events.REGISTRY.get(type_)
        return event.sentence if event else f"Something of the unknown type {type_} happened."

    def part(found: re.Match[str]) -> str:
        return found[1] if all(name in entry for name in _FIELD.findall(found[1])) else ""

    text = _FIELD.sub(lambda found: value(found[1], entry.get(found[1]), names), _PART.sub(part, template))
    return text[0].upper() + text[1:]


def who(entry: Mapping[str, Any], names: Names) -> str:
    """Who acted, role first; the part of the database that wrote it where no person did."""
    role = entry.get("role")
    label = ROLES[role].label if role in ROLES else "Operator" if role == OPERATOR else ""
    if "actor" in entry:
        return f"{label} {value('actor', entry['actor'], names)}".strip()
    if label:
        return label
    event = events.REGISTRY.get(str(entry["type"]))
    return {"app": "Application", "migrate": "Operator"}.get(
        event.writer if event else "", (event.writer.removesuffix("_owner") if event else "unknown").capitalize()
    )


def value(name: str, content: Any, names: Names) -> str:
    """One field as words. A missing one is an empty string."""
    if content is None:
        return ""
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, int):
        if name in MILLIONTHS:
            return f"{content / 1_000_000:.6f}".rstrip("0").rstrip(".")
        return day(content) if name in TIMES else f"{content:,}"
    if isinstance(content, list):
        singular = {"approvers": "approver", "examiners": "user", "officers": "user"}.get(name, name)
        return ", ".join(value(singular, one, names) for one in content) or "none"
    text = str(content)
    if name == "type":
        return text
    if name in PEOPLE:
        return names.people.get(text, f"person {short(text)}")
    if name == "case":
        return f"case {names.cases.get(text, short(text))}"
    if name == "gallery":
        known = names.galleries.get(text)
        return f"the gallery {known}" if known else f"gallery {short(text)}"
    return short(text) if _is_id_or_hash(text) else words(text)


def _is_id_or_hash(text: str) -> bool:
    return any(events.SCALARS[kind].fullmatch(text) for kind in ("id", "hash"))


def mentioned(entries: Iterable[Mapping[str, Any]], *fields: str) -> set[uuid.UUID]:
    """The ids that entries name in any of `fields` (lists included): what to look up names for."""
    found: set[uuid.UUID] = set()
    for entry in entries:
        for name in fields:
            content = entry.get(name, [])
            found.update(uuid.UUID(one) for one in (content if isinstance(content, list) else [content]))
    return found
