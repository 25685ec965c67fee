"""The probe photo of a request: read once, safely, kept clean and sealed; its faces found and measured, none embedded.

Finding faces needs a face model, which no web process loads: it is the job "probe_check". Until the officer has chosen
one of several faces, nothing else happens; faces that were not chosen are never embedded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from core import jobs
from core.exceptions import Conflict, Invalid, NotFound
from core.faces.decode import ONE_AT_A_TIME, UnusablePhoto, decode, encode_clean
from core.faces.face import Face
from core.faces.quality import check as check_quality
from core.faces.quality import load_limits, measure
from core.faces.registry import DEFAULT
from core.models import User
from search import gathering, permissions, sealed
from search.exceptions import StateConflict
from search.models import RequestState, SearchRequest
from search.states import said

PROBE_CHECK: Final = "probe_check"
# Our own re-encoding at quality 95 may be larger than the original that was accepted.
_MOST_CLEAN_BYTES: Final = 100_000_000


@dataclass(frozen=True)
class FoundFace:
    """One face of the probe, numbered from 1 from left to right; `box` is x0, y0, x1, y1 in pixels of the clean photo.

    `measures` and `shortfalls` are those of `core.faces.quality`, as JSON values.
    """

    number: int
    box: tuple[int, int, int, int]
    measures: Mapping[str, Any]
    shortfalls: tuple[Mapping[str, Any], ...]


def receive(*, by: User, data: bytes, request: SearchRequest | None = None, send: bool = True) -> SearchRequest:
    """Takes the photo for a draft (a new one when `request` is None), replacing an earlier photo.

    Stored are the pixels, re-encoded without metadata and sealed, and the SHA-256 of the original. The job that looks for
    faces is queued; with send=False the caller runs it. Raises Invalid (field probe) with a sentence for everything that
    is not a usable photo, NotAllowed, StateConflict.
    """
    from search.requests import draft

    permissions.check_can_request_search(by)
    if request is not None:
        permissions.check_can_change_request(by, request)
    original, clean, size = _cleaned(data)
    if request is None:
        request = draft(by=by)
    with transaction.atomic():
        request = locked_draft(request)
        values = sealed.read(request)
        values["original"] = original
        values["image"] = {"sha256": hashlib.sha256(clean).hexdigest(), **size}
        values.pop("faces", None)
        sealed.write(request, values)
        _forget_check(request)
        sealed.write_file(request, sealed.probe_path(request), clean)
        request.save()
        jobs.enqueue(kind=PROBE_CHECK, subject=request.id, send=send)
    return request


def _cleaned(data: bytes) -> tuple[dict[str, Any], bytes, dict[str, int]]:
    """What is kept about the original, the clean photo, its size. The pixels are gone when this returns."""
    with ONE_AT_A_TIME:
        try:
            photo = decode(data)
        except UnusablePhoto as problem:
            raise Invalid(problem.sentence, {"probe": [problem.sentence]}) from problem
        clean = encode_clean(photo)
    original = {"sha256": photo.sha256, "format": photo.format, "bytes": len(data)}
    return original, clean, {"width": photo.width, "height": photo.height}


def probe_image(request: SearchRequest) -> bytes:
    """The clean photo (JPEG). Whoever shows it asks `check_can_see_justification` first. Raises NotFound."""
    values = sealed.read(request)
    if "image" not in values:
        raise NotFound("This request has no photo yet.")
    clean = sealed.read_file(request, sealed.probe_path(request))
    if hashlib.sha256(clean).hexdigest() != values["image"]["sha256"]:
        raise Conflict("The stored photo is not the one that was checked. Attach it again.")
    return clean


def faces(request: SearchRequest) -> list[FoundFace]:
    """The faces that were found, from left to right; empty before the check has ended and when there are none."""
    return [
        FoundFace(item["number"], pixel_box(item["face"]["box"]), item["measures"], tuple(item["shortfalls"]))
        for item in sealed.read(request).get("faces", [])
    ]


def choose_face(*, by: User, request: SearchRequest, face: int) -> SearchRequest:
    """Chooses face number `face`, counted from 1. Raises Invalid (field chosen_face) when it is not there, Conflict while
    the photo is still being checked, NotAllowed, StateConflict."""
    permissions.check_can_change_request(by, request)
    with transaction.atomic():
        request = locked_draft(request)
        if request.probe_checked_at is None:
            raise Conflict("The photo is still being checked. Wait a moment, then choose the face.")
        if not request.faces_found:
            raise _no_such_face("No face was found in this photo. Use another photo.")
        if not 1 <= face <= request.faces_found:
            raise _no_such_face(
                f"There is no face {face} in this photo. Choose one from 1 to {request.faces_found}."
                if request.faces_found > 1
                else f"There is no face {face} in this photo: it shows one face, number 1."
            )
        if face != request.chosen_face:
            _choose(request, sealed.read(request), face)
            request.save()
    return request


def chosen(values: Mapping[str, Any], number: int) -> Face:
    """The chosen face out of a request's sealed values. Raises LookupError."""
    for item in values.get("faces", []):
        if item["number"] == number:
            return Face.from_dict(item["face"])
    raise LookupError(f"there is no face {number}")


def pixel_box(box: Any) -> tuple[int, int, int, int]:
    """A box in whole pixels, as the log commits to it."""
    x0, y0, x1, y1 = (round(float(edge)) for edge in box)
    return x0, y0, x1, y1


def is_checked(request: SearchRequest) -> bool:
    """Whether the present photo was checked under the face model that the chosen gallery has now."""
    if request.probe_checked_at is None:
        return False
    edition = gathering.current_edition(request.gallery_id) if request.gallery_id else None
    return edition is None or edition.model == request.probe_model


def check_now(request: SearchRequest) -> SearchRequest:
    """Finds and measures the faces of the stored photo: in a worker or a command, never in a web process.

    The face model is that of the chosen gallery's current edition, else the default one.
    """
    from search import face_models

    while True:
        image = sealed.read(request).get("image")
        if image is None:
            return request
        rgb = decode(probe_image(request), max_bytes=_MOST_CLEAN_BYTES).rgb
        engine = face_models.engine(_model_for(request))
        limits = load_limits()
        found = []
        for number, face in enumerate(engine.detect(rgb), 1):
            measures = measure(rgb, face)
            shortfalls = [asdict(shortfall) for shortfall in check_quality(measures, limits)]
            found.append(
                {"number": number, "face": face.as_dict(), "measures": measures.as_dict(), "shortfalls": shortfalls}
            )
        with transaction.atomic():
            request = SearchRequest.objects.select_for_update().get(pk=request.pk)
            values = sealed.read(request)
            if request.state != RequestState.DRAFT:
                return request
            if values["image"] != image:  # another photo came meanwhile
                continue
            values["faces"] = found
            sealed.write(request, values)
            _forget_check(request)
            request.faces_found = len(found)
            request.probe_checked_at = timezone.now()
            request.probe_model = engine.identity().hash
            if len(found) == 1:
                _choose(request, values, 1)
            request.save()
            return request


@jobs.job(PROBE_CHECK, queue="search")
def check_probe(running: jobs.RunningJob) -> None:
    """The job: `subject` is the request."""
    running.progress(0, 1, "looking for faces")
    check_now(SearchRequest.objects.get(pk=running.subject))
    running.progress(1, 1, "checked")


def locked_draft(request: SearchRequest) -> SearchRequest:
    """The row, locked, while it is a draft. Raises StateConflict."""
    request = SearchRequest.objects.select_for_update(of=("self",)).get(pk=request.pk)
    if request.state != RequestState.DRAFT:
        raise StateConflict(said(request.state))
    return request


def _model_for(request: SearchRequest) -> str:
    edition = gathering.current_edition(request.gallery_id) if request.gallery_id else None
    return edition.model if edition is not None else DEFAULT


def _choose(request: SearchRequest, values: Mapping[str, Any], number: int) -> None:
    item = next(item for item in values["faces"] if item["number"] == number)
    request.chosen_face = number
    request.shortfalls = [shortfall["code"] for shortfall in item["shortfalls"]]
    request.quality_overridden_by = request.quality_overridden_at = None


def _forget_check(request: SearchRequest) -> None:
    request.faces_found, request.chosen_face, request.shortfalls = 0, None, []
    request.quality_overridden_by = request.quality_overridden_at = None
    request.probe_checked_at, request.probe_model = None, ""


def _no_such_face(sentence: str) -> Invalid:
    return Invalid(sentence, {"chosen_face": [sentence]})
