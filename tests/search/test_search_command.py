"""`manage.py search` and its companions: the same gate from the command line, with exit status and JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.log import verifier_keys
from audit.log.proof import Receipt
from core.portraits import portrait_jpeg
from search.models import SearchRequest
from tests.search.stage import NUMBER, OFFENCE, PEOPLE, STORY, Stage
from tests.search.test_intake import UNUSABLE, crowd

Entries = Callable[..., list[dict[str, Any]]]


def run(*arguments: Any) -> tuple[int, dict[str, Any]]:
    """Exit status and the JSON object of the last line."""
    out = io.StringIO()
    try:
        call_command(*[str(argument) for argument in arguments], stdout=out, stderr=io.StringIO())
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    return status, json.loads(out.getvalue().splitlines()[-1])


@pytest.fixture
def asked(stage: Stage, tmp_path: Path) -> Callable[..., tuple[int, dict[str, Any]]]:
    """`asked(case="")` runs `search` with everything right but that; None leaves an option out."""

    def search(*more: Any, probe: bytes | None = portrait_jpeg(PEOPLE[0], 1), **changes: str | None) -> tuple[int, Any]:
        options: dict[str, str | None] = {
            "case": NUMBER,
            "purpose": "identify_suspect",
            "offence": OFFENCE,
            "legal-basis": "probable_cause",
            "justification": STORY,
            "gallery": stage.gallery.name,
            "as": "olivia",
            **{name.replace("_", "-"): value for name, value in changes.items()},
        }
        if probe is not None:
            (tmp_path / "probe.jpg").write_bytes(probe)
            options["probe"] = str(tmp_path / "probe.jpg")
        given = [f"--{name}={value}" for name, value in options.items() if value is not None]
        return run("search", *given, *more)

    return search


def secret_file(stage: Stage, tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(stage.cast.secrets[stage.cast.sam.id] + "\n")
    return file


def test_a_search_waits_for_approval_and_is_resumed(
    stage: Stage, log_at_work: None, asked: Callable[..., Any], tmp_path: Path, entries: Entries
) -> None:
    status, said = asked()
    assert (status, said["awaiting"]) == (4, "approval")
    request = said["request"]

    status, said = run("approve", request, "--as=sam", f"--secret-file={secret_file(stage, tmp_path)}")
    assert (status, said["state"]) == (0, "ready")
    status, said = run("search", f"--resume={request}", "--as=olivia", f"--out={tmp_path / 'out'}")
    assert (status, said["state"]) == (0, "done")
    assert "candidates" not in said, "the requester sees the status"
    Receipt.parse(Path(said["receipt"]).read_bytes()).verify(
        Path(said["entry"]).read_bytes(), verifier_keys.published()
    )
    status, said = run("search", f"--resume={request}", "--as=erin")
    assert status == 0
    assert said["candidates"][0]["template"] == str(stage.templates[PEOPLE[0]])
    status, said = run("replay", request, "--approver=sam", f"--secret-file={secret_file(stage, tmp_path)}")
    assert (status, said["comparison"]) == (0, "same")
    assert {entry["command"] for entry in entries("core:command:used")} == {"search", "approve", "replay"}


@pytest.mark.parametrize("name", ["case", "purpose", "offence", "justification", "legal_basis", "gallery"])
def test_a_missing_option_is_refused_with_its_reason(asked: Callable[..., Any], entries: Entries, name: str) -> None:
    status, said = asked(**{name: None})
    assert status == 3
    assert {one["field"] for one in said["refused"]} >= {{"case": "case_number"}.get(name, name)}
    [entry] = entries("search:request:refused")
    assert entry["channel"] == "cli"
    assert entry["reasons"] == [one["code"] for one in said["refused"]]


def test_a_search_without_a_photo_is_refused(asked: Callable[..., Any], entries: Entries) -> None:
    status, said = asked(probe=None)
    assert (status, said["refused"][0]["code"]) == (3, "probe:missing")
    assert len(entries("search:request:refused")) == 1


@pytest.mark.parametrize("name", ["text", "truncated", "bomb"])
def test_an_unusable_photo_is_refused_with_a_sentence(asked: Callable[..., Any], name: str) -> None:
    status, said = asked(probe=UNUSABLE[name])
    assert status == 3
    assert said["refused"][0]["field"] == "probe"


@pytest.mark.parametrize(("option", "value"), [("k", "10000"), ("threshold", "0"), ("threshold", "nan")])
def test_numbers_out_of_range_are_refused(asked: Callable[..., Any], option: str, value: str) -> None:
    status, said = asked(**{option: value})
    assert status == 3
    assert said["refused"][0]["field"] == option


def test_several_faces_ask_for_one_and_a_wrong_one_asks_again(asked: Callable[..., Any]) -> None:
    status, said = asked(probe=crowd(3))
    assert (status, said["awaiting"]) == (4, "face")
    assert [face["face"] for face in said["faces"]] == [1, 2, 3]
    request = said["request"]
    status, said = run("search", f"--resume={request}", "--as=olivia", "--face=7")
    assert (status, said["awaiting"]) == (4, "face")
    assert said["sentence"].startswith("There is no face 7")
    status, said = run("search", f"--resume={request}", "--as=olivia", "--face=2")
    assert (status, said["awaiting"]) == (4, "approval")
    assert SearchRequest.objects.get(pk=request).chosen_face == 2


def test_a_silent_log_leaves_the_search_waiting(
    stage: Stage, asked: Callable[..., Any], tmp_path: Path, settings: Any
) -> None:
    settings.GLASSCASE_LOG_WAIT_SECONDS = 1
    _, said = asked()
    run("approve", said["request"], "--as=sam", f"--secret-file={secret_file(stage, tmp_path)}")
    status, said = run("search", f"--resume={said['request']}", "--as=olivia")
    assert (status, said["awaiting"]) == (4, "log")
    assert "does not answer" in said["sentence"]


def test_nobody_acts_where_it_is_switched_off(asked: Callable[..., Any], settings: Any) -> None:
    settings.GLASSCASE_ALLOW_AS = False
    with pytest.raises(CommandError, match="switched off"):
        asked()


def test_cases_are_opened_and_imported(stage: Stage, tmp_path: Path) -> None:
    status, said = run("open_case", "2026-00500", "--offence=murder", "--officer=olivia", "--as=sam")
    assert (status, said["status"]) == (0, "open")
    file = tmp_path / "cases.csv"
    file.write_text("number,offence,officers\n2026-00501,murder,olivia\nwrong,murder,\n")
    status, said = run("import_cases", file, "--as=sam")
    assert (status, said) == (0, {"imported": 1, "known": 0, "refused": 1})
    with pytest.raises(CommandError, match="open here already"):
        run("open_case", "2026-00500", "--offence=murder", "--as=sam")
    file.write_text("a,b\n1,2\n")
    with pytest.raises(CommandError, match="heading"):
        run("import_cases", file, "--as=sam")
