"""Enrolment with every face model that is here, side by side: the real command against a bare loop over the same photos."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import gated, portraits
from bench.figures import milliseconds, ratios, say, spread, summary, table
from bench.installation import Installation
from bench.portraits import Portraits
from core import state
from search import face_models, galleries
from search.gate import client
from search.models import Gallery

TITLE = "Enrolment"
PROCESSES = 2
COPIES = 2
ROUNDS = 3
_MANAGE = ("manage.py", "enroll")


@dataclass(frozen=True)
class Enrolled:
    """What a face model's enrolments left: the gallery of first photos, and the bare embeddings of second ones."""

    gallery: Gallery
    edition: gated.Edition
    probes: Path


@dataclass(frozen=True)
class Usage:
    """What a process took, its own children included; `rss_mb` is that of the largest single process."""

    seconds: float
    cpu_seconds: float
    rss_mb: float
    said: str


def run(installation: Installation, *, quick: bool) -> dict[str, Any]:
    return _done(installation, quick=quick)[0]


def enrolled(installation: Installation, *, quick: bool) -> tuple[Portraits, dict[str, Enrolled]]:
    """The portraits and what was enrolled of them, by face model: from this run's bench, which is run when it was not."""
    _, chosen, found = _done(installation, quick=quick)
    return chosen, found


def _done(installation: Installation, *, quick: bool) -> tuple[dict[str, Any], Portraits, dict[str, Enrolled]]:
    if "enrolment" not in installation.kept:
        installation.kept["enrolment"] = _work(installation, portraits.prepare(quick=quick), quick)
    return installation.kept["enrolment"]


def _work(
    installation: Installation, chosen: Portraits, quick: bool
) -> tuple[dict[str, Any], Portraits, dict[str, Enrolled]]:
    models = face_models.current_names()
    parts = {"first photos": chosen.first, "second photos": chosen.second}
    places = {(model, part): searchable_gallery(installation, model, part) for model in models for part in parts}
    measured: dict[str, list[dict[str, Any]]] = {model: [] for model in models}
    bare: dict[str, dict[str, Any]] = {}
    found: dict[str, Enrolled] = {}
    for number, (part, manifest) in enumerate(parts.items()):
        # Whoever goes first alternates.
        for model in models[:: 1 if number % 2 == 0 else -1]:
            say(f"enrolment: {part} with {model}")
            gallery = places[model, part]
            usage = _process(
                *_MANAGE, str(gallery.id), "--manifest", str(manifest), "--workers", str(PROCESSES), "--verbosity", "0"
            )
            said = json.loads(usage.said)
            measured[model].append(
                {
                    "photos": said["photos"],
                    "enrolled": said["enrolled"],
                    "reasons": said["reasons"],
                    "photos_per_second": said["photos_per_second"],
                    "cpu_seconds_per_photo": round(usage.cpu_seconds / said["photos"], 3),
                    "peak_rss_mb": round(usage.rss_mb),
                }
            )
    for model in models:
        say(f"enrolment: bare loop over the second photos with {model}")
        out = state.directory("bench") / f"{model}.npz"
        usage = _process("-m", "bench.bare", model, str(chosen.second), str(out))
        photos = len(portraits.read(chosen.second))
        bare[model] = {
            "photos": photos,
            "photos_per_second": round(photos / usage.seconds, 2),
            "cpu_seconds_per_photo": round(usage.cpu_seconds / photos, 3),
            "peak_rss_mb": round(usage.rss_mb),
        }
        gallery = places[model, "first photos"]
        edition = galleries.current_edition(gallery)
        assert edition is not None
        found[model] = Enrolled(gallery, gated.Edition(gallery.id, edition.edition, edition.model), out)
    many = portraits.copies(chosen, 1 if quick else COPIES)
    races = {model: _race(installation, model, many, 1 if quick else ROUNDS) for model in models}
    result = {
        "portraits": chosen.of,
        "processes": PROCESSES,
        "engines": {model: face_models.engine(model).identity().engine for model in models},
        "models": {model: _together(measured[model], bare[model]) for model in models},
        "races": races,
        "left_out": {} if len(models) > 1 else {"insightface": _why_not()},
    }
    return result, chosen, found


def _race(installation: Installation, model: str, manifest: Path, rounds: int) -> dict[str, Any]:
    """The command and the bare loop over the same photos, each with as many processes, one after the other."""
    photos = len(portraits.read(manifest))
    ours: list[float] = []
    bare: list[float] = []
    for number in range(rounds):
        gallery = searchable_gallery(installation, model, f"race {number}")
        say(f"enrolment: {photos} photos with {model}, round {number + 1} of {rounds}")
        command = [str(gallery.id), "--manifest", str(manifest), "--workers", str(PROCESSES), "--verbosity", "0"]
        acts: list[tuple[list[float], Callable[[], object]]] = [
            (ours, partial(_process, *_MANAGE, *command)),
            (bare, partial(_shared_out, model, manifest)),
        ]
        for kept, act in acts[:: 1 if number % 2 == 0 else -1]:
            kept.append(photos / (milliseconds(act) / 1000))
    return {"photos": photos, "ours": summary(ours), "bare": summary(bare), "ratio": ratios(ours, bare)}


def _shared_out(model: str, manifest: Path) -> None:
    """The bare loop in several processes at once, each with its share of the photos."""
    loops = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "bench.bare", model, str(manifest)),
                *(str(manifest.with_name(f"{share}.npz")), str(share), str(PROCESSES)),
            ]
        )
        for share in range(PROCESSES)
    ]
    if sum(loop.wait() for loop in loops):  # all of them are waited for
        raise SystemExit("bench: the bare loop did not end well.")


def _together(rounds: list[dict[str, Any]], bare: dict[str, Any]) -> dict[str, Any]:
    return {
        "rounds": rounds,
        "photos": sum(each["photos"] for each in rounds),
        "enrolled": sum(each["enrolled"] for each in rounds),
        "photos_per_second": summary([each["photos_per_second"] for each in rounds]),
        "cpu_seconds_per_photo": summary([each["cpu_seconds_per_photo"] for each in rounds], 3),
        "peak_rss_mb": max(each["peak_rss_mb"] for each in rounds),
        "bare": bare,
        # The same photos: the second ones.
        "cpu_ratio_to_bare": round(rounds[-1]["cpu_seconds_per_photo"] / bare["cpu_seconds_per_photo"], 2),
    }


def searchable_gallery(installation: Installation, model: str, part: str) -> Gallery:
    """A gallery with one edition under the model, searchable from the lowest threshold on."""
    cast = installation.cast
    record = face_models.register(face_models.engine(model))
    if record.licence_status != face_models.PERMISSIVE and record.acknowledged_at is None:
        record = face_models.acknowledge(by=cast.users["carl"], face_model=record)
    gallery = galleries.create(
        by=cast.users["carl"], agency=cast.agency, name=f"{model}, {part}", legal_basis="generated", retention_days=30
    )
    galleries.register_edition(
        by=cast.users["carl"],
        gallery=gallery,
        face_model=record,
        approver=cast.users["sam"],
        secret=installation.secret("sam"),
    )
    if client.acceptance(installation.app, record.hash) is None:
        installation.adopt(record.hash, 1)
    return gallery


def _process(*arguments: str) -> Usage:
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        begun = time.perf_counter()
        child = subprocess.Popen([sys.executable, *arguments], stdout=output)
        largest = 0.0
        ended: tuple[int, int, Any] = (0, 0, None)
        while ended[0] == 0:
            time.sleep(0.05)
            largest = max(largest, *(_peak_mb(process) for process in (child.pid, *_children(child.pid))))
            ended = os.wait4(child.pid, os.WNOHANG)
        seconds = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(ended[1])
        output.seek(0)
        said = output.read().strip()
    if child.returncode != 0:
        raise SystemExit(f"bench: {' '.join(arguments[:3])} ended with status {child.returncode}.")
    usage = ended[2]
    return Usage(seconds, usage.ru_utime + usage.ru_stime, largest, said.splitlines()[-1] if said else "")


def _peak_mb(process: int) -> float:
    """Asked from outside: what `wait4` reports begins with the memory of the process that forked, which is ours."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _children(process: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


def _why_not() -> str:
    if not os.environ.get("GLASSCASE_FACES"):
        return "GLASSCASE_FACES is not set, so there is no model pack for insightface."
    return "GLASSCASE_FACES has no insightface/models that can be used."


def page(result: dict[str, Any]) -> list[str]:
    rows = []
    for model, each in result["models"].items():
        bare = each["bare"]
        rows.append(
            [
                f"{model} ({result['engines'][model]})" if model != result["engines"][model] else model,
                f"{each['enrolled']} of {each['photos']}",
                " / ".join(f"{one['photos_per_second']:g}" for one in each["rounds"]),
                " / ".join(f"{one['cpu_seconds_per_photo']:g}" for one in each["rounds"]),
                each["peak_rss_mb"],
                f"{bare['cpu_seconds_per_photo']:g} ({bare['photos_per_second']:g} photos/s)",
                f"{each['cpu_ratio_to_bare']:g}",
            ]
        )
    return [
        f"`manage.py enroll` of the `{result['portraits']}` portraits with {result['processes']} processes: first photos, then second photos of the same",
        "people, each into a gallery of its own, opened, filled, sealed and logged; start of the processes and loading of the",
        "face model included. The bare loop decodes, detects and embeds the second photos in one process and stores nothing.",
        "CPU seconds are those of the enrolling processes, without the database's; memory is that of the largest process.",
        "",
        *table(
            [
                "face model",
                "enrolled",
                "photos/s (first / second photos)",
                "CPU s a photo",
                "peak RSS, MB",
                "bare loop, CPU s a photo",
                "CPU, enrolment / bare loop",
            ],
            rows,
        ),
        "",
        f"The same with {result['processes']} processes on both sides, over copies of all photos in files of their own; whole commands, from",
        f"the start of Python to the end, {ROUNDS} interleaved rounds:",
        "",
        *table(
            ["face model", "photos", "`manage.py enroll`, photos/s", "bare loop, photos/s", "enrolment / bare loop"],
            [
                [model, race["photos"], spread(race["ours"]), spread(race["bare"]), spread(race["ratio"])]
                for model, race in result["races"].items()
            ],
        ),
        *[line for model, why in result["left_out"].items() for line in ("", f"{model} was left out: {why}")],
    ]
