"""What people send stays in memory and within limits; what they are shown is kept by no cache."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory

from core import uploads
from core.faces import decode
from core.portraits import portrait_jpeg
from search import intake, pictures, requests

DOCUMENT = b"%PDF-" + b"x" * 5_000_000


def _sent(**files: bytes) -> Any:
    given = {name: SimpleUploadedFile(f"{name}.pdf", data) for name, data in files.items()}
    return RequestFactory().post("/", given)


def test_a_large_file_is_written_to_no_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", None)
    file = _sent(document=DOCUMENT).FILES["document"]
    assert file.read() == DOCUMENT
    assert file.size == len(DOCUMENT)
    assert list(tmp_path.iterdir()) == []
    assert settings.FILE_UPLOAD_HANDLERS == ["core.uploads.Memory"]


def test_of_a_file_beyond_every_limit_only_a_part_is_kept_and_no_service_takes_that() -> None:
    sent = _sent(document=b"%PDF-" + bytes(40_000_000))
    assert len(sent.FILES["document"].read()) == uploads.LARGEST_FILE
    assert max(decode.MAX_BYTES, requests.MAX_ATTACHMENT_BYTES) < uploads.LARGEST_FILE


def test_files_that_are_too_large_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "LARGEST_REQUEST", 8_000_000)
    with pytest.raises(RequestDataTooBig):
        _ = _sent(one=DOCUMENT, two=DOCUMENT).FILES


def test_pages_about_people_are_kept_by_no_cache(cast: Any) -> None:
    for person, addresses in (
        (cast.olivia, ("/", "/cases/", "/searches/", "/account/", "/galleries/", "/nowhere/")),
        (cast.sam, ("/approvals/",)),
        (cast.ada, ("/people/", f"/people/{cast.olivia.pk}/")),
        (cast.erin, ("/readings/",)),
    ):
        client = Client()
        client.force_login(person)
        for address in addresses:
            assert "no-store" in client.get(address)["Cache-Control"], address


def test_a_process_with_threads_works_on_one_photo_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    held = []

    def decoding(data: bytes) -> Any:
        held.append(decode.ONE_AT_A_TIME.locked())
        return decode.decode(data)

    monkeypatch.setattr(intake, "decode", decoding)
    _, clean, size = intake._cleaned(portrait_jpeg(0, 0))
    assert held == [True]
    assert not decode.ONE_AT_A_TIME.locked()
    assert len(pictures.cut_out(clean, (0, 0, size["width"], size["height"]))) > 1000
