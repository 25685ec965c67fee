"""Witnesses over real HTTP and a real database: what is published waits for them, whatever fails on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command

from audit.log import cosigning, storage, verifier_keys
from audit.log.checkpoint import Checkpoint, Note, cosign, open_checkpoint
from audit.log.merkle import Prover
from audit.log.verify import main
from audit.log.witness_server import CosigningWitness
from audit.oversight import health
from tests.audit.log.logs import Key
from tests.audit.log.witnessed import Site, not_answering, settle
from tests.audit.log.witnesses import Running

Open = Callable[..., psycopg.Connection]
ROOT = Path(__file__).parents[3]


def test_checkpoint_receipts_tiles_and_export_wait_for_the_quorum_and_carry_it(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (first,) = site.grow()
    assert (site.signed, site.published) == (1, 0)
    with pytest.raises(storage.NotCovered):
        storage.receipt(site.app, first)
    with pytest.raises(storage.NotCovered):
        storage.export(site.app, tmp_path / "early")
    site.cosign()
    assert site.published == 1
    (second,) = site.grow()
    assert (site.signed, site.published) == (2, 1)
    with pytest.raises(storage.NotCovered):
        storage.receipt(site.app, second)
    assert storage.export(site.as_role("reader"), tmp_path / "log") == 1
    site.cosign()
    receipt = storage.receipt(site.app, second)
    body = storage.entry_body(site.app, second)
    signed = receipt.verify(body, verifier_keys.published())
    assert len(signed.note.signatures) == 4
    (tmp_path / "receipt").write_bytes(receipt.encode())
    (tmp_path / "entry").write_bytes(body)
    key = str(verifier_keys.published()[0])
    given = ["--key", key, "--witness", str(site.policy_file)]
    assert main([str(tmp_path / "log"), *given]) == 0
    assert main([*given, "--receipt", str(tmp_path / "receipt"), "--entry", str(tmp_path / "entry")]) == 0
    assert "3 of 3 witnesses cosigned" in capsys.readouterr().out


def test_an_export_with_a_policy_says_how_to_count_and_the_count_works(site: Site, tmp_path: Path) -> None:
    site.grow(5)
    site.cosign()
    call_command("export_log", tmp_path / "log")
    text = (tmp_path / "log" / "HOW-TO-CHECK.txt").read_text()
    command = next(line.split() for line in text.splitlines() if "--witness" in line)
    done = subprocess.run(
        [sys.executable, *(word.strip("'") for word in command[1:])],
        cwd=tmp_path / "log",
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "3 of 3 witnesses cosigned\nOK size=5" in done.stdout


def test_one_witness_is_no_quorum_and_the_older_checkpoint_stays_published(site: Site) -> None:
    site.grow()
    site.cosign()
    site.grow(2)
    with not_answering(site.witnesses[0], site.witnesses[1]):
        site.cosign()
    assert (site.signed, site.published) == (3, 1)
    with not_answering(site.witnesses[2]):
        site.cosign()
    assert site.published == 3


def test_without_a_policy_all_is_as_it_was(site: Site, settings: Any) -> None:
    site.grow()
    settings.GLASSCASE_WITNESS_POLICY = ""
    assert site.published == 1
    assert not storage.quorum_waived(site.app)
    assert health.state().witnesses == ()


def test_a_policy_that_cannot_be_read_publishes_nothing(site: Site, settings: Any, client: Any) -> None:
    site.grow()
    site.cosign()
    site.policy_file.write_text("quorum nobody\n")
    settings.GLASSCASE_LOG_OPEN = True
    answer = client.get("/log/checkpoint")
    assert answer.status_code == 503
    assert "cannot be used: line 1" in answer.content.decode()
    assert str(site.policy_file) not in answer.content.decode()
    assert health.state().line == "the witness policy cannot be read"
    with pytest.raises(CommandError, match="cannot be used"):
        call_command("witness_client")


def test_a_quiet_log_is_cosigned_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.grow()
    with site.client() as asking:
        settle(asking, site.own)
        settle(asking, site.own)
        count = "SELECT count(*) FROM log.cosignature"
        assert site.app.execute(count).fetchone() == (3,)
        monkeypatch.setattr(cosigning, "REFRESH_SECONDS", 0.0)
        later = time.time() + 600
        monkeypatch.setattr(time, "time", lambda: later)
        asking.step(site.own)
        monkeypatch.setattr(cosigning, "REFRESH_SECONDS", 600.0)
        settle(asking, site.own)
        assert site.app.execute(count).fetchone() == (6,)
    found = storage.cosigned_checkpoint(site.app, verifier_keys.published(), site.policy)
    assert found is not None
    assert len(found.note.signatures) == 4, "one line of each witness, the newest"


def test_two_clients_at_once_do_the_same_work_and_no_harm(site: Site) -> None:
    other = site.as_role("witness_client")
    with site.client() as one, site.client() as two:
        for count in (1, 3, 2):
            site.grow(count)
            for _ in range(40):
                one.step(site.own)
                two.step(other)
                if site.published == site.signed:
                    break
        settle(one, site.own)
        settle(two, other)
    assert site.published == site.signed == 6
    assert site.app.execute("SELECT count(*) FROM logwork.frozen").fetchone() == (0,)


def test_a_witness_that_was_shown_more_by_another_client_a_moment_ago_is_no_alarm(site: Site) -> None:
    site.grow()
    with site.client() as slow:
        before = storage.signed_checkpoint

        def stale(connection: psycopg.Connection, keys: Any = None) -> Any:
            storage.signed_checkpoint = before
            found = before(connection, keys)
            site.grow(4)
            site.cosign()
            return found

        storage.signed_checkpoint = stale
        slow.step(site.own)
        settle(slow, site.own)
    assert site.published == 5


# The crash table of cosign and publish: each call outside failed, and failed although it happened.


def lost_answer(one: Running, body: bytes) -> None:
    assert CosigningWitness.add_checkpoint(one.witness, body).status == 200


def nothing(*_: Any) -> None:
    return None


class Killed(BaseException):
    """As if the process had been killed."""


def dying_before_recording(*_: Any) -> None:
    raise Killed


def dying_after_recording(*arguments: Any) -> None:
    RECORD(*arguments)
    raise Killed


RECORD = cosigning.record


@pytest.mark.parametrize("happened", [False, True], ids=["failed", "failed but happened"])
@pytest.mark.parametrize("step", ["ask", "record"])
def test_whatever_fails_the_log_is_cosigned_in_the_end_and_never_forked(
    site: Site, monkeypatch: pytest.MonkeyPatch, step: str, happened: bool
) -> None:
    published = []
    for count in (1, 255, 1, 2):
        site.grow(count)
        if step == "ask":
            with not_answering(*site.witnesses, after=lost_answer if happened else nothing):
                site.cosign()
        else:
            with monkeypatch.context() as patched, site.client() as asking:
                patched.setattr(cosigning, "record", dying_after_recording if happened else dying_before_recording)
                with pytest.raises(Killed):
                    settle(asking, site.own)
        published.append(site.published)
        site.cosign()
        assert site.published == site.signed
    if step == "ask":
        assert published == [0, 1, 256, 257], "what was not recorded was not published"
    prover = Prover(site.signed, storage.getter(site.app, site.signed))
    for (note,) in site.app.execute("SELECT note FROM log.checkpoint ORDER BY size").fetchall():
        checkpoint = open_checkpoint(note.encode(), verifier_keys.published()).checkpoint
        assert prover.root(checkpoint.size) == checkpoint.root
    for one in site.witnesses:
        assert one.state.contradictions() == []
    assert site.app.execute("SELECT count(*) FROM logwork.frozen").fetchone() == (0,)


@pytest.mark.slow
def test_the_process_survives_its_death_and_that_of_a_witness(site: Site, database: Any) -> None:
    environment = {**database.environment, "GLASSCASE_WITNESS_POLICY": str(site.policy_file)}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "manage.py", "witness_client"], cwd=ROOT, env=environment)

    site.grow(3)
    first = start()
    try:
        wait_for(lambda: site.published == 3)
        with not_answering(site.witnesses[0]):
            site.grow(2)
            wait_for(lambda: site.published == 5)
    finally:
        first.kill()
        assert first.wait(10) == -signal.SIGKILL
    site.grow(2)
    assert site.published == 5
    second = start()
    try:
        wait_for(lambda: site.published == 7)
    finally:
        second.terminate()
        assert second.wait(20) == 0


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


# What the log and its header say


def test_the_log_says_when_the_quorum_is_lost_and_when_it_is_back(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosigning, "_WATCH_SECONDS", 0.0)
    site.grow()
    site.cosign()
    monkeypatch.setattr(cosigning, "LOST_AFTER_SECONDS", 0)
    site.cosign()
    assert site.logged("log:quorum:lost") == []
    assert site.logged("log:quorum:restored") == []
    site.grow()
    with not_answering(site.witnesses[0], site.witnesses[1]):
        site.cosign()
        site.cosign()  # another client, which does not say it again
        (lost,) = site.logged("log:quorum:lost")
        assert (lost["size"], lost["needed"]) == (2, 2)
    site.pump()
    site.cosign()
    site.cosign()
    (restored,) = site.logged("log:quorum:restored")
    assert restored["seconds"] < 60
    assert len(site.logged("log:quorum:lost")) == 1


def test_the_header_says_how_many_witnesses_keep_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LAGGING_AFTER_SECONDS", 0)
    site.grow()
    with not_answering(site.witnesses[0]):
        site.cosign()
    found = health.state()
    assert found.line.startswith("signed ")
    assert found.line.endswith(" ago, 2 of 3 witnesses")
    assert (found.state, found.quorum_met) == ("good", True)
    assert [(one.name, one.size, one.keeps_up) for one in found.witnesses] == [
        ("w0", None, False),
        ("w1", 1, True),
        ("w2", 1, True),
    ]
    assert found.cosigned_seconds is not None
    assert found.cosigned_seconds < 60
    site.grow()
    with not_answering(site.witnesses[0], site.witnesses[1]):
        site.cosign()
    found = health.state()
    assert (found.state, found.quorum_met, found.witnesses_keeping_up) == ("warn", False, 1)
    assert "1 of 3 witnesses cosign, which is no quorum" in found.problems[0]


# What Mallory can do with the witness client's password


def forged(site: Site, number: int) -> dict[str, Any]:
    """A row that SQL takes: the line has the witness's name, key id and time, and no signature of its."""
    found = storage.signed_checkpoint(site.app)
    assert found is not None
    note = Note.parse(found[1])
    checkpoint = Checkpoint.parse(note.text)
    public = site.witnesses[number].key.public
    line = cosign(note.text, public, Key("mallory", 5).private, time=1_800_000_000)
    return {
        "size": checkpoint.size,
        "root": checkpoint.root,
        "witness": str(public),
        "cosigned": 1_800_000_000,
        "line": str(line).strip(),
    }


def insert(connection: psycopg.Connection, row: dict[str, Any]) -> None:
    names = ", ".join(row)
    marks = ", ".join(["%s"] * len(row))
    connection.execute(f"INSERT INTO log.cosignature ({names}) VALUES ({marks})", list(row.values()))


def test_forged_cosignatures_are_passed_over_by_everybody_who_verifies(site: Site) -> None:
    site.grow()
    site.cosign()
    (entry,) = site.grow()
    for number in range(3):
        insert(site.own, forged(site, number))
    assert site.published == 1
    with pytest.raises(storage.NotCovered):
        storage.receipt(site.app, entry)
    site.cosign()
    assert site.published == 2, "they do not stand in the way of right ones either"


@pytest.mark.parametrize(
    "change",
    [
        {"size": 5},
        {"root": b"\1" * 32},
        {"witness": "w0.example+00000000+AAAA"},
        {"witness": ""},
        {"witness": "no base64 in here+12345678+!!!!"},
        {"line": "— w0.example AAAA"},
        {"line": "nonsense"},
        {"cosigned": 1_800_000_001},
    ],
)
def test_a_cosignature_that_does_not_fit_its_checkpoint_or_witness_is_refused(
    site: Site, change: dict[str, Any]
) -> None:
    site.grow()
    with pytest.raises(psycopg.Error) as caught:
        insert(site.own, forged(site, 0) | change)
    assert caught.value.sqlstate == "GC403"
    assert site.app.execute("SELECT count(*) FROM log.cosignature").fetchone() == (0,)


def test_the_quorum_may_be_waived_for_as_long_as_the_gate_says_and_no_longer(site: Site, as_superuser: Any) -> None:
    site.grow()
    assert not storage.quorum_waived(site.app)
    site.cosign()
    as_superuser.execute("SELECT logwork.set_quorum(2, 5)")
    assert storage.quorum_waived(site.app)
    later = time.time() + 301
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "time", lambda: later)
        assert not storage.quorum_waived(site.app)
    as_superuser.execute("SELECT logwork.set_quorum(2, 0)")
    assert not storage.quorum_waived(site.app)
