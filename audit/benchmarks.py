"""Benchmark sets of this installation: frozen once, listed, compared again with what was frozen.

The photos stay where they are; the frozen list lies in the state directory. Nothing is ever downloaded.
"""

from __future__ import annotations

import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit import permissions
from audit.fairness.sets import freezing
from audit.fairness.sets.embeddings import read_embeddings
from audit.fairness.sets.freezing import Change
from audit.fairness.sets.layouts import LAYOUTS, Layout
from audit.fairness.sets.photos import file_sha256
from audit.fairness.sets.rows import DatasetError, LeftOut, Progress
from audit.fairness.sets.scores import read_scores
from audit.log import journal
from audit.models import BenchmarkSet
from core import state
from core.exceptions import Invalid, NotFound
from core.models import User
from core.permissions import signature
from core.person_roles import Permission

LABEL_SOURCES: Final = ("self-reported", "official record", "assigned", "not stated")
EMBEDDINGS: Final = "embeddings"
SCORES: Final = "scores"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


@dataclass(frozen=True)
class _Content:
    """What is frozen, before it has a row."""

    kind: BenchmarkSet.Kind
    sha256: str
    columns: list[str]
    people: int
    items: int
    pairs: int
    left_out: tuple[LeftOut, ...]
    notes: list[str]


def layouts() -> dict[str, str]:
    """The codes of all layouts with what they are."""
    return {one.code: one.title for one in LAYOUTS.values()} | {
        EMBEDDINGS: "Embeddings that somebody else computed: .npz with embeddings, person_id and cohort arrays",
        SCORES: "Scores of a system that nobody can look into: CSV with score,same,cohort_a,cohort_b,id_a,id_b",
    }


def add(
    *,
    by: User,
    name: str,
    layout: str,
    source: Path,
    licence: str = "",
    citation: str = "",
    label_source: str = "",
    progress: Progress | None = None,
) -> BenchmarkSet:
    """Read a set in a layout, check it row by row, and freeze it under a name. What was left out is in `left_out_file`.

    Licence, citation and label source are those of the published set unless given. Raises NotAllowed, Invalid naming
    the field.
    """
    permissions.check_can_run_evaluations(by)
    known = LAYOUTS.get(layout)
    licence, citation, label_source = _stated(known, licence, citation, label_source)
    errors: dict[str, list[str]] = {}
    if not _NAME.fullmatch(name):
        errors["name"] = ["A name has small letters, digits, - and _, at most 60 of them."]
    elif BenchmarkSet.objects.filter(name=name).exists():
        errors["name"] = [f"There is a set {name} already, and a frozen set is never changed. Choose another name."]
    if layout not in layouts():
        errors["layout"] = [f"There is no layout {layout}; there are: {', '.join(layouts())}."]
    if not licence or len(licence) > 300:
        errors["licence"] = ["State the licence under which you may use this set, in at most 300 characters."]
    if not citation or len(citation) > 500:
        errors["citation"] = ["State who made this set and where it is described, in at most 500 characters."]
    if label_source not in LABEL_SOURCES:
        errors["label_source"] = [
            f"Say where the cohort labels come from: {', '.join(LABEL_SOURCES)}. Labels predicted from faces are never "
            "accepted."
        ]
    if errors:
        raise Invalid("The set cannot be added.", errors)
    identity = uuid.uuid4()
    folder = state.directory("benchmarks") / str(identity)
    try:
        try:
            content = _freeze(name, layout, source.resolve(), folder, progress)
        except DatasetError as problem:
            raise Invalid("The set cannot be added.", {"source": [str(problem)]}) from problem
        return _record(by, identity, name, layout, source, folder, content, licence, citation, label_source)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _stated(known: Layout | None, licence: str, citation: str, label_source: str) -> tuple[str, str, str]:
    if known is None:
        return licence.strip(), citation.strip(), label_source or "not stated"
    return (
        licence.strip() or known.licence,
        citation.strip() or known.citation,
        label_source or known.label_source or "not stated",
    )


def _freeze(name: str, layout: str, source: Path, folder: Path, progress: Progress | None) -> _Content:
    if layout in (EMBEDDINGS, SCORES):
        folder.mkdir(mode=0o700, parents=True)
        return _freeze_embeddings(source, folder) if layout == EMBEDDINGS else _freeze_scores(source, folder, progress)
    listing = LAYOUTS[layout].read(source)
    frozen = freezing.freeze(name, listing, progress)
    freezing.write(frozen, folder, listing.folder)
    photos = frozen.photos
    return _Content(
        BenchmarkSet.Kind.PHOTOS,
        photos.set_hash,
        list(frozen.columns),
        len(set(photos.people)),
        len(photos.photos),
        len(frozen.pairs),
        photos.left_out,
        list(photos.notes),
    )


def _freeze_embeddings(source: Path, folder: Path) -> _Content:
    samples = read_embeddings(source)
    left_out = (*samples.left_out, *samples.failures)
    (folder / freezing.LEFT_OUT).write_bytes(freezing.left_out_csv(left_out))
    return _Content(
        BenchmarkSet.Kind.EMBEDDINGS,
        samples.set_hash,
        sorted(samples.labels),
        len(set(samples.people)),
        len(samples.people),
        0,
        left_out,
        list(samples.notes),
    )


def _freeze_scores(source: Path, folder: Path, progress: Progress | None) -> _Content:
    keep = folder / "scores.bin"
    pairs, samples = read_scores(source, keep, progress=progress)
    items = len(pairs.table)
    keep.unlink()
    (folder / freezing.LEFT_OUT).write_bytes(freezing.left_out_csv(samples.left_out))
    return _Content(
        BenchmarkSet.Kind.SCORES,
        samples.set_hash,
        list(samples.labels),
        len(samples.people),
        items,
        0,
        samples.left_out,
        list(samples.notes),
    )


def _record(
    by: User,
    identity: uuid.UUID,
    name: str,
    layout: str,
    source: Path,
    folder: Path,
    content: _Content,
    licence: str,
    citation: str,
    label_source: str,
) -> BenchmarkSet:
    try:
        with transaction.atomic():
            made = BenchmarkSet.objects.create(
                id=identity,
                name=name,
                layout=layout,
                kind=content.kind,
                source=str(source.resolve()),
                folder=str(folder),
                sha256=content.sha256,
                columns=content.columns,
                people=content.people,
                items=content.items,
                pairs=content.pairs,
                left_out=len(content.left_out),
                notes=content.notes,
                label_source=label_source,
                licence=licence,
                citation=citation,
                added_by=by,
                added_at=timezone.now(),
            )
            journal.record(
                "evaluation:set:added",
                benchmark=made.id,
                name=made.name,
                layout=made.layout,
                set=made.sha256,
                people=made.people,
                items=made.items,
                left_out=made.left_out,
                **signature(by, Permission.RUN_EVALUATIONS),
            )
    except IntegrityError as error:
        raise Invalid("The set cannot be added.", {"name": [f"There is a set {name} already."]}) from error
    return made


def find(name: str) -> BenchmarkSet:
    """The set of this name or id. Raises NotFound."""
    found = BenchmarkSet.objects.filter(name=name).first()
    if found is None:
        try:
            found = BenchmarkSet.objects.filter(id=uuid.UUID(name)).first()
        except ValueError:
            found = None
    if found is None:
        raise NotFound(f"There is no benchmark set {name}.")
    return found


def verify(*, by: User, benchmark: BenchmarkSet, progress: Progress | None = None) -> list[Change]:
    """What is no longer as it was frozen, with every file read again; the log says what was found. Raises NotAllowed."""
    permissions.check_can_run_evaluations(by)
    found = changes(benchmark, progress)
    journal.record_now(
        "evaluation:set:verified",
        benchmark=benchmark.id,
        name=benchmark.name,
        set=benchmark.sha256,
        changes=len(found),
        **signature(by, Permission.RUN_EVALUATIONS),
    )
    return found


def changes(benchmark: BenchmarkSet, progress: Progress | None = None) -> list[Change]:
    """What is no longer as it was frozen."""
    if benchmark.kind == BenchmarkSet.Kind.PHOTOS:
        return freezing.changes(Path(benchmark.folder), benchmark.sha256, progress)
    path = Path(benchmark.source)
    try:
        same = file_sha256(path) == benchmark.sha256
    except OSError as error:
        return [Change(path.name, "missing", f"{path} cannot be read: {error.strerror}.")]
    return [] if same else [Change(path.name, "changed", f"{path} has been changed since the set was frozen.")]


def left_out_file(benchmark: BenchmarkSet) -> Path:
    """The CSV file that says what was left out and why. Raises NotFound."""
    path = Path(benchmark.folder) / freezing.LEFT_OUT
    if not path.is_file():
        raise NotFound("The report of what was left out is no longer on this machine.")
    return path


def left_out_reasons(benchmark: BenchmarkSet) -> dict[str, int]:
    """How many were left out, by code."""
    counts: dict[str, int] = {}
    for _, row in freezing.read_table(left_out_file(benchmark), ("code",)).rows:
        code = row["code"] or ""
        counts[code] = counts.get(code, 0) + 1
    return dict(sorted(counts.items()))
