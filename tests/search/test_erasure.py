"""Erasing searches: by order, by age and after an emergency; old backups do not give anything back, and the log stays valid."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.utils import timezone

from audit.log import storage, verifier_keys
from core import database, key_backups, keystore
from core.exceptions import Conflict, NotAllowed, NotFound
from search import erasure, readings, sealed
from search.exceptions import StateConflict
from search.gate import client
from search.gate.client import GateRefused
from search.models import SearchRequest
from tests.search.stage import Stage


def order(stage: Stage, request: SearchRequest, by: Any = None) -> None:
    erasure.erase(by=by, request=request, approver=stage.cast.sam, secret=stage.cast.secrets[stage.cast.sam.id])


def verified(folder: Path, *more: str) -> str:
    call_command("export_log", str(folder))
    [key] = verifier_keys.published()
    program = [sys.executable, "-I", str(folder / "glasscase-verify.pyz"), str(folder), "--key", str(key), *more]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


def test_an_old_backup_gives_nothing_back_and_the_log_and_its_receipts_stay_valid(
    stage: Stage,
    searched: SearchRequest,
    database: Any,
    log_at_work: None,
    entries: Any,
    as_superuser: psycopg.Connection,
    tmp_path: Path,
) -> None:
    from core.database import session

    request = searched
    intent = request.intent
    receipt, entry = tmp_path / "receipt", tmp_path / "entry"
    receipt.write_bytes(storage.receipt(session(), intent).encode())
    entry.write_bytes(storage.entry_body(session(), intent))
    photo = sealed.probe_path(request).read_bytes()
    row = bytes(request.sealed)
    kept = as_superuser.execute(
        "SELECT entry, field, record, sealed FROM vault.sealed WHERE record = %s", [request.id]
    ).fetchall()
    assert len(kept) > 5
    assert sealed.read(request)["typed"]["justification"]

    order(stage, request, by=stage.cast.cora)
    assert not list(Path(sealed.probe_path(request).parent).glob(f"{request.id}*"))
    [erased] = entries("search:probe:erased", request=request.id)
    assert (erased["reason"], erased["approver"]) == ("ordered", str(stage.cast.sam.id))
    [record] = entries("vault:record:erased", record=request.id)
    assert record["values"] == len(kept)
    [gone] = entries("search:photo:erased", request=request.id)
    week = django_settings.GLASSCASE_KEY_BACKUP_DAYS * 86_400_000
    assert abs(gone["backups_until"] - gone["at"] - week) < 60_000
    [(probe, salt)] = as_superuser.execute(
        "SELECT probe, salt FROM gate.bound WHERE request = %s", [request.id]
    ).fetchall()
    assert (probe, salt) == (None, None)
    [(packed, erased_at)] = as_superuser.execute(
        "SELECT packed, erased FROM gate.outcome WHERE request = %s", [request.id]
    )
    assert set(bytes(packed)) == {0}
    assert erased_at is not None

    # An operator restores everything that the database and the disk had.
    with as_superuser.transaction():
        for each in kept:
            as_superuser.execute(
                "INSERT INTO vault.sealed (entry, field, record, sealed) VALUES (%s, %s, %s, %s)", each
            )
    SearchRequest.objects.filter(pk=request.pk).update(sealed=row)
    sealed.probe_path(request).write_bytes(photo)
    request.refresh_from_db()
    for each in kept:
        with pytest.raises(keystore.KeyMissing):
            keystore.get(each[2])
        with pytest.raises(keystore.Unsealable):
            keystore.unseal(keystore.create(uuid.uuid4()), "vault", bytes(each[3]))
    with pytest.raises(NotFound):
        sealed.read(request)
    with pytest.raises(NotFound):
        sealed.read_file(request, sealed.probe_path(request))
    out = verified(tmp_path / "log", "--receipt", str(receipt), "--entry", str(entry))
    assert out.splitlines()[-1].startswith("OK ")


def test_nobody_reads_or_replays_an_erased_search(stage: Stage, searched: SearchRequest, log_at_work: None) -> None:
    request = searched
    order(stage, request)
    with pytest.raises(Conflict, match="erased"):
        readings.open_candidates(by=stage.cast.erin, request=request)
    order(stage, request)  # harmless to repeat


def test_a_legal_hold_keeps_everything(
    stage: Stage, searched: SearchRequest, log_at_work: None, entries: Any, settings: Any
) -> None:
    request = searched
    for subject in (request.id, request.case_id):
        client.place_hold(database.session(), subject)
        with pytest.raises(Conflict, match="legal hold"):
            order(stage, request)
        stage_two = stage.proposals("gate:lift_hold", {"subject": subject}, stage.cast.sam, stage.cast.sue)
        client.lift_hold(database.session(), subject, stage_two)
    assert sealed.read(request)["image"]
    assert entries("search:probe:erased") == []
    assert sealed.probe_path(request).exists()


def test_only_counsel_has_a_search_erased_and_only_one_that_ended(stage: Stage) -> None:
    request = stage.submitted()
    with pytest.raises(StateConflict):
        order(stage, request)
    for person in (stage.cast.olivia, stage.cast.bea, stage.cast.carl):
        with pytest.raises(NotAllowed):
            order(stage, request, by=person)


def test_photos_embeddings_and_candidates_are_erased_by_age_and_words_are_kept(
    stage: Stage, searched: SearchRequest, log_at_work: None, entries: Any, as_superuser: psycopg.Connection
) -> None:
    request = searched
    held = stage.done()
    assert erasure.erase_due() == 0
    with pytest.raises(GateRefused) as refused:
        client.erase_due(database.session(), request.id)
    assert refused.value.rule == "retention"
    stage.set_policy("probe_days", 1)
    client.place_hold(database.session(), held.id)
    SearchRequest.objects.update(created_at=timezone.now() - timedelta(days=2))
    as_superuser.execute("UPDATE gate.bound SET at = at - interval '2 days'")
    photo = sealed.probe_path(request).read_bytes()
    assert erasure.erase_due() == 1
    assert erasure.erase_due() == 0
    [entry] = entries("search:probe:erased")
    assert (entry["request"], entry["reason"]) == (str(request.id), "retention")
    assert "approver" not in entry
    sealed.probe_path(request).write_bytes(photo)
    with pytest.raises(keystore.Unsealable):
        sealed.read_file(request, sealed.probe_path(request))
    request.refresh_from_db()
    assert sealed.read(request)["typed"]["justification"]
    assert sealed.read_file(held, sealed.probe_path(held))


def test_an_erasure_that_was_killed_before_the_keys_is_finished(
    stage: Stage, searched: SearchRequest, log_at_work: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = searched
    with monkeypatch.context() as killed:
        killed.setattr(erasure, "_destroy", lambda request: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            order(stage, request)
    assert keystore.get(request.id)
    assert erasure.finish() == 1
    assert erasure.finish() == 0
    with pytest.raises(keystore.KeyMissing):
        keystore.get(request.id)


def test_a_backup_of_the_keys_ends_and_a_destroyed_key_with_it(
    stage: Stage, entries: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = uuid.uuid4(), uuid.uuid4()
    secret = keystore.create(gone)
    keystore.create(stays)
    call_command("backup_keys", str(tmp_path / "backups"))
    [backup] = (tmp_path / "backups").iterdir()
    assert backup.stat().st_mode & 0o777 == 0o600
    keystore.destroy(gone)
    assert secret in backup.read_bytes()
    later = timezone.now() + timedelta(days=django_settings.GLASSCASE_KEY_BACKUP_DAYS, seconds=2)
    monkeypatch.setattr(timezone, "now", lambda: later)
    made = key_backups.make(tmp_path / "backups")
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [made.path.name]
    assert secret not in made.path.read_bytes()
    assert len(entries("core:keys:backed_up")) == 2
    assert json.dumps(entries("core:keys:backed_up")).count("expires") == 2
