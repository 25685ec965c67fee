"""Benchmark sets as the installation keeps them: frozen with an entry, listed, verified; by service and by command."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from audit import benchmarks
from audit.models import BenchmarkSet
from core.exceptions import Invalid, NotAllowed, NotFound
from tests.audit.fairness import layout_files
from tests.core.log_entries import entries


def added(cast: Any, source: Path, **changes: Any) -> BenchmarkSet:
    wanted: dict[str, Any] = {"by": cast.carl, "name": "rfw-2019", "layout": "rfw", "source": source}
    return benchmarks.add(**wanted | changes)


def command(*arguments: str) -> tuple[dict[str, Any], str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("benchmarks", *arguments, stdout=out, stderr=err)
    return json.loads(out.getvalue().splitlines()[-1]), err.getvalue()


def test_a_set_is_frozen_with_its_licence_and_an_entry(cast: Any, tmp_path: Path) -> None:
    made = added(cast, layout_files.rfw(tmp_path))
    assert (made.kind, made.people, made.items, made.pairs, made.left_out) == ("photos", 16, 32, 32, 0)
    assert made.licence == "Non-commercial research only"
    assert made.label_source == "assigned"
    [entry] = entries("evaluation:set:added")
    assert (entry["set"], entry["name"], entry["items"], entry["actor"]) == (
        made.sha256,
        "rfw-2019",
        32,
        str(cast.carl.id),
    )
    assert benchmarks.verify(by=cast.carl, benchmark=made) == []
    photo = tmp_path / "data/African/m.000/m.000_0001.jpg"
    photo.write_bytes(b"another")
    assert [change.code for change in benchmarks.verify(by=cast.carl, benchmark=made)] == ["changed"]
    assert [entry["changes"] for entry in entries("evaluation:set:verified")] == [0, 1]


def test_a_frozen_set_stays_frozen_in_the_database(cast: Any, tmp_path: Path, mallory: psycopg.Connection) -> None:
    added(cast, layout_files.rfw(tmp_path))
    for statement in (
        "UPDATE audit_benchmarkset SET sha256 = repeat('0', 64)",
        "DELETE FROM audit_benchmarkset",
        "TRUNCATE audit_benchmarkset CASCADE",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            mallory.execute(statement)
    assert BenchmarkSet.objects.get().sha256 != "0" * 64


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("name", {"name": "../etc"}),
        ("name", {"name": ""}),
        ("layout", {"layout": "celeba"}),
        ("licence", {"layout": "folders"}),
        ("citation", {"layout": "folders", "licence": "Ours"}),
        ("label_source", {"label_source": "predicted"}),
        ("source", {"source": Path("/nowhere")}),
    ],
)
def test_a_wrong_wish_names_its_field_and_leaves_nothing(
    cast: Any, tmp_path: Path, database: Any, field: str, changes: dict[str, Any]
) -> None:
    folder = layout_files.rfw(tmp_path)
    with pytest.raises(Invalid) as refused:
        added(cast, **{"source": folder} | changes)
    assert field in refused.value.field_errors
    assert not BenchmarkSet.objects.exists()
    assert not list((database.home / "benchmarks").glob("*"))
    assert entries("evaluation:set:added") == []


def test_a_name_is_given_once_and_only_by_a_custodian(cast: Any, tmp_path: Path) -> None:
    folder = layout_files.rfw(tmp_path)
    for user in (cast.olivia, cast.ada, cast.bea, cast.axel):
        with pytest.raises(NotAllowed):
            added(cast, folder, by=user)
    first = added(cast, folder)
    with pytest.raises(Invalid, match="cannot be added") as refused:
        added(cast, folder)
    assert "never changed" in refused.value.field_errors["name"][0]
    assert benchmarks.find("rfw-2019") == benchmarks.find(str(first.id)) == first
    with pytest.raises(NotFound):
        benchmarks.find("nothing")


def test_embeddings_are_frozen_too(cast: Any, tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    vectors = np.random.default_rng(1).standard_normal((6, 8)).astype(np.float32)
    vectors[5] = np.nan
    np.savez(path, embeddings=vectors, person_id=list("aabbcc"), sex=list("ffmmff"))
    made = added(
        cast, path, layout="embeddings", licence="Ours", citation="Our laboratory", label_source="self-reported"
    )
    assert (made.kind, made.people, made.items, made.left_out, made.columns) == ("embeddings", 3, 6, 1, ["sex"])
    assert benchmarks.left_out_reasons(made) == {"no_embedding": 1}
    path.write_bytes(path.read_bytes() + b" ")
    assert [change.code for change in benchmarks.changes(made)] == ["changed"]
    path.unlink()
    assert [change.code for change in benchmarks.changes(made)] == ["missing"]


def test_the_command_adds_lists_and_verifies(cast: Any, tmp_path: Path) -> None:
    folder = layout_files.rfw(tmp_path)
    (folder / "data/Asian/m.010/m.010_0001.jpg").unlink()
    made, told = command("add", "rfw", str(folder), "--layout", "rfw", "--as", "carl")
    assert (made["items"], made["pairs"]) == (31, 30)
    assert "Left out, pair: 2" in told
    assert Path(made["left_out_report"]).read_text(encoding="utf-8").count("missing") >= 1
    found, _ = command("list")
    assert [one["name"] for one in found["sets"]] == ["rfw"]
    assert command("verify", "rfw", "--as", "carl")[0]["changes"] == {}
    (folder / "data/African/m.000/m.000_0001.jpg").write_bytes(b"another")
    with pytest.raises(SystemExit) as left:
        command("verify", "rfw", "--as", "carl")
    assert left.value.code == 3
    with pytest.raises(CommandError, match="There is no benchmark set lfw"):
        command("verify", "lfw", "--as", "carl")
    with pytest.raises(CommandError, match="There is no directory"):
        command("add", "again", str(tmp_path / "nowhere"), "--layout", "rfw", "--as", "carl")
