"""A selection of the log, taken away and checked elsewhere: it proves itself, and whoever changes a row is found."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import transaction
from django.test import Client

from audit.log import journal, verifier_keys
from audit.log.verify import main
from audit.oversight import selections, verifier_file
from tests.api_client import Api
from tests.core.log_entries import entries
from tests.people import Cast

Pump = Callable[[], None]


@pytest.fixture
def board(cast: Cast, client: Client, pump: Pump) -> Client:
    with transaction.atomic():
        for number in range(300):
            journal.record("search:policy:viewed", law_pack="utah" if number % 2 else "maine")
    pump()
    client.force_login(cast.bea)
    return client


def export(board: Client, **which: str) -> bytes:
    answer = board.post("/log/selection.zip", which)
    assert answer.status_code == 200
    assert "attachment" in answer.headers["Content-Disposition"]
    return b"".join(answer)  # type: ignore[arg-type]


def unpacked(data: bytes, into: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        archive.extractall(into)
    return into


def check(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Status, last line, everything."""
    capsys.readouterr()
    status = main(["--key", str(verifier_keys.published()[0]), "--selection", str(path)])
    said = capsys.readouterr().out
    return status, said.splitlines()[-1], said


def repacked(folder: Path, into: Path) -> Path:
    with zipfile.ZipFile(into, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return into


def test_a_selection_proves_each_of_its_entries_and_its_export_is_an_entry_first(
    cast: Cast, board: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "selection.zip").write_bytes(export(board, event="search:policy:viewed"))
    status, last, said = check(tmp_path / "selection.zip", capsys)
    assert (status, last[:8]) == (0, "OK size=")
    assert "the selection holds 300 entries of the log" in said
    (made,) = entries("log:selection:exported")
    assert (made["entries"], made["event"], made["actor"]) == (300, "search:policy:viewed", str(cast.bea.id))
    folder = unpacked((tmp_path / "selection.zip").read_bytes(), tmp_path / "unpacked")
    assert json.loads((folder / "selection.json").read_text())["export"] == made["id"]
    assert made["id"] in (folder / "HOW-TO-CHECK.txt").read_text()
    for name in ("selection.json", "selection.csv"):
        assert check(folder / name, capsys)[0] == 0


def test_only_what_fits_the_filter_is_in_it(board: Client, tmp_path: Path, cast: Cast) -> None:
    folder = unpacked(export(board, number="5-7"), tmp_path)
    listed = json.loads((folder / "selection.json").read_text())["entries"]
    assert [one["index"] for one in listed] == [5, 6, 7]
    folder = unpacked(export(board, event="search:policy:viewed", until="2020-01-01"), tmp_path)
    assert json.loads((folder / "selection.json").read_text())["entries"] == []


def test_the_one_file_inside_checks_the_selection_as_the_text_beside_says(board: Client, tmp_path: Path) -> None:
    (tmp_path / "selection.zip").write_bytes(export(board, event="search:policy:viewed"))
    folder = unpacked((tmp_path / "selection.zip").read_bytes(), tmp_path)
    text = (folder / "HOW-TO-CHECK.txt").read_text()
    command = next(line.split() for line in text.splitlines() if "--selection FILE" in line)
    words = [word.strip("'").replace("FILE", "selection.zip") for word in command]
    done = subprocess.run([sys.executable, *words[1:]], cwd=folder, env={}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("OK size=")
    assert words[2] == verifier_file.NAME


def _rewrite_json(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    whole = json.loads((folder / "selection.json").read_text())
    change(whole)
    (folder / "selection.json").write_text(json.dumps(whole))


def _another_law(whole: dict[str, Any]) -> None:
    row = whole["entries"][3]
    row["entry"] = row["entry"].replace("utah", "ohio")


def _another_number(whole: dict[str, Any]) -> None:
    whole["entries"][3]["index"] += 1
    del whole["entries"][4]


def _another_proof(whole: dict[str, Any]) -> None:
    whole["entries"][3]["proof"] = whole["entries"][5]["proof"]


def _twice(whole: dict[str, Any]) -> None:
    whole["entries"].insert(3, whole["entries"][2])


def test_a_changed_row_is_found_and_named(board: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = export(board, event="search:policy:viewed")
    for change in (_another_law, _another_number, _another_proof, _twice):
        folder = unpacked(data, tmp_path / change.__name__)
        _rewrite_json(folder, change)
        for path, name in (
            (folder / "selection.json", folder / "selection.json"),
            (repacked(folder, tmp_path / "changed.zip"), "selection.json"),
        ):
            status, last, _ = check(path, capsys)
            assert status == 1
            assert last.startswith(f"FAIL: selection: {name}, row 4, entry "), change.__name__


def test_a_table_that_says_something_else_than_its_entries_is_found(
    board: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = export(board, event="search:policy:viewed")
    for old, new in (("search:policy:viewed,", "search:intent:filed,"), ("20", "19"), ("maine", "idaho")):
        folder = unpacked(data, tmp_path / new[:3])
        head, _, rest = (folder / "selection.csv").read_text().partition("\n")
        (folder / "selection.csv").write_text(f"{head}\n{rest.replace(old, new, 1)}")
        for path in (folder / "selection.csv", repacked(folder, tmp_path / "changed.zip")):
            status, last, _ = check(path, capsys)
            assert status == 1
            assert "row 1, entry" in last, new
    (folder / "selection.csv").write_text(f"number{head[5:]}\n{rest}")
    assert "does not begin with the columns" in check(folder / "selection.csv", capsys)[1]


def test_what_two_files_of_one_export_say_has_to_agree(
    board: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = unpacked(export(board, event="search:policy:viewed"), tmp_path / "unpacked")
    lines = (folder / "selection.csv").read_text().splitlines(keepends=True)
    (folder / "selection.csv").write_text("".join(lines[:-1]))
    assert check(folder / "selection.csv", capsys)[0] == 0  # a smaller selection is one too
    _, last, _ = check(repacked(folder, tmp_path / "shorter.zip"), capsys)
    assert "selection.json has 300 entries and selection.csv 299" in last


def test_what_is_no_selection_is_refused_with_a_reason(
    cast: Cast, pump: Pump, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoint").write_bytes(b"not signed")
    for content in (b"", b"{", b'{"format": 1}', b"\xff\xfe", b"PK\x05\x06" + b"\0" * 18, b"[]", b"index", b"[" * 9000):
        (tmp_path / "file").write_bytes(content)
        status, last, _ = check(tmp_path / "file", capsys)
        assert status == 1
        assert last.startswith("FAIL: ")


def test_an_unsigned_checkpoint_is_refused(board: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = unpacked(export(board, number="1-2"), tmp_path)
    _rewrite_json(folder, lambda whole: whole.update(checkpoint=whole["checkpoint"].split("\n\n")[0] + "\n\n"))
    assert check(folder / "selection.json", capsys)[0] == 1


def test_too_much_is_refused_and_says_what_to_do(board: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selections, "MOST", 10)
    answer = board.post("/log/selection.zip", {"event": "search:policy:viewed"})
    assert answer.status_code == 422
    assert "export the whole log" in answer.content.decode()
    assert entries("log:selection:exported") == []


def test_nothing_is_handed_out_without_its_entry(board: Client, as_role: Any) -> None:
    as_role("signer").execute("SELECT logwork.freeze('A drill.')")
    assert board.post("/log/selection.zip", {"number": "1"}).status_code == 503


def test_a_wrong_filter_exports_nothing(board: Client) -> None:
    for wrong in ({"number": "x"}, {"number": "5-"}, {"search": "x"}, {"person": "nobody"}):
        assert board.post("/log/selection.zip", wrong).status_code == 422
        assert board.get("/log/", wrong).status_code == 422
    assert entries("log:selection:exported") == []


def test_the_board_takes_the_whole_log_and_checks_it(
    cast: Cast, board: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = board.post("/log/log.zip")
    (tmp_path / "log.zip").write_bytes(b"".join(answer))  # type: ignore[arg-type]
    assert main([str(tmp_path / "log.zip"), "--key", str(verifier_keys.published()[0])]) == 0
    (made,) = entries("log:export:made")
    assert (made["actor"], made["role"]) == (str(cast.bea.id), "board")
    assert f"OK size={made['size']} " in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "log.zip") as archive:
        assert {"HOW-TO-CHECK.txt", verifier_file.NAME, "log.vkey", "checkpoint"} <= set(archive.namelist())


def test_a_frozen_log_can_still_be_taken_away(board: Client, as_role: Any, tmp_path: Path) -> None:
    as_role("signer").execute("SELECT logwork.freeze('A drill.')")
    (tmp_path / "log.zip").write_bytes(b"".join(board.post("/log/log.zip")))  # type: ignore[arg-type]
    assert main([str(tmp_path / "log.zip"), "--key", str(verifier_keys.published()[0])]) == 0


def test_the_browser_finds_by_search_and_by_number_and_shows_a_search_as_a_path(
    cast: Cast, board: Client, pump: Pump, mallory: psycopg.Connection
) -> None:
    request = uuid.uuid4()
    made = []
    for type_ in ("search:request:held", "search:request:failed"):
        more: dict[str, Any] = {"reasons": ["protest"]} if type_.endswith("held") else {"reason": "photo"}
        with transaction.atomic():
            made.append(journal.record(type_, request=request, **more))
    journal.record_now("search:request:failed", request=uuid.uuid4(), reason="elsewhere")
    pump()
    page = board.get("/log/", {"search": str(request)}).content.decode()
    assert page.count('class="number" href="') == 2
    assert board.get("/log/", {"number": "3-4"}).content.decode().count('class="number" href="') == 2
    page = board.get(f"/log/entries/{made[0]}/").content.decode()
    assert "The life of this search" in page
    assert f'href="/log/entries/{made[1]}/"' in page
    assert "elsewhere" not in page
    assert entries("log:entries:viewed")[-1]["about"] == str(request)


def test_which_searches_belong_to_a_case_is_what_the_log_says(cast: Cast, board: Client, pump: Pump) -> None:
    case, request = uuid.uuid4(), uuid.uuid4()
    journal.record_now("search:request:refused", reasons=["closed"], law_pack="utah", case=case, request=request)
    journal.record_now("search:request:expired", request=request)
    journal.record_now("search:request:expired", request=uuid.uuid4())
    pump()
    assert board.get("/log/", {"case": str(case)}).content.decode().count('class="number" href="') == 2


def test_a_script_takes_a_selection_and_the_whole_log(cast: Cast, board: Client, tmp_path: Path) -> None:
    del board
    caller = Api().as_(cast.axel)
    for path, more in (("log/selection/", ["--selection"]), ("log/export/", [])):
        answer = caller("POST", f"/{path}", {"type": "search:policy"})
        assert answer.status_code == 200
        (tmp_path / "file.zip").write_bytes(b"".join(answer))
        assert main(["--key", str(verifier_keys.published()[0]), *more, str(tmp_path / "file.zip")]) == 0
    assert entries("log:selection:exported")[0]["role"] == "auditor"


@pytest.mark.parametrize("typed", [":", "Search", "search request", "é"])
def test_an_event_that_cannot_be_one_is_refused_with_a_sentence(cast: Cast, board: Client, typed: str) -> None:
    del board
    answer = Api().as_(cast.axel)("POST", "/log/selection/", {"type": typed})
    assert answer.status_code == 422
    assert "no such event" in answer.json()["sentence"]
    assert not entries("log:selection:exported")
