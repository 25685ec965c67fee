"""What is disclosed verifies without us, holds the whole search, and nobody else's face unless somebody answers for it."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core import database, keystore
from core.exceptions import Invalid, NotAllowed, NotFound
from search import disclosures, leads, outcomes
from search.disclosures import DisclosureFields
from search.models import Disclosure, Lead
from search.outcome_rules import OutcomeFields
from tests.api_client import Api
from tests.search.reviewing import REMARK, decided, unsure
from tests.search.stage import OTHER_STORY, PEOPLE, STORY, STRANGER, Stage

Entries = Callable[..., list[dict[str, Any]]]
pytestmark = pytest.mark.usefixtures("log_at_work")
DEFENCE = DisclosureFields(recipient="Dana Diaz, counsel for the defence", reason="Discovery in 26-CR-118.")


def unpacked(content: bytes, place: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(place)
        return {name: archive.read(name) for name in archive.namelist()}


def verifies(place: Path, *arguments: str) -> str:
    """The last line of the verifier that lies in the bundle, run in the bundle and with nothing of ours."""
    keys = [part for key in (place / "log.vkey").read_text().split("\n") if key for part in ("--key", key)]
    done = subprocess.run(
        [sys.executable, "-I", "glasscase-verify.pyz", *keys, *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip().splitlines()[-1]


def test_everything_in_the_bundle_verifies_without_us(
    stage: Stage, lead: Lead, entries: Entries, tmp_path: Path
) -> None:
    cast = stage.cast
    outcomes.record(
        by=cast.olivia,
        lead=lead,
        fields=OutcomeFields(truth="same_person", procedure="charge", evidence=("physical",)),
    )
    made = disclosures.make(by=cast.sam, request=lead.request, fields=DEFENCE)
    files = unpacked(made.content, tmp_path)
    [said] = entries("search:disclosure:made", request=lead.request_id)
    assert said["bundle"] == hashlib.sha256(made.content).hexdigest() == made.row.bundle
    assert "Dana" not in json.dumps(said)

    for line in files["SHA256SUMS"].decode().splitlines():
        digest, _, name = line.partition("  ")
        assert hashlib.sha256(files[name]).hexdigest() == digest
    assert {line.partition("  ")[2] for line in files["SHA256SUMS"].decode().splitlines()} == set(files) - {
        "SHA256SUMS"
    }

    receipts = sorted(name for name in files if name.endswith(".tlog-proof"))
    types = [json.loads(files[name.replace(".tlog-proof", ".entry.json")])["type"] for name in receipts]
    for needed in (
        "search:request:submitted",
        "search:request:approved",
        "search:intent:filed",
        "search:probe:bound",
        "search:result:stored",
        "search:candidates:viewed",
        "search:review:decided",
        "search:review:concluded",
        "search:lead:released",
        "search:outcome:recorded",
    ):
        assert needed in types, needed
    openings = sorted(name for name in files if name.startswith("openings/"))
    fields = {name.split(".")[-3] for name in openings}
    assert {"justification", "photo", "case_number", "candidates", "findings", "note", "candidate"} <= fields
    for receipt in receipts:
        name = receipt.removesuffix(".tlog-proof")
        own = [one for one in openings if one.startswith(name.replace("entries/", "openings/") + ".")]
        asked = [part for one in own for part in ("--opening", one)]
        assert verifies(tmp_path, "--receipt", receipt, "--entry", f"{name}.entry.json", *asked).startswith("OK"), name

    opened = next(one for one in openings if ".justification." in one)
    (tmp_path / "changed").write_bytes(files[opened].replace(b"broke the rear window", b"broke a front window"))
    entry = opened.replace("openings/", "entries/").replace(".justification.opening.json", "")
    changed = verifies(
        tmp_path, "--receipt", f"{entry}.tlog-proof", "--entry", f"{entry}.entry.json", "--opening", "changed"
    )
    assert changed.startswith("FAIL")


def test_the_bundle_tells_the_whole_search(stage: Stage, lead: Lead, tmp_path: Path) -> None:
    cast = stage.cast
    files = unpacked(disclosures.make(by=cast.sam, request=lead.request, fields=DEFENCE).content, tmp_path)
    request = json.loads(files["request.json"])
    assert (request["case_number"], request["justification"]) == ("2026-00147", STORY)
    candidates = json.loads(files["candidates.json"])["candidates"]
    assert candidates[0]["conclusions"] == ["support_same", "support_same"]
    assert [one["released"] for one in candidates] == [True] + [False] * (len(candidates) - 1)
    assert json.loads(files["leads.json"])[0]["caveat"].startswith("Investigative lead only")
    assert json.loads(files["law-pack.json"])["code"] == "utah"
    assert files["photos/searched.jpg"].startswith(b"\xff\xd8\xff")
    assert files["photos/lead-at-rank-1.jpg"].startswith(b"\xff\xd8\xff")
    decisions = json.loads(files["decisions.json"])
    assert [one["examiner"] for one in decisions] == ["examiner 1", "examiner 2"]
    assert decisions[0]["note"] == REMARK
    readable = b"".join(data for name, data in files.items() if name.endswith((".json", ".txt")))
    assert b"Erin" not in readable
    assert b"Olivia" in readable
    assert b"not probable cause" in readable.lower()


def test_other_faces_and_names_are_in_it_by_choice_only(
    stage: Stage, lead: Lead, entries: Entries, tmp_path: Path
) -> None:
    cast = stage.cast
    plain = unpacked(disclosures.make(by=cast.sam, request=lead.request, fields=DEFENCE).content, tmp_path)
    assert not any(name.startswith("photos/candidate") for name in plain)
    before = len(entries("search:candidates:viewed", request=lead.request_id))
    with pytest.raises(Invalid) as refused:
        disclosures.make(
            by=cast.sam, request=lead.request, fields=DisclosureFields(recipient="D", reason="R", with_photos=True)
        )
    assert list(refused.value.field_errors) == ["photos_reason"]
    full = DisclosureFields(
        recipient="D", reason="R", with_photos=True, photos_reason="Ordered by the court.", names_examiners=True
    )
    files = unpacked(disclosures.make(by=cast.sam, request=lead.request, fields=full).content, tmp_path / "full")
    assert any(name.startswith("photos/candidate-at-rank-1") for name in files)
    assert b"Erin Eng" in files["people.json"]
    assert len(entries("search:candidates:viewed", request=lead.request_id)) == before + 1
    assert [one["photos"] for one in entries("search:disclosure:made", request=lead.request_id)] == [False, True]


def test_searches_that_led_nowhere_are_disclosed_too(stage: Stage, tmp_path: Path) -> None:
    cast = stage.cast
    nobody = stage.done(STRANGER, justification=OTHER_STORY)
    files = unpacked(disclosures.make(by=cast.sam, request=nobody, fields=DEFENCE).content, tmp_path)
    assert json.loads(files["leads.json"]) == []
    undecided = stage.done(PEOPLE[1])
    decided(cast.erin, undecided, unsure)
    files = unpacked(disclosures.make(by=cast.sam, request=undecided, fields=DEFENCE).content, tmp_path / "two")
    # The second examiner has not decided: a supervisor does not learn from here what the first concluded.
    assert json.loads(files["decisions.json"]) == []
    assert b"The review goes on" in files["README.txt"]
    assert not any("review-decided" in name for name in files if name.startswith("openings/"))
    assert b"inconclusive" not in b"".join(files.values())


def test_every_sealed_value_that_is_opened_is_in_the_log(stage: Stage, lead: Lead, entries: Entries) -> None:
    cast = stage.cast
    disclosures.make(by=cast.sam, request=lead.request, fields=DEFENCE)
    viewed = entries("vault:record:viewed")
    assert {one["viewer"] for one in viewed} == {str(cast.sam.pk)}
    sealing = {
        one["id"]
        for type_ in (
            "search:intent:filed",
            "search:request:submitted",
            "search:review:decided",
            "search:lead:released",
        )
        for one in entries(type_, request=lead.request_id)
    }
    assert sealing <= {one["entry"] for one in viewed}


def test_who_may_not_and_what_is_missing(stage: Stage, lead: Lead) -> None:
    cast = stage.cast
    for person in (cast.olivia, cast.erin, cast.cora, cast.bea, cast.xavier):
        with pytest.raises(NotAllowed):
            disclosures.make(by=person, request=lead.request, fields=DEFENCE)
    cast.olivia.roles = ["officer", "supervisor"]
    cast.olivia.save()
    with pytest.raises(NotAllowed, match="another supervisor"):
        disclosures.make(by=cast.olivia, request=lead.request, fields=DEFENCE)
    with pytest.raises(Invalid) as refused:
        disclosures.make(by=cast.sam, request=lead.request, fields=DisclosureFields())
    assert set(refused.value.field_errors) == {"recipient", "reason"}
    assert not Disclosure.objects.exists()


def test_a_forged_vault_is_noticed_before_anything_is_handed_out(stage: Stage, lead: Lead, as_superuser: Any) -> None:
    cast = stage.cast
    secret = keystore.get(lead.request_id)
    forged = json.dumps({"field": "justification", "salt": "00" * 32, "value": "A better reason."}).encode()
    as_superuser.execute(
        "UPDATE vault.sealed SET sealed = %s WHERE field = 'justification'", [keystore.seal(secret, "vault", forged)]
    )
    with pytest.raises(Exception, match="oversight board"):
        disclosures.make(by=cast.sam, request=lead.request, fields=DEFENCE)
    assert not Disclosure.objects.exists()


def test_after_erasure_there_is_nothing_to_disclose(stage: Stage, lead: Lead) -> None:
    cast = stage.cast
    keystore.destroy(lead.request_id)
    with pytest.raises(NotFound, match="erased"):
        disclosures.make(by=cast.sam, request=lead.request, fields=DEFENCE)
    with pytest.raises(NotFound):
        leads.open_lead(by=cast.olivia, lead=lead)
    assert database.session() is not None
    assert not Disclosure.objects.exists()


def test_the_page_and_the_api_hand_it_out(stage: Stage, lead: Lead, tmp_path: Path) -> None:
    cast = stage.cast
    client = Client()
    client.force_login(cast.sam)
    address = reverse("disclose", args=[lead.request_id])
    assert client.post(address, {}).status_code == 422
    sent = client.post(address, {"recipient": DEFENCE.recipient, "reason": DEFENCE.reason})
    assert (sent.status_code, sent["Content-Type"]) == (200, "application/zip")
    assert "README.txt" in unpacked(sent.content, tmp_path)
    assert "Dana Diaz" in client.get(address).content.decode()
    api = Api().as_(cast.sue)
    body = {"recipient": "The court", "reason": "Order of 3 May."}
    answer = api("POST", f"/requests/{lead.request_id}/disclosures/make/", body)
    assert answer.content.startswith(b"PK")
    assert len(api.get(f"/requests/{lead.request_id}/disclosures/")) == 2
