"""A search from the photo to the candidates: what each step takes, and whether it finds whom it should."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import gated, portraits
from bench.enrolment import Enrolled, enrolled
from bench.figures import Stopwatch, say, spread, summary, table
from bench.installation import Installation
from bench.plots import Bar, Plot
from core import jobs
from core.demo.story import CASE, JUSTIFICATION
from core.models import Job
from search import approvals, cases, face_models, intake, life, readings, requests, trail
from search.exceptions import SearchRefused
from search.gate import client
from search.models import Case, EnrolledPhoto, SearchRequest
from search.requests import RequestFields

TITLE = "A search"
# In the order in which they are shown.
STEPS = {
    "detect": "find the faces",
    "embed": "read the chosen face",
    "bind": "bind it (`gate.bind`)",
    "receipt": "wait for the intent's and the result's receipt, check both",
    "leaf": "wait for the bound entry's place in the tree",
    "scan": "search (`gate.execute`)",
    "release": "read the candidates, waiting for the reading's own entry",
    "pictures": "decode the photo, keep the crop",
    "rest": "everything else (rows, keys, journal)",
    "overhead": "gate and log without waiting: bind, search of this small gallery, everything else",
    "total": "from the approval to the candidates",
}


def run(installation: Installation, *, quick: bool) -> dict[str, Any]:
    chosen, models = enrolled(installation, quick=quick)
    searches = 3 if quick else 12
    open_case(installation)
    probes = portraits.read(chosen.second)
    return {
        "portraits": chosen.of,
        "models": {
            name: {
                **_latency(installation, name, each, probes, searches),
                "rank_1": _rank_1(installation, each, len(probes)),
            }
            for name, each in models.items()
        },
    }


def open_case(installation: Installation) -> None:
    """The case of every search here."""
    if not Case.objects.filter(number=CASE).exists():
        users = installation.cast.users
        cases.open_case(
            by=users["sam"],
            agency=installation.cast.agency,
            number=CASE,
            offence="robbery",
            officers=[users["olivia"]],
        )


def _latency(
    installation: Installation, name: str, place: Enrolled, probes: list[tuple[str, Path]], searches: int
) -> dict[str, Any]:
    laps: dict[str, list[float]] = {}
    right = refused = 0
    for person, file in probes:
        if len(laps.get("total", ())) >= searches:
            break
        say(f"search: {name}, {len(laps.get('total', ())) + 1} of {searches}")
        try:
            lap, first = _search(installation, name, place, file)
        except SearchRefused:
            refused += 1  # the photo falls short of the limits for probes
            continue
        right += first == person
        for step, value in lap.items():
            laps.setdefault(step, []).append(value)
    return {
        "milliseconds": {step: summary(laps[step], 1) for step in STEPS},
        "refused_photos": refused,
        "right_at_rank_1": f"{right} of {len(laps['total'])}",
    }


def _search(installation: Installation, name: str, place: Enrolled, file: Path) -> tuple[dict[str, float], str]:
    """Milliseconds by step, and who is at rank 1."""
    users, watch = installation.cast.users, Stopwatch()
    engine = face_models.engine(name)
    fields = RequestFields(
        case_number=CASE,
        purpose="identify_suspect",
        offence="robbery",
        legal_basis="fair_probability",
        justification=JUSTIFICATION,
        gallery=str(place.gallery.id),
        probe_kind="photo",
    )
    request = requests.fill_in(by=users["olivia"], request=requests.draft(by=users["olivia"]), fields=fields)
    request = intake.receive(by=users["olivia"], data=file.read_bytes(), request=request, send=False)
    with watch.watching(engine, "detect", "detect"):
        _job(intake.PROBE_CHECK, request)
    request = requests.submit(by=users["olivia"], request=request, fields=fields)
    request = approvals.approve(by=users["sam"], request=request, secret=installation.secret("sam"))
    with contextlib.ExitStack() as stack:
        for owner, function, label in (
            (engine, "embed", "embed"),
            (client, "bind", "bind"),
            (client, "execute", "scan"),
            (trail, "wait", "wait"),
            (life, "_verify", "verify"),
            (life, "decode", "pictures"),
            (life, "encode_pixels", "pictures"),
        ):
            stack.enter_context(watch.watching(owner, function, label))
        begun = time.perf_counter()
        _job(requests.SEARCH, request)
        searched = time.perf_counter()
    reading = readings.open_candidates(by=users["erin"], request=request)
    ended = time.perf_counter()
    intent, leaf, result = watch.laps["wait"]
    lap = {step: sum(watch.laps[step]) for step in ("detect", "embed", "bind", "scan", "pictures")}
    lap |= {"receipt": intent + result + sum(watch.laps["verify"]), "leaf": leaf, "release": (ended - searched) * 1000}
    lap["total"] = (ended - begun) * 1000
    known = ("embed", "bind", "scan", "receipt", "leaf", "release", "pictures")
    lap["rest"] = lap["total"] - sum(lap[step] for step in known)
    lap["overhead"] = lap["bind"] + lap["scan"] + lap["rest"]
    best = reading.candidates[0].photo if reading.candidates else None
    return lap, best.person_ref if best else ""


def _job(kind: str, request: SearchRequest) -> None:
    """Works the job as a worker does."""
    row = Job.objects.get(kind=kind, subject=request.id, state="queued")
    state = jobs.run(row.id)
    request.refresh_from_db()
    if state != "done":
        raise SystemExit(f"bench: the job {kind} ended as {state}: {request.problem or row.problem}")


def _rank_1(installation: Installation, place: Enrolled, photos: int) -> str:
    """How many of the second photos find their person at rank 1 among all first photos; a photo without a face is a miss."""
    say(f"search: rank 1 of {photos} second photos")
    kept = np.load(place.probes)
    searches = gated.bound(installation, place.edition, list(kept["embeddings"]), threshold=1, k=1)
    for one in searches:
        client.execute(installation.app, one.request, one.claim_secret)
    found = gated.candidates(installation, searches)
    people = EnrolledPhoto.objects.in_bulk([each[0].template for each in found if each])
    right = sum(
        bool(each) and people[each[0].template].person_ref == person
        for each, person in zip(found, kept["people"], strict=True)
    )
    return f"{right} of {photos}"


def plots(result: dict[str, Any]) -> list[Plot]:
    return [
        Plot(
            f"search-{name}",
            f"Where a search with {name} spends its time",
            "milliseconds",
            [
                Bar(label.split(" (")[0].split(", ")[0], each["milliseconds"][step], ours=True)
                for step, label in STEPS.items()
                if step not in ("total", "overhead")
            ],
        )
        for name, each in result["models"].items()
    ]


def page(result: dict[str, Any]) -> list[str]:
    models = result["models"]
    rows = [[name, *(spread(each["milliseconds"][step]) for each in models.values())] for step, name in STEPS.items()]
    checks = [
        f"{name}: the person is at rank 1 in {each['right_at_rank_1']} of these searches, and in {each['rank_1']} searches of all second photos."
        for name, each in models.items()
    ]
    number = next(iter(models.values()))["milliseconds"]["total"]["n"]
    return [
        f"Second photos of the `{result['portraits']}` portraits against the gallery of first photos, {number:g} searches a face model, one after the other,",
        "worked in one process as a worker does, with sequencer and signer as processes of their own. Milliseconds.",
        "Faces are found when the photo is received, before the request: that is not in the total.",
        "",
        *table(["step", *models], rows),
        "",
        *checks,
    ]
