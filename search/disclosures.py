"""Disclosure: one search with everything that proves it, as a zip for the defence or a court.

What it holds is checked before it is handed out, with the same code as `glasscase-verify`, and can be checked by whoever
gets it, without us. People who became candidates and no lead are third parties: they are in it as numbers, and their photos
only by an explicit choice with a reason.
"""

from __future__ import annotations

import hashlib
import io
import json
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from audit import evaluations
from audit.log import journal, storage, verifier_keys
from audit.log.checkpoint import VerifierKey
from audit.log.commitments import Opening
from audit.log.proof import Receipt
from audit.models import Evaluation
from audit.oversight import opened, verifier_file
from audit.oversight.exports import KEYS
from core import database
from core.exceptions import Conflict, Invalid, NotFound, Unavailable
from core.models import User
from core.permissions import role_classes, signature
from core.person_roles import Examiner, Permission
from core.shard_file import MAIN
from search import (
    intake,
    law,
    leads,
    measured,
    methods,
    permissions,
    photos,
    readings,
    requests,
    review_states,
    reviews,
    sealed,
    shard_proofs,
    shards,
    trail,
)
from search.exceptions import Unproven, gate_sentences
from search.gate import client
from search.models import CandidateReading, Disclosure, RequestState, SearchRequest

_SEALED: Final = "disclosure"
# The disclosures of others are nobody's business but theirs.
_LEFT_OUT: Final = frozenset({"search:disclosure:made"})
_NAMED: Final = ("requester", "approver", "actor", "viewer")
README: Final = "README.txt"


@dataclass(frozen=True, kw_only=True)
class DisclosureFields:
    """What was typed. `names_examiners`: by name instead of "first" and "second"; `with_photos`: of all candidates."""

    recipient: str = ""
    reason: str = ""
    names_examiners: bool = False
    with_photos: bool = False
    photos_reason: str = ""


@dataclass(frozen=True)
class Bundle:
    """A zip, and the row that says to whom it went."""

    row: Disclosure
    content: bytes

    @property
    def name(self) -> str:
        return f"disclosure-{str(self.row.request_id)[:8]}-{str(self.row.id)[:8]}.zip"


def of_request(by: User, request: SearchRequest) -> QuerySet[Disclosure]:
    """What was disclosed of a search so far, newest first. Raises NotAllowed."""
    permissions.check_can_disclose(by, request)
    return request.disclosures.select_related("made_by").order_by("-made_at")


def recipient(disclosure: Disclosure) -> str:
    """To whom it went. Whoever shows it has asked who may. Raises NotFound after erasure."""
    return str(sealed.unseal(disclosure.request, _SEALED, disclosure.sealed)["recipient"])


def make(*, by: User, request: SearchRequest, fields: DisclosureFields) -> Bundle:
    """Packs the bundle, checks all of it, and records to whom it goes; what it took to open is in the log as well.

    Raises NotAllowed (not a supervisor, one's own search), Invalid, Conflict (no result), Unavailable while an entry is not in
    the signed log, NotFound after erasure.
    """
    permissions.check_can_disclose(by, request)
    _check(fields)
    if request.state != RequestState.DONE:
        raise Conflict("This search has no result. What is known of it stands on its page and in the log.")
    entries = _covered(request)
    files = _Files(by, request, fields, entries).packed()
    content = _zip(files)
    with transaction.atomic():
        identity = uuid.uuid4()
        entry = journal.record(
            "search:disclosure:made",
            vault_record=request.id,
            values={"recipient": fields.recipient.strip(), "reason": _reasons(fields)},
            request=request.id,
            disclosure=identity,
            bundle=hashlib.sha256(content).hexdigest(),
            photos=fields.with_photos,
            examiners_named=fields.names_examiners,
            **signature(by, Permission.RELEASE_LEADS),
        )
        row = Disclosure.objects.create(
            id=identity,
            request=request,
            made_by=by,
            made_at=timezone.now(),
            names_examiners=fields.names_examiners,
            with_photos=fields.with_photos,
            bundle=hashlib.sha256(content).hexdigest(),
            sealed=sealed.seal(request, _SEALED, asdict(fields)),
            entry=entry,
        )
    return Bundle(row, content)


def _check(fields: DisclosureFields) -> None:
    wrong: dict[str, list[str]] = {}
    if not fields.recipient.strip():
        wrong["recipient"] = ["Name the person who gets it, with the office."]
    if not fields.reason.strip():
        wrong["reason"] = ["Write what asks for this disclosure."]
    if fields.with_photos and not fields.photos_reason.strip():
        wrong["photos_reason"] = ["These people became no lead. Write why their photos have to be in it."]
    if wrong:
        raise Invalid("The disclosure is not complete: see the fields.", wrong)


def _reasons(fields: DisclosureFields) -> str:
    extra = f" Photos of all candidates: {fields.photos_reason.strip()}" if fields.with_photos else ""
    return fields.reason.strip() + extra


def _covered(request: SearchRequest) -> list[trail.Entry]:
    """Every entry of the search; each is under a signed checkpoint when this returns. Raises Unavailable."""
    session = database.session()
    found = [entry for entry in trail.entries(session, request.id) if entry.type not in _LEFT_OUT]
    try:
        for entry in found:
            if entry.covered_at is None:
                trail.wait(session, entry.id, covered=True)
    except trail.LogSilent as silent:
        raise Unavailable("The last entries of this search are not in the signed log yet. Try again later.") from silent
    return found


class _Files:
    """The files of one bundle by name."""

    def __init__(self, by: User, request: SearchRequest, fields: DisclosureFields, entries: list[trail.Entry]) -> None:
        self.by, self.request, self.fields, self.entries = by, request, fields, entries
        self.files: dict[str, bytes] = {}
        self.session = database.session()
        self.keys: list[VerifierKey] = list(verifier_keys.published())
        # While an examiner still has to decide, nobody takes the other one's conclusion out of here.
        self.reviewed = reviews.state(request) not in review_states.OPEN
        found = request.decisions.select_related("examiner", "reading", "request").order_by("seat")
        self.decisions = [reviews.read(one) for one in found] if self.reviewed else []

    def packed(self) -> dict[str, bytes]:
        self._prove()
        self.files |= shard_proofs.files(self.request, self._shown(), methods.by_server(self.entries))
        self._tell()
        self._picture()
        self._measure()
        self.files[verifier_file.NAME] = verifier_file.build()
        self.files[KEYS] = "".join(f"{key}\n" for key in self.keys).encode()
        self.files[README] = self._readme().encode()
        sums = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(self.files.items()))
        self.files["SHA256SUMS"] = "".join(sums).encode()
        return self.files

    def _json(self, name: str, value: Any) -> None:
        self.files[name] = (json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n").encode()

    def _prove(self) -> None:
        """Entries, receipts and openings, each held against the others as whoever gets them will."""
        for number, entry in enumerate(self.entries, 1):
            body = storage.entry_body(self.session, entry.id)
            receipt = storage.receipt(self.session, entry.id, self.keys).encode()
            Receipt.parse(receipt).verify(body, self.keys)
            name = _name(number, entry)
            self.files[f"entries/{name}.entry.json"] = body
            self.files[f"entries/{name}.tlog-proof"] = receipt
        sealing = [
            (entry.id, entry.fields["c"])
            for entry in self.entries
            if entry.fields.get("c") and (self.reviewed or entry.type != "search:review:decided")
        ]
        found = dict(
            zip(
                (entry for entry, _ in sealing),
                (fields for _, fields in opened.open_all(self.by, sealing, Permission.RELEASE_LEADS)),
                strict=True,
            )
        )
        for number, entry in enumerate(self.entries, 1):
            for one in found.get(entry.id, []):
                opening = one.opening if one.state == "fits" else self._list(entry, one.field)
                if one.state == "differs" or (opening and opening.commitment != one.commitment):
                    raise Unproven(
                        f"A sealed value of entry {entry.id} is not what the log says. Tell the oversight board."
                    )
                if opening is not None:
                    self.files[f"openings/{_name(number, entry)}.{one.field}.opening.json"] = opening.encode()

    def _list(self, entry: trail.Entry, field: str) -> Opening | None:
        """The list of candidates opens the result entry: kept with every reading."""
        shown = self._shown()
        if entry.type != "search:result:stored" or field != "candidates" or shown is None:
            return None
        return shard_proofs.opening(shown.get("parts", {}).get(MAIN, shown))

    def _shown(self) -> dict[str, Any] | None:
        reading = CandidateReading.objects.filter(request=self.request).select_related("request").order_by("at").first()
        return readings.shown(reading) if reading else None

    def _tell(self) -> None:
        """Who asked what and why, under which rules, what was shown, what was concluded, what became of it."""
        request = self.request
        assert request.case is not None
        assert request.submitted_at is not None
        self._json(
            "request.json",
            {
                "search": request.id,
                "case_number": request.case.number,
                "purpose": request.purpose,
                "offence": request.offence,
                "legal_basis": request.legal_basis,
                "justification": requests.typed(request).justification,
                "requester": str(request.requester),
                "agency": str(request.requester.agency),
                "emergency": request.emergency,
                "gallery": str(request.gallery),
                "edition": request.edition,
                "face_model": request.face_model,
                "threshold_millionths": request.threshold,
                "longest_list": request.k,
                "method": methods.of(self.entries),
                "servers": [one.as_dict() for one in methods.by_server(self.entries)],
                "submitted_at": request.submitted_at,
                "approved_at": request.decided_at,
                "done_at": request.done_at,
                "documents": [{"kind": one.kind, "name": one.name} for one in request.attachments.order_by("filed_at")],
            },
        )
        pack = law.pack(request.law_pack, request.submitted_at)
        self._json(
            "law-pack.json",
            {
                "code": pack.code,
                "name": pack.name,
                "in_force_from": pack.effective_from,
                "rules": [
                    {
                        "rule": rule,
                        "says": says,
                        "citation": source.name,
                        "verified": source.verified,
                        "note": source.note,
                    }
                    for rule, says, source in law.rows(pack)
                ],
            },
        )
        self._json("people.json", self._people())
        shown = self._shown()
        released = {leads.unsealed(lead)["template"]: lead for lead in request.leads.select_related("request")}
        self._json(
            "candidates.json",
            {
                "shown": shown is not None,
                "candidates": [
                    {
                        "rank": rank,
                        "template": template,
                        "score": score / 1000,
                        "conclusions": [_conclusion(decision, template) for decision in self.decisions],
                        "released": template in released,
                    }
                    for rank, (template, score) in enumerate(shown["candidates"] if shown else [], 1)
                ],
            },
        )
        self._json(
            "decisions.json",
            [
                {
                    "examiner": self._examiner(decision),
                    "without_ranks_and_scores": decision.blind,
                    "decided_at": decision.decided_at,
                    "entry": decision.entry,
                    "findings": [asdict(finding) for finding in decision.findings],
                    "note": decision.note,
                }
                for decision in self.decisions
            ],
        )
        self._json(
            "leads.json",
            [
                {
                    "lead": lead.id,
                    "caveat": leads.CAVEAT,
                    "rank": lead.rank,
                    "released_at": lead.released_at,
                    "entry": lead.entry,
                    **{name: leads.unsealed(lead)[name] for name in ("person_ref", "enrolled_at", "measured", "note")},
                    "outcomes": [
                        {
                            "number": row.number,
                            "truth": row.truth,
                            "procedure": row.procedure,
                            "evidence": row.evidence,
                            "defence_told_on": row.disclosed_on,
                            "recorded_at": row.recorded_at,
                            "entry": row.entry,
                        }
                        for row in lead.outcomes.order_by("number")
                    ],
                }
                for lead in released.values()
            ],
        )

    def _people(self) -> dict[str, str]:
        """Names behind the ids in the entries; examiners by their place unless they are to be named."""
        named = {one for entry in self.entries for one in (entry.fields.get(name) for name in _NAMED) if one}
        people = {str(one.pk): one for one in User.objects.filter(pk__in=named)}
        told = {key: str(one) for key, one in people.items()}
        if not self.fields.names_examiners:
            # Also one who did nothing but keep a receipt; not one who acted in this search as somebody else.
            others = {key for key, one in people.items() if Examiner in role_classes(one)} - self._in_other_roles()
            told |= dict.fromkeys(others | self._readers(), "another examiner")
        return told | {str(decision.examiner.pk): self._examiner(decision) for decision in self.decisions}

    def _in_other_roles(self) -> set[str]:
        acted = {entry.fields.get(name, "") for entry in self.entries for name in ("requester", "approver")}
        signed = (entry.fields for entry in self.entries if entry.fields.get("role", Examiner.code) != Examiner.code)
        return acted | {fields.get("actor", "") for fields in signed}

    def _readers(self) -> set[str]:
        """Who read the candidates as an examiner."""
        viewed = (entry.fields for entry in self.entries if entry.type == "search:candidates:viewed")
        return {fields["viewer"] for fields in viewed if fields.get("role") == Examiner.code}

    def _examiner(self, decision: reviews.Decision) -> str:
        return str(decision.examiner) if self.fields.names_examiners else f"examiner {decision.seat}"

    def _picture(self) -> None:
        """The searched photo, each lead's, and by choice the others'."""
        self.files["photos/searched.jpg"] = intake.probe_image(self.request)
        self.files["photos/searched-face.png"] = sealed.read_file(self.request, sealed.crop_path(self.request))
        for lead in self.request.leads.select_related("request"):
            self.files[f"photos/lead-at-rank-{lead.rank}.jpg"] = leads.content(lead, "photo")
            self.files[f"photos/lead-at-rank-{lead.rank}-face.png"] = leads.content(lead, "crop")
        if not self.fields.with_photos:
            return
        view, found = readings.opened(by=self.by, request=self.request, permission=Permission.RELEASE_LEADS)
        for row in readings.rows(found):
            if not row.can_be_seen:
                continue
            with shards.holding(row.template) as own, gate_sentences():
                half = client.photo_key(own, view, journal.reading_secret(view), row.template)
            self.files[f"photos/candidate-at-rank-{row.rank}.jpg"] = photos.read(row.template, half, photos.PHOTO)

    def _measure(self) -> None:
        """What was measured about the face model: in words, and the report that the log names by its hash."""
        figures = measured.of(self.request)
        self._json("error-rates.json", asdict(figures) if figures else {"measured": False})
        report = Evaluation.objects.filter(pk=figures.evaluation).first() if figures else None
        if report is not None:
            try:
                self.files["evaluation/report.json"] = evaluations.file(report, "report.json").read_bytes()
            except (NotFound, OSError):
                return

    def _readme(self) -> str:
        intent = next(
            (_name(number, one) for number, one in enumerate(self.entries, 1) if one.type == "search:intent:filed"), ""
        )
        keys = " ".join(f"--key '{key}'" for key in self.keys)
        third = (
            "The photos of all candidates are in it, for the reason that the log seals."
            if self.fields.with_photos
            else "Candidates who became no lead are third parties: they are in it as numbers, without photo and name."
        )
        servers = (
            "servers/          the same of the other servers over which the gallery is spread; the entry result-merged names them all\n"
            if self.request.shards
            else ""
        )
        unfinished = (
            "" if self.reviewed else "\nThe review goes on: what an examiner concluded so far is not in this file."
        )
        if self._shown() is None:
            unfinished += "\nNobody has opened the candidates yet, so candidates.json is empty: that is no statement that there were none."
        return f"""A FACE SEARCH, DISCLOSED

{leads.CAVEAT}

For: {self.fields.recipient.strip()}
Search {self.request.id} of {self.request.requester.agency}

WHAT IS IN IT
request.json      who asked what, in which case and why; gallery, face model, threshold
law-pack.json     the rules that held, with their sources
candidates.json   the whole list as it was shown, with what each examiner concluded about each of them
decisions.json    both decisions with features, limits and notes
leads.json        what was released, and what became of it
error-rates.json  what was measured about the face model; evaluation/report.json is the report itself, where it is kept
people.json       who is behind the ids
photos/           the searched photo and the photos of leads
entries/          every entry of this search in the log, with its receipt
openings/         the values that those entries seal, with what opens them
{servers}{third}{unfinished}

WHAT IT DOES NOT SHOW
{methods.of(self.entries)}
That the lead is the person searched. Two examiners can both be wrong, and a face model returns people who look alike.

HOW TO CHECK IT WITHOUT US
You need Python 3.11 or newer and nothing else. Take the key from the oversight board or a court file rather than from here.
{verifier_file.NAME} has the SHA-256 {verifier_file.digest()}; compare that as well.

  sha256sum -c SHA256SUMS
  python3 -I {verifier_file.NAME} {keys} \\
      --receipt entries/{intent}.tlog-proof --entry entries/{intent}.entry.json \\
      --opening openings/{intent}.justification.opening.json

The last line begins with OK, or with FAIL and the reason. Do the same for every other entry; an opening has the name of its
entry and of the field that it opens.
"""


def _conclusion(decision: reviews.Decision, template: str) -> str:
    return next((finding.conclusion for finding in decision.findings if finding.template == template), "")


def _name(number: int, entry: trail.Entry) -> str:
    return f"{number:03d}-{entry.type.replace(':', '-')}"


def _zip(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(name, data)
    return packed.getvalue()
