"""Fifty officers at once: searches that were all approved wait for real workers, alone and beside an evaluation."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from audit import evaluations
from audit.models import Evaluation
from bench import portraits, simulated
from bench.enrolment import searchable_gallery
from bench.figures import say, table
from bench.installation import Installation
from bench.search import open_case
from core import jobs
from core.demo.story import CASE, JUSTIFICATION
from core.management.commands.serve import SEARCH_WORKERS, programs
from core.models import Job
from search import approvals, intake, requests
from search.models import Gallery, SearchRequest
from search.requests import RequestFields

TITLE = "Fifty searches at once"
MODEL: Final = "dlib"
_PATIENCE_SECONDS: Final = 900


def run(installation: Installation, *, quick: bool) -> dict[str, Any]:
    templates, searches = (2_000, 4) if quick else (300_000, 50)
    chosen = portraits.prepare(quick=quick)
    gallery = searchable_gallery(installation, MODEL, f"{templates} templates")
    say(f"crowd: enrolling {templates} random vectors")
    edition = simulated.edition_of(gallery)
    simulated.fill(installation, edition.edition, simulated.vectors(templates, 128, 5))
    open_case(installation)
    photos = [file for _, file in portraits.read(chosen.second)]
    crowds = {"alone": _crowd(installation, gallery, photos, searches)}
    with _evaluation(installation, chosen.first) as evaluation:
        crowds["beside"] = _crowd(installation, gallery, photos, searches)
        evaluation.refresh_from_db()
    return {
        "templates": templates,
        "searches": searches,
        "workers": int(SEARCH_WORKERS),
        "portraits": chosen.of,
        "crowds": crowds,
        "evaluation_chunks": Job.objects.filter(kind="evaluation_chunk", started_at__isnull=False).count(),
    }


def _crowd(installation: Installation, gallery: Gallery, photos: list[Path], count: int) -> dict[str, Any]:
    waiting = []
    for number in range(count):
        say(f"crowd: requesting and approving {number + 1} of {count}")
        waiting.append(_approved(installation, gallery, photos[number % len(photos)]))
    say("crowd: all wait; starting the workers")
    with _worker("worker"):
        until = time.monotonic() + _PATIENCE_SECONDS
        while (left := SearchRequest.objects.filter(pk__in=waiting, state__in=("ready", "running")).count()) > 0:
            if time.monotonic() > until:
                raise SystemExit(f"bench: {left} searches are not done after {_PATIENCE_SECONDS} s.")
            time.sleep(0.2)
    ran = {job.subject: job for job in Job.objects.filter(kind=requests.SEARCH, subject__in=waiting)}
    starts = {one: job.started_at for one, job in ran.items() if job.started_at is not None}
    begun = min(starts.values())
    done = SearchRequest.objects.filter(pk__in=waiting, state="done").values_list("done_at", flat=True)
    ends = sorted((at - begun).total_seconds() for at in done if at is not None)
    order = sorted(waiting, key=starts.__getitem__)
    return {
        "done": f"{len(ends)} of {count}",
        "seconds": {
            "first": ends[0],
            "p50": ends[len(ends) // 2],
            "p99": ends[int(len(ends) * 0.99)],
            "last": ends[-1],
        },
        "attempts": max(job.attempts for job in ran.values()),
        # How far a search was from its place in the order of approvals when a worker took it.
        "overtaken": max(order.index(one) - place for place, one in enumerate(waiting)),
    }


def _approved(installation: Installation, gallery: Gallery, photo: Path) -> uuid.UUID:
    users = installation.cast.users
    fields = RequestFields(
        case_number=CASE,
        purpose="identify_suspect",
        offence="robbery",
        legal_basis="fair_probability",
        justification=JUSTIFICATION,
        gallery=str(gallery.id),
        probe_kind="photo",
    )
    request = requests.fill_in(by=users["olivia"], request=requests.draft(by=users["olivia"]), fields=fields)
    request = intake.receive(by=users["olivia"], data=photo.read_bytes(), request=request, send=False)
    jobs.run(Job.objects.get(kind=intake.PROBE_CHECK, subject=request.id, state="queued").id)
    request.refresh_from_db()
    request = requests.submit(by=users["olivia"], request=request, fields=fields)
    return approvals.approve(by=users["sam"], request=request, secret=installation.secret("sam")).id


@contextlib.contextmanager
def _evaluation(installation: Installation, manifest: Path) -> Iterator[Evaluation]:
    """An evaluation that has begun to work when the block does, with a worker of its own as `manage.py serve` gives it."""
    evaluation = evaluations.start(by=installation.cast.users["carl"], manifest=manifest, acceptance_policy="demo")
    with _worker("evaluation-worker"):
        until = time.monotonic() + 60
        while not Job.objects.filter(queue="evaluation", state="running").exists():
            if time.monotonic() > until:
                raise SystemExit("bench: the evaluation does not begin.")
            time.sleep(0.1)
        yield evaluation


@contextlib.contextmanager
def _worker(name: str) -> Iterator[None]:
    """The worker of that name as `manage.py serve` starts it."""
    program = next(one for one in programs(0, demo=False) if one.name == name)
    logs = Path(settings.GLASSCASE_HOME) / "logs"
    logs.mkdir(exist_ok=True)
    with (logs / f"bench-{name}.log").open("ab") as output:
        child = subprocess.Popen(
            list(program.command),
            env={**os.environ, **program.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=settings.BASE_DIR,
        )
        try:
            yield
        finally:
            child.terminate()
            child.wait(60)


def page(result: dict[str, Any]) -> list[str]:
    names = {"alone": "searches alone", "beside": "with an evaluation at work"}
    rows = [
        [
            names[code],
            each["done"],
            *(f"{each['seconds'][one]:.1f}" for one in ("first", "p50", "p99", "last")),
            each["overtaken"],
            each["attempts"],
        ]
        for code, each in result["crowds"].items()
    ]
    return [
        f"{result['searches']} approved searches of a gallery of {result['templates']:,} templates wait when the workers of `manage.py serve` start",
        f"({result['workers']} processes for searches, one for evaluations); photos: `{result['portraits']}`. Seconds from the first start to the end of a search,",
        "receipts included: most of it is waiting for the log. The evaluation embeds photos all the while, in a queue of its own.",
        "",
        *table(
            ["", "done", "first, s", "p50, s", "p99, s", "last, s", "places overtaken at most", "attempts at most"],
            rows,
        ),
    ]
