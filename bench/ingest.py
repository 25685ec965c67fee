"""Importing templates against a bare COPY of the same rows into tables of the same kind that nothing guards."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from bench.figures import milliseconds, ratios, say, spread, summary, table
from bench.installation import Installation, random_model
from core import state
from core.models import JobState
from search import enrolment, galleries, template_import, template_rows
from search.gate import client
from search.models import Enrolment, FaceModel

TITLE = "Import of templates"
_BINARY = "(FORMAT BINARY)"
_SOURCES = {
    "bare_template": ("gallery.template_{edition}", _BINARY),
    "bare_reference": ("public.search_enrolledphoto", ""),
}
_SECRET = b"a benchmark"


def run(installation: Installation, *, quick: bool) -> dict[str, Any]:
    rows, dimension, rounds = (2_000, 512, 3) if quick else (100_000, 512, 7)
    file = _file(rows, dimension)
    laps: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        say(f"ingest: {rows} templates, round {number} of {rounds}")
        run_, lap = _import(installation, file, dimension, number)
        if number % 2:
            lap |= _bare(installation, run_)
            lap |= _gated(installation, run_)
        else:
            lap |= _gated(installation, run_)
            lap |= _bare(installation, run_)
        if number:  # round 0 warms everything up
            for name, value in lap.items():
                laps.setdefault(name, []).append(value)
    both = [one + other for one, other in zip(laps["bare_template"], laps["bare_reference"], strict=True)]
    laps["bare_both"] = both
    return {
        "templates": rows,
        "dimension": dimension,
        "rounds": rounds,
        "milliseconds": {name: summary(values) for name, values in laps.items()},
        "templates_per_second": {
            name: summary([rows / value * 1000 for value in values], 0) for name, values in laps.items()
        },
        "ratios": {  # of speeds: what the bare copy takes, divided by what ours takes
            "template_copy": ratios(laps["bare_template"], laps["gated_template"]),
            "copying": ratios(both, laps["copying"]),
            "whole": ratios(both, laps["whole"]),
        },
    }


def _file(rows: int, dimension: int) -> Path:
    vectors = np.random.default_rng(3).standard_normal((rows, dimension), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    place = state.directory("bench") / "templates.npz"
    people = np.array([f"B{number:07d}" for number in range(rows)])
    np.savez(place, embeddings=vectors, person_id=people, sex=np.array(["f", "m"] * (rows // 2)))
    return place


def _import(installation: Installation, file: Path, dimension: int, number: int) -> tuple[Enrolment, dict[str, float]]:
    """The product's own way, from the file to the sealed batch, in a new edition."""
    cast = installation.cast
    model = FaceModel.objects.create(
        hash=random_model(), name="somebody else's", dimension=dimension, identity={}, licence_status="permissive"
    )
    gallery = galleries.create(
        by=cast.users["carl"],
        agency=cast.agency,
        name=f"imported {number}",
        legal_basis="generated",
        retention_days=30,
    )
    galleries.register_edition(
        by=cast.users["carl"],
        gallery=gallery,
        face_model=model,
        approver=cast.users["sam"],
        secret=installation.secret("sam"),
    )
    at: dict[str, float] = {}

    def told(done: int, total: int, stage: str) -> None:
        at.setdefault(stage, time.perf_counter())

    begun = time.perf_counter()
    found = template_import.start(by=cast.users["carl"], gallery=gallery, embeddings=file, face_model=model, send=False)
    if enrolment.run_here(found, told=told).state != JobState.DONE:
        raise SystemExit("bench: the import did not end well.")
    ended = time.perf_counter()
    found.refresh_from_db()
    return found, {
        "checking": (at["importing"] - begun) * 1000,
        "copying": (at["sealing"] - at["importing"]) * 1000,
        "sealing": (ended - at["sealing"]) * 1000,
        "whole": (ended - begun) * 1000,
    }


def _bare(installation: Installation, found: Enrolment) -> dict[str, float]:
    """The rows that the import stored, as the superuser, into tables without triggers, checks and partitions."""
    lap = {}
    for name, (source, form) in _SOURCES.items():
        of = source.format(edition=found.edition)
        installation.superuser.execute(f"CREATE TABLE {name} (LIKE {of} INCLUDING ALL EXCLUDING CONSTRAINTS)")
        chunks = _stored(installation, f"SELECT * FROM {of} WHERE edition = {found.edition}", form)
        lap[name] = _copied(installation.superuser, f"COPY {name} FROM STDIN {form}", chunks)
        installation.superuser.execute(f"DROP TABLE {name}")
    return lap


def _gated(installation: Installation, found: Enrolment) -> dict[str, float]:
    """The templates alone, as the application copies them into an open batch: trigger, partition and checks."""
    again = "SELECT edition, batch + 1, gen_random_uuid(), person, embedding, marks"
    chunks = _stored(installation, f"{again} FROM gallery.template_{found.edition} WHERE batch = 1", _BINARY)
    batch = client.open_batch(installation.app, found.edition, hashlib.sha256(_SECRET).digest())
    taken = _copied(installation.app, template_rows.COPY, chunks)
    client.discard_batch(installation.app, found.edition, batch, _SECRET)
    return {"gated_template": taken}


def _stored(installation: Installation, query: str, form: str) -> list[bytes]:
    """Rows of the import as COPY takes them, in pieces of the size that it copied them in."""
    with installation.superuser.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT {form}") as stream:
        rows = [bytes(row) for row in stream]  # the server sends them one by one
    head, tail = (template_rows.HEAD, template_rows.TAIL) if form else (b"", b"")
    rows[0] = rows[0].removeprefix(head)
    if form:
        assert rows.pop() == tail
    size = template_import.CHUNK
    return [head + b"".join(rows[start : start + size]) + tail for start in range(0, len(rows), size)]


def _copied(connection: psycopg.Connection, statement: str, chunks: list[bytes]) -> float:
    """Milliseconds that it takes to copy the chunks, each in a transaction of its own."""

    def copy() -> None:
        for chunk in chunks:
            with connection.cursor() as cursor, cursor.copy(statement) as into:
                into.write(chunk)

    return milliseconds(copy)


def page(result: dict[str, Any]) -> list[str]:
    speed, shares = result["templates_per_second"], result["ratios"]
    rows = [
        ["templates alone, bare COPY", spread(speed["bare_template"]), "1"],
        ["templates alone, as the gate takes them", spread(speed["gated_template"]), spread(shares["template_copy"])],
        ["templates and their references, bare COPY", spread(speed["bare_both"]), "1"],
        [
            "templates and their references, `import_templates` copying",
            spread(speed["copying"]),
            spread(shares["copying"]),
        ],
        ["the whole import: read, check, copy, seal, log", spread(speed["whole"]), spread(shares["whole"])],
    ]
    milli = result["milliseconds"]
    return [
        f"{result['templates']:,} templates of {result['dimension']} dimensions from an .npz file of float32 into a new gallery edition, in",
        f"transactions of {template_import.CHUNK:,}. The bare COPY takes the same rows, as the superuser, into tables with the same columns and indexes and",
        "without trigger, checks and partition. A reference is what is kept beside a template: whose it is, its attributes.",
        f"{result['rounds']} interleaved rounds; ratios are medians of the rounds' ratios.",
        "",
        *table(["what", "templates/s", "divided by its bare COPY"], rows),
        "",
        f"Of a whole import, reading and checking the file take {milli['checking']['median']:g} ms, copying {milli['copying']['median']:g} ms, "
        f"sealing (the digest, computed on both sides) {milli['sealing']['median']:g} ms.",
    ]
