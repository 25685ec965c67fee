"""Something to see on every page: a case in every state, a search in every state, a draft with several faces."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone
from PIL import Image

from audit import benchmarks, evaluations, findings
from audit.models import BenchmarkSet, Evaluation, EvaluationChunk
from core import state
from core.models import Job, JobState
from core.portraits import portrait_jpeg
from search import (
    cases,
    enrolment,
    galleries,
    holds,
    intake,
    leads,
    outcomes,
    reembedding,
    requests,
    reviews,
    sub_galleries,
)
from search.models import Case, Enrolment, FaceModel, Lead, SearchRequest
from search.outcome_rules import OutcomeFields
from search.proposals import Signature
from tests.audit import measured
from tests.people import Cast
from tests.search.reviewing import decided
from tests.search.stage import OTHER_STORY, PEOPLE, STRANGER, Stage

WATCHING = (
    "Somebody threw a stone through the window of the town hall during the demonstration on Saturday. The photo shows "
    "people who attended the protest march against the new road; we want to know who took part in the rally and who "
    "spoke there, so that we can talk to each of them."
)


@dataclass
class World:
    stage: Stage
    unconfirmed: Case
    closed: Case
    reports: list[Evaluation]
    benchmark: BenchmarkSet
    searches: dict[str, SearchRequest] = field(default_factory=dict)
    lead: Lead | None = None
    reembedding: Enrolment | None = None
    runs: dict[str, Evaluation] = field(default_factory=dict)

    @property
    def cast(self) -> Cast:
        return self.stage.cast


def several_faces() -> bytes:
    """JPEG with three people side by side."""
    parts = [Image.open(io.BytesIO(portrait_jpeg(person, 1))).convert("RGB") for person in PEOPLE]
    height = min(part.height for part in parts)
    row = Image.new("RGB", (sum(part.width for part in parts), height))
    at = 0
    for part in parts:
        row.paste(part.crop((0, 0, part.width, height)), (at, 0))
        at += part.width
    written = io.BytesIO()
    row.save(written, "JPEG", quality=92)
    return written.getvalue()


def _benchmark(cast: Cast) -> BenchmarkSet:
    """A frozen set of four photos, of which one row is left out."""
    folder = state.directory("drawn")
    lines = ["person_id,file,sex"]
    for number, person in enumerate(PEOPLE[:2]):
        for shot in (1, 2):
            (folder / f"{number}-{shot}.jpg").write_bytes(portrait_jpeg(person, shot))
            lines.append(f"P{number},{number}-{shot}.jpg,{'female' if number else 'male'}")
    (folder / "set.csv").write_text("\n".join([*lines, "P9,gone.jpg,female"]) + "\n", encoding="utf-8")
    return benchmarks.add(
        by=cast.carl,
        name="drawn",
        layout="manifest",
        source=folder / "set.csv",
        licence="Ours",
        citation="Drawn by this programme",
        label_source="assigned",
    )


def _runs(cast: Cast, benchmark: BenchmarkSet) -> dict[str, Evaluation]:
    """An evaluation in each state that a page shows, without a worker."""

    def started(title: str) -> Evaluation:
        made = evaluations.start(by=cast.carl, benchmark=benchmark, title=title, cohorts=("sex",))
        Job.objects.filter(subject=made.id).update(state=JobState.DONE)
        return made

    running = started("Running")
    for number, size in enumerate((40, 24)):
        done = timezone.now() if number == 0 else None
        EvaluationChunk.objects.create(
            evaluation=running, stage="embed", number=number, first=0, last=size, items=size, done_at=done
        )
    first = running.chunks.get(number=0)
    Job.objects.create(
        kind="evaluation_chunk",
        subject=first.id,
        queue="evaluation",
        state=JobState.DONE,
        started_at=timezone.now() - timedelta(seconds=20),
    )
    paused = started("Paused")
    evaluations.pause(by=cast.carl, evaluation=paused)
    failed = started("Failed")
    failed.stopped_as, failed.problem = "failed", "No row of set.csv can be used."
    failed.save()
    return {"running": running, "paused": paused, "failed": failed}


def _paused_reembedding(stage: Stage) -> Enrolment:
    """A second edition of the gallery, and the reading of its photos for that one, paused."""
    cast = stage.cast
    newer = FaceModel.objects.create(
        hash="e" * 64, name="newer", dimension=512, identity={}, licence_status="permissive"
    )
    secrets = cast.secrets
    galleries.register_edition(
        by=cast.carl, gallery=stage.gallery, face_model=newer, approver=cast.sam, secret=secrets[cast.sam.id]
    )
    signatures = [Signature(one, secrets[one.id]) for one in (cast.sam, cast.sue)]
    run = reembedding.start(by=cast.carl, gallery=stage.gallery, face_model=newer, signatures=signatures)
    enrolment.pause(by=cast.carl, enrolment=run)
    return run


def build(stage: Stage) -> World:
    """Around the stage what the pages show; needs a running log. Takes some seconds: faces are really found and searched."""
    cast = stage.cast
    unconfirmed = cases.open_case(by=cast.oscar, number="2026-00163", offence="arson_occupied")
    closed = cases.open_case(by=cast.sam, number="2025-01178", offence="kidnapping", officers=[cast.olivia, cast.oscar])
    cases.close(by=cast.sam, case=closed)
    # Measured once, published twice: the second stands for the same set measured again later.
    first = measured.measure(cast, measured.manifest())
    again = measured.measure(cast, measured.manifest(), title="Measured again")
    benchmark = _benchmark(cast)
    world = World(stage, unconfirmed, closed, [first, again], benchmark, runs=_runs(cast, benchmark))
    findings.file(by=cast.bea, text="The set has sixteen people: nothing can be shown with so few.", evaluation=first)
    answered = findings.file(by=cast.bea, text="The report does not say who drew the portraits.")
    findings.close(by=cast.bea, finding=answered, resolution="The program is named in its provenance.")
    # A part of the gallery that can be searched alone: the form offers it, the gallery's page lists it.
    sub_galleries.define(
        by=cast.carl,
        gallery=stage.gallery,
        name="washington-county",
        matches=["county:washington", "sex:female", "sex:male"],
        approver=cast.sam,
        secret=cast.secrets[cast.sam.id],
    )
    found = world.searches
    found["done"] = stage.done()
    found["nobody"] = stage.done(STRANGER, justification=OTHER_STORY)
    found["agreed"] = stage.done(PEOPLE[1])
    found["released"] = stage.done(PEOPLE[2])
    for name in ("agreed", "released"):
        for examiner in (cast.erin, cast.ed):
            decided(examiner, found[name], note="The ears agree in every fold." if examiner == cast.ed else "")
    [world.lead] = leads.release(
        by=cast.sue,
        request=found["released"],
        templates=reviews.agreed(found["released"]),
        note="Known in the quarter.",
    )
    outcomes.record(
        by=cast.olivia,
        lead=world.lead,
        fields=OutcomeFields(truth="not_known", procedure="arrest", note="That evening."),
    )
    found["waiting"] = stage.submitted(PEOPLE[1])
    found["held"] = stage.submitted(PEOPLE[2], justification=WATCHING)
    found["upheld"] = holds.uphold(
        by=cast.cora, request=stage.submitted(PEOPLE[2], justification=WATCHING), note="A march is no crime."
    )
    found["emergency"] = stage.submitted(PEOPLE[1], purpose="imminent_threat", emergency=True)
    found["withdrawn"] = requests.withdraw(by=cast.olivia, request=stage.submitted(PEOPLE[2]))
    found["several"] = stage.drafted(data=several_faces())
    requests.fill_in(by=cast.olivia, request=found["several"], fields=stage.fields())
    requests.attach(
        by=cast.olivia, request=found["several"], kind="other", name="witness statement.pdf", data=b"%PDF-1.4\n%%EOF\n"
    )
    world.reembedding = _paused_reembedding(stage)
    found["empty"] = requests.draft(by=cast.olivia)
    found["checking"] = intake.receive(by=cast.olivia, data=portrait_jpeg(PEOPLE[0], 1), send=False)
    return world
