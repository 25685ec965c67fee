"""The probe photo: what is refused, what is kept, and that nobody's face is read before its time."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.exceptions import Conflict, Invalid, NotAllowed, NotFound
from core.models import Job
from core.portraits import portrait, portrait_jpeg
from search import intake, sealed
from search.exceptions import StateConflict
from tests.people import Cast
from tests.search.stage import Stage

Entries = Callable[..., list[dict[str, Any]]]


def encoded(rgb: np.ndarray, kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, kind, **options)
    return out.getvalue()


def crowd(count: int) -> bytes:
    """Generated people side by side, at most four in a row."""
    rows = []
    for start in range(0, count, 4):
        row = [portrait(person, 0) for person in range(start, min(start + 4, count))]
        row += [np.full((320, 320, 3), 128, np.uint8)] * (4 - len(row))
        rows.append(np.hstack(row))
    return encoded(np.vstack(rows))


def png_bomb() -> bytes:
    """A PNG whose header says 50,000 x 50,000 and whose data is a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def animated() -> bytes:
    out = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    return out.getvalue()


UNUSABLE = {
    "empty": b"",
    "text": b"this is no photo\n" * 20,
    "truncated": portrait_jpeg(0, 0)[:3000],
    "one_pixel": encoded(np.zeros((1, 1, 3), np.uint8), "PNG"),
    "bomb": png_bomb(),
    "thirty_megabytes": b"\xff\xd8\xff" + b"\0" * 30_000_000,
    "animated": animated(),
    "avif": b"\0\0\0\x20ftypavif" + b"\0" * 100,
    "gif": b"GIF89a" + b"\0" * 100,
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_is_no_usable_photo_gets_a_sentence_on_its_field(cast: Cast, name: str) -> None:
    with pytest.raises(Invalid) as caught:
        intake.receive(by=cast.olivia, data=UNUSABLE[name])
    assert list(caught.value.field_errors) == ["probe"]
    assert caught.value.sentence.endswith(".")
    assert not Job.objects.exists()


def test_the_photo_is_kept_clean_and_sealed(cast: Cast) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at the victim's door"
    original = encoded(portrait(0, 0), exif=exif)
    assert b"victim" in original

    request = intake.receive(by=cast.olivia, data=original)

    stored = sealed.probe_path(request).read_bytes()
    assert b"victim" not in stored
    assert not stored.startswith(b"\xff\xd8\xff")
    clean = intake.probe_image(request)
    assert clean.startswith(b"\xff\xd8\xff")
    assert b"victim" not in clean
    values = sealed.read(request)
    assert values["original"]["sha256"] == hashlib.sha256(original).hexdigest()
    assert values["image"]["sha256"] == hashlib.sha256(clean).hexdigest()
    assert sealed.probe_path(request).stat().st_mode & 0o077 == 0


def test_a_new_photo_replaces_the_old_one_and_its_check(stage: Stage) -> None:
    request = stage.drafted(0)
    assert request.chosen_face == 1
    before = intake.probe_image(request)
    request = intake.receive(by=stage.cast.olivia, data=portrait_jpeg(1, 0), request=request)
    assert intake.probe_image(request) != before
    assert (request.faces_found, request.chosen_face, request.probe_checked_at) == (0, None, None)
    assert intake.faces(request) == []


def test_one_face_is_chosen_by_itself_and_measured(stage: Stage) -> None:
    request = stage.drafted(0)
    [face] = intake.faces(request)
    assert request.faces_found == request.chosen_face == face.number == 1
    x0, y0, x1, y1 = face.box
    assert 0 <= x0 < x1 <= 320
    assert 0 <= y0 < y1 <= 320
    assert face.measures["face_px"] > 60
    assert request.probe_model == stage.model.hash


def test_a_photo_without_a_face_is_said_to_have_none(stage: Stage) -> None:
    request = stage.drafted(data=encoded(np.full((300, 300, 3), 90, np.uint8)))
    assert request.faces_found == 0
    with pytest.raises(Invalid) as caught:
        intake.choose_face(by=stage.cast.olivia, request=request, face=1)
    assert "No face was found" in caught.value.sentence


def test_of_several_faces_one_is_chosen_and_no_other_number_taken(stage: Stage) -> None:
    request = stage.drafted(data=crowd(11))
    assert request.faces_found >= 9, "the detector may miss one or two of the generated faces side by side"
    assert request.chosen_face is None
    assert [face.number for face in intake.faces(request)] == list(range(1, request.faces_found + 1))
    for wrong in (0, -1, request.faces_found + 1):
        with pytest.raises(Invalid) as caught:
            intake.choose_face(by=stage.cast.olivia, request=request, face=wrong)
        assert f"There is no face {wrong} in this photo." in caught.value.sentence
        assert list(caught.value.field_errors) == ["chosen_face"]
    request = intake.choose_face(by=stage.cast.olivia, request=request, face=2)
    assert request.chosen_face == 2


def test_a_small_face_is_refused_with_its_measure(stage: Stage) -> None:
    small = Image.fromarray(portrait(0, 0)).resize((90, 90))
    canvas = Image.new("RGB", (400, 400), (120, 120, 120))
    canvas.paste(small, (150, 150))
    request = stage.drafted(data=encoded(np.asarray(canvas)))
    [face] = intake.faces(request)
    assert "face_too_small" in request.shortfalls
    [sentence] = [each["sentence"] for each in face.shortfalls if each["code"] == "face_too_small"]
    assert f"{face.measures['face_px']:g} pixels" in sentence


def test_choosing_waits_for_the_check(cast: Cast) -> None:
    request = intake.receive(by=cast.olivia, data=portrait_jpeg(0, 0))
    with pytest.raises(Conflict, match="still being checked"):
        intake.choose_face(by=cast.olivia, request=request, face=1)


def test_nobody_else_touches_a_draft(cast: Cast) -> None:
    request = intake.receive(by=cast.olivia, data=portrait_jpeg(0, 0))
    for other in (cast.oscar, cast.sam, cast.xavier):
        with pytest.raises(NotAllowed):
            intake.receive(by=other, data=portrait_jpeg(1, 0), request=request)
        with pytest.raises(NotAllowed):
            intake.choose_face(by=other, request=request, face=1)


def test_a_submitted_request_takes_no_other_photo(stage: Stage) -> None:
    request = stage.submitted()
    with pytest.raises(StateConflict):
        intake.receive(by=stage.cast.olivia, data=portrait_jpeg(1, 0), request=request)


def test_a_photo_whose_key_is_destroyed_is_gone(stage: Stage) -> None:
    from core import keystore

    request = stage.drafted(0)
    keystore.destroy(request.id)
    with pytest.raises(NotFound):
        intake.probe_image(request)


def test_the_check_reads_no_face(stage: Stage, entries: Entries, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.faces.engines.dlib import DlibEngine

    def embed(*_: Any) -> None:
        raise AssertionError("a face was read before the gate was open")

    monkeypatch.setattr(DlibEngine, "embed", embed)
    request = stage.submitted()
    assert request.state == "awaiting_approval"
    stage.approve(request)
