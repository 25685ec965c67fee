"""Reviews of labels: the photos of different people that an evaluation scored highest, seen by somebody, and what follows.

A pair that is the same person twice is an error of the set, not of the face model. It never leaves a report silently: the
evaluation is done again, and the new report has its rates with all labels and without these pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from django.core import signing
from django.db import transaction
from django.utils import timezone
from PIL import Image

from audit import evaluations, permissions, reports
from audit.fairness.sets import freezing
from audit.fairness.sets.excluded import Pair
from audit.fairness.sets.manifest import read_manifest
from audit.fairness.sets.photos import Photo, PhotoSet
from audit.fairness.sets.rows import DatasetError
from audit.log import journal
from audit.models import Evaluation, LabelReview, LabelVerdict
from core.exceptions import Conflict, Invalid, NotFound
from core.faces.decode import ONE_AT_A_TIME, UnusablePhoto, decode, encode_pixels
from core.models import User
from core.permissions import signature
from core.person_roles import Permission

PAGE_SIZE: Final = 20
SIDE: Final = 640  # pixels
_TICKETS: Final = "audit.label_reviews.photo"
_SECONDS: Final = 3600
_GONE: Final = "There are no photos to look at: "
_ALSO: Final = ", also without "

Images = tuple[int, int]


@dataclass(frozen=True)
class Side:
    """One photo of a pair. `ticket` lets the person it was made for load it while it lasts."""

    person: str
    file: str
    line: int
    ticket: str


@dataclass(frozen=True)
class LookalikePair:
    """Two photos of two people of the set, the `number`th highest score (in millionths), and what a review said last."""

    number: int
    score: int
    images: Images
    sides: tuple[Side, Side]
    verdict: str


@dataclass(frozen=True)
class Page:
    """Some of the pairs, the highest scores first. `total` counts all."""

    pairs: list[LookalikePair]
    number: int
    pages: int
    total: int

    @property
    def first(self) -> int:
        return self.pairs[0].number

    @property
    def last(self) -> int:
        return self.pairs[-1].number


def view(*, by: User, evaluation: Evaluation, page: int) -> Page:
    """A page of pairs, whose entry is in the log before any photo can be loaded.

    Raises NotAllowed, or NotFound saying why there is nothing to look at.
    """
    permissions.check_can_run_evaluations(by)
    photos, found, said = _photos(evaluation), _lookalikes(evaluation), verdicts(evaluation)
    if not found:
        raise NotFound(f"{_GONE}the record of this evaluation names no pairs of different people.")
    pages = -(-len(found) // PAGE_SIZE)
    if not 1 <= page <= pages:
        raise NotFound("There is no such page of pairs.")
    first = (page - 1) * PAGE_SIZE
    shown = found[first : first + PAGE_SIZE]
    journal.record_now(
        "evaluation:labels:viewed",
        run=evaluation.pk,
        viewer=by.pk,
        first=first + 1,
        last=first + len(shown),
        **signature(by, Permission.RUN_EVALUATIONS),
    )

    def side(row: int) -> Side:
        photo = photos.photos[row]
        ticket = signing.dumps([str(by.pk), str(evaluation.pk), row], salt=_TICKETS)
        return Side(photo.person, photo.file, photo.row, ticket)

    pairs = [
        LookalikePair(number, score, images, (side(images[0]), side(images[1])), said[images])
        for number, (score, images) in enumerate(shown, start=first + 1)
    ]
    return Page(pairs, page, pages, len(found))


def photo(*, by: User, evaluation: Evaluation, ticket: str) -> bytes:
    """JPEG of a photo that a page was made with: read again, and the one that was measured by its SHA-256.

    Raises NotAllowed, or NotFound when the ticket is not of this person, has expired, or the photo is gone or changed.
    """
    permissions.check_can_run_evaluations(by)
    try:
        whose, run, row = signing.loads(ticket, salt=_TICKETS, max_age=_SECONDS)
    except signing.BadSignature as error:
        raise NotFound("This photo was opened too long ago. Load its page again.") from error
    if (whose, run) != (str(by.pk), str(evaluation.pk)):
        raise NotFound("This photo was opened by somebody else. Load its page yourself.")
    return _picture(_photos(evaluation).photos[row])


def _picture(found: Photo) -> bytes:
    try:
        with ONE_AT_A_TIME:
            decoded = decode(found.path.read_bytes())
            if decoded.sha256 != found.sha256:
                raise NotFound("This photo is not the one that was measured: its file has been changed.")
            image = Image.fromarray(decoded.rgb, "RGB")
            image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            return encode_pixels(np.asarray(image))
    except (OSError, UnusablePhoto) as error:
        raise NotFound("This photo cannot be read any more.") from error


def save(*, by: User, evaluation: Evaluation, verdicts_by_images: Mapping[Images, str]) -> int:
    """Add what was seen; what is as it was said before adds nothing. Returns how many verdicts are new.

    Raises NotAllowed, or Invalid for pairs that are not of this evaluation or verdicts that there are not.
    """
    permissions.check_can_run_evaluations(by)
    with transaction.atomic():
        locked = Evaluation.objects.select_for_update().get(pk=evaluation.pk)
        before = verdicts(locked)
        if not verdicts_by_images.keys() <= before.keys():
            raise Invalid("These photos are not among the pairs of this evaluation. Load the page again.")
        if not set(verdicts_by_images.values()) <= set(LabelVerdict.values):
            raise Invalid("Choose one of the three answers for every pair.")
        changed = {images: said for images, said in verdicts_by_images.items() if said != before[images]}
        if not changed:
            return 0
        counts, now = Counter(changed.values()), timezone.now()
        LabelReview.objects.bulk_create(
            LabelReview(
                evaluation=locked,
                first_image=images[0],
                second_image=images[1],
                verdict=said,
                reviewed_by=by,
                reviewed_at=now,
            )
            for images, said in changed.items()
        )
        journal.record(
            "evaluation:labels:reviewed",
            run=locked.pk,
            different=counts[LabelVerdict.DIFFERENT],
            same=counts[LabelVerdict.SAME],
            unclear=counts[LabelVerdict.UNCLEAR],
            **signature(by, Permission.RUN_EVALUATIONS),
        )
    return len(changed)


def verdicts(evaluation: Evaluation) -> dict[Images, str]:
    """What was said last of each pair. What nobody looked at counts as different people, but for pairs that are left out."""
    given = {tuple(pair) for pair in evaluation.excluded}
    people = _photos(evaluation).people if given else []
    found = {
        images: str(LabelVerdict.SAME if given and _people(people, images) in given else LabelVerdict.DIFFERENT)
        for _, images in _lookalikes(evaluation)
    }
    for one in evaluation.label_reviews.order_by("reviewed_at"):
        found[one.first_image, one.second_image] = one.verdict
    return found


def wrong(evaluation: Evaluation) -> list[Pair]:
    """The pairs of people to leave out: those of whom a pair of photos is the same person, and what was left out before."""
    said, people = verdicts(evaluation), _photos(evaluation).people
    looked_at = {_people(people, images) for images in said}
    kept = {(a, b) for a, b in evaluation.excluded} - looked_at
    return sorted(kept | {_people(people, images) for images, one in said.items() if one == LabelVerdict.SAME})


def measure_again(*, by: User, evaluation: Evaluation) -> Evaluation:
    """A new evaluation on the same set with the same parameters, whose report also has rates without the wrong pairs.

    The worker that begins it refuses a face model that is not the measured one: nothing is loaded here. Raises NotAllowed,
    NotFound, Invalid, or Conflict when no pair is wrong.
    """
    permissions.check_can_run_evaluations(by)
    pairs = wrong(evaluation)
    if not pairs:
        raise Conflict("No pair was found to be the same person, so there is nothing to leave out.")
    title = evaluation.title.split(_ALSO)[0]
    noun = "pair" if len(pairs) == 1 else "pairs"
    ending = f"{_ALSO}{len(pairs)} {noun} whose labels a review found wrong"
    return evaluations.start(
        by=by,
        manifest=None if evaluation.benchmark_set else Path(evaluation.manifest),
        benchmark=evaluation.benchmark_set,
        model=evaluation.face_model_name,
        face_model=evaluation.face_model,
        cohorts=[part for part in evaluation.cohorts.split(",") if part],
        title=title[: 200 - len(ending)] + ending,
        acceptance_policy=evaluation.acceptance_policy,
        target_fmr=evaluation.target_fmr,
        seed=evaluation.seed,
        generated_people=evaluation.generated_people,
        label_source=evaluation.label_source,
        excluded=pairs,
    )


def _people(people: list[str], images: Images) -> Pair:
    a, b = (people[row] for row in images)
    return min(a, b), max(a, b)


def _lookalikes(evaluation: Evaluation) -> list[tuple[int, Images]]:
    """(score, rows of the set) of the record, the highest first."""
    found = reports.read(evaluation).content.get("lookalikes", [])
    return [(one["score"], (min(one["images"]), max(one["images"]))) for one in found]


def _photos(evaluation: Evaluation) -> PhotoSet:
    """The photos that were measured, in the order of its rows. Raises NotFound saying why they cannot be shown."""
    if evaluation.kind != Evaluation.Kind.PHOTOS:
        raise NotFound(f"{_GONE}this evaluation was made of {evaluation.get_kind_display().lower()}, not of photos.")
    benchmark = evaluation.benchmark_set
    try:
        found = (
            _frozen(Path(benchmark.folder), benchmark.sha256)
            if benchmark is not None
            else _listed(Path(evaluation.manifest), evaluation.set_hash)
        )
    except DatasetError as problem:
        raise NotFound(f"{_GONE}{str(problem)[:1].lower()}{str(problem)[1:]}") from problem
    return found


# What these return was measured, whatever became of the files since: each photo is hashed again before it is shown.
@lru_cache(maxsize=4)
def _frozen(folder: Path, sha256: str) -> PhotoSet:
    if freezing.list_sha256(folder) != sha256:
        raise DatasetError("The list of the frozen set has been changed since it was frozen.")
    return freezing.read_frozen(folder).photos


@lru_cache(maxsize=4)
def _listed(manifest: Path, set_hash: str) -> PhotoSet:
    found = read_manifest(manifest, ())
    if found.set_hash != set_hash:
        raise DatasetError("The photos or the manifest are not those that were measured.")
    return found
