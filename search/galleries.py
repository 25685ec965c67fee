"""Galleries and their editions: why photos may be kept, how long, and under which face model they are searched."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

import psycopg
from django.db import IntegrityError, transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from audit.log import journal
from core import database, keystore
from core.exceptions import Conflict, Invalid, NotFound
from core.models import Agency, User
from core.permissions import signature
from core.person_roles import Permission
from core.shard_file import MAIN
from search import face_models, permissions, shards
from search.exceptions import gate_sentences
from search.gate import client, params
from search.models import EnrolledPhoto, FaceModel, Gallery
from search.proposals import propose
from search.vocabulary import GALLERY_BASES

LONGEST_RETENTION_DAYS: Final = 36_500
_LONGEST_NAME: Final = 80
_LONGEST_DESCRIPTION: Final = 500


def create(
    *, by: User, agency: Agency, name: str, legal_basis: str, retention_days: int, description: str = ""
) -> Gallery:
    """Create a gallery without photos; `legal_basis` is one of GALLERY_BASES. Raises NotAllowed, Invalid, Conflict."""
    permissions.check_can_keep_galleries(by, agency.code)
    name = " ".join(name.split())
    wrong: dict[str, list[str]] = {}
    if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
        wrong["name"] = [f"Give the gallery a name of 1 to {_LONGEST_NAME} characters."]
    if legal_basis not in GALLERY_BASES:
        wrong["legal_basis"] = [f"Choose why the gallery may exist: {', '.join(GALLERY_BASES)}."]
    if not 1 <= retention_days <= LONGEST_RETENTION_DAYS:
        wrong["retention_days"] = [f"Say how long photos are kept: 1 to {LONGEST_RETENTION_DAYS} days."]
    if len(description) > _LONGEST_DESCRIPTION or "\0" in description:
        wrong["description"] = [f"Describe the gallery in at most {_LONGEST_DESCRIPTION} characters."]
    if wrong:
        raise Invalid("The gallery cannot be created like this.", wrong)
    try:
        with transaction.atomic():
            gallery = Gallery.objects.create(
                agency=agency,
                name=name,
                description=description,
                legal_basis=legal_basis,
                retention_days=retention_days,
                created_by=by,
                created_at=timezone.now(),
            )
            journal.record(
                "gallery:gallery:created",
                gallery=gallery.id,
                legal_basis=legal_basis,
                retention_days=retention_days,
                vault_record=gallery.id,
                values={"name": name},
                **signature(by, Permission.KEEP_GALLERIES),
            )
    except IntegrityError:
        raise Conflict(f"There is a gallery “{name}” already. Choose another name.") from None
    return gallery


def find(name_or_id: str) -> Gallery:
    """The gallery with this name or id. Raises NotFound."""
    try:
        chosen = {"pk": uuid.UUID(name_or_id)}
    except ValueError:
        found = Gallery.objects.filter(name=name_or_id).first()
    else:
        found = Gallery.objects.filter(**chosen).first()
    if found is None:
        raise NotFound(f"There is no gallery “{name_or_id}”.")
    return found


def register_edition(*, by: User | None, gallery: Gallery, face_model: FaceModel, approver: User, secret: str) -> int:
    """Make an edition of the gallery under a face model; returns its number. The first one becomes the current one.

    Raises NotAllowed, Invalid for the secret, Conflict: among them a licence that nobody answers for.
    """
    permissions.check_can_keep_galleries(by, gallery.agency_id)
    face_models.check_licence(face_model)
    asked: dict[str, Any] = {"gallery": gallery.id, "model": face_model.hash, "dimension": face_model.dimension}

    def register(at: psycopg.Connection) -> int:
        proposal = propose(
            by=by,
            act="gallery:register_edition",
            params=params.register_edition(**asked),
            approver=approver,
            secret=secret,
            at=at,
        )
        with gate_sentences():
            return client.register_edition(at, proposal=proposal, **asked)

    for name in shards.others(gallery):
        with shards.place(name) as at:
            if all(one.model != face_model.hash for one in client.editions(at, gallery.id)):
                register(at)
    return register(database.session())


def spread(*, by: User | None, gallery: Gallery, over: Sequence[str], approver: User, secret: str) -> Gallery:
    """Fix over which servers a gallery is spread, before its first edition and for good. `over` are names of shards.

    The gate of each server keeps the list and runs no search that names another one. Raises NotAllowed, Invalid, Conflict,
    Unavailable when a shard does not answer; to be repeated then.
    """
    permissions.check_can_keep_galleries(by, gallery.agency_id)
    unknown = sorted(set(over) - set(shards.configured()))
    if unknown or not over:
        sentence = f"There is no shard {', '.join(unknown)}. Make it with `manage.py add_shard`." if unknown else ""
        raise Invalid(sentence or "Name at least one shard.", {"over": [sentence or "Name at least one shard."]})
    wanted = sorted({MAIN, *over})
    for name in (*(one for one in wanted if one != MAIN), MAIN):
        with shards.place(name) as at:
            proposal = propose(
                by=by,
                act="gate:spread_gallery",
                params=params.spread_gallery(gallery=gallery.id, shards=wanted),
                approver=approver,
                secret=secret,
                at=at,
            )
            with gate_sentences():
                client.spread_gallery(at, gallery=gallery.id, shards=wanted, proposal=proposal)
    gallery.shards = wanted
    gallery.save(update_fields=["shards"])
    return gallery


def switch_edition(
    *, by: User | None, gallery: Gallery, edition: int, approver: User, secret: str, missing: int = 0
) -> None:
    """Make another edition the one that is searched.

    `missing` is how many people will not be found any more, as the approver was told: people of the edition that is
    searched now and not in this one. Raises NotAllowed, NotFound, Invalid for the secret, Conflict when it is another number.
    """
    permissions.check_can_keep_galleries(by, gallery.agency_id)
    if all(edition != one.edition for one in editions(gallery)):
        raise NotFound("This gallery has no such edition.")
    if gallery.shards:
        raise Conflict(
            "This gallery is spread over several servers and stays under its face model. Make a new gallery for another one."
        )
    really = people_missing(gallery, edition)
    if really != missing:
        raise Conflict(
            f"{really} people of the edition that is searched are not in edition {edition} and would not be found any "
            f"more; {missing} were named. Enrol or import what is missing, or have exactly this number approved."
        )
    wanted = params.switch_edition(gallery=gallery.id, edition=edition, missing=missing)
    proposal = propose(by=by, act="gallery:switch_edition", params=wanted, approver=approver, secret=secret)
    with gate_sentences(), transaction.atomic():
        # Nothing is started meanwhile: whoever starts an enrolment locks the gallery as well.
        Gallery.objects.select_for_update(no_key=True).get(pk=gallery.pk)
        _check_nobody_is_being_enrolled(gallery, edition)
        client.switch_edition(
            database.session(), gallery=gallery.id, edition=edition, missing=missing, proposal=proposal
        )


def _check_nobody_is_being_enrolled(gallery: Gallery, edition: int) -> None:
    """Who is still being enrolled in the edition that is searched is not counted as missing, and would be found nowhere."""
    current = current_edition(gallery)
    concerned = {edition} if current is None else {edition, current.edition}
    unfinished = gallery.enrolments.filter(edition__in=concerned, sealed_at=None, discarded_at=None).first()
    if unfinished is not None:
        raise Conflict(
            f"An enrolment into edition {unfinished.edition} is not finished. Go on with it or give it up, then switch."
        )


def check_not_retired(edition: int) -> None:
    """Raises Conflict for an edition that was searched once and is not any more: nobody would find who is enrolled there."""
    if client.is_retired(database.session(), edition):
        raise Conflict(
            f"Edition {edition} is not searched any more: nobody would find who is enrolled in it. Name the face model of "
            "the edition that is searched, or switch back first."
        )


def people_missing(gallery: Gallery, edition: int) -> int:
    """How many people of the edition that is searched would not be found in this one."""
    return client.people_missing(database.session(), gallery=gallery.id, edition=edition)


def editions(gallery: Gallery) -> list[client.Edition]:
    """Every edition of the gallery, oldest first."""
    return client.editions(database.session(), gallery.id)


def imported(gallery: Gallery) -> dict[int, int]:
    """How many templates of each edition of the main server were imported and have no photo; others are not in it."""
    among = gallery.photos.filter(has_photo=False, removed_at=None, shard="")
    return dict(among.values_list("edition").annotate(Count("template")).order_by())


def current_edition(gallery: Gallery) -> client.Edition | None:
    """The edition that is searched; its `version` is 0 until a first enrolment was sealed."""
    return next((edition for edition in editions(gallery) if edition.is_current), None)


def warm() -> None:
    """Let the database read every edition that is searched into its memory, as far as it fits."""
    with database.connect("app") as own:
        for edition in client.editions(own):
            if edition.is_current and edition.version:
                client.warm(own, edition.edition)


def edition_of(gallery: Gallery, face_model: FaceModel, shard: str = "") -> client.Edition:
    """The gallery's edition under this face model, on a shard or on the main server. Raises Conflict when it has none, Unavailable."""
    with shards.place(shard) as at:
        found = client.editions(at, gallery.id)
    for edition in found:
        if edition.model == face_model.hash:
            return edition
    raise Conflict(
        f"The gallery has no edition under the face model {face_model.name}. Register one first: "
        "`manage.py register_edition`."
    )


def person(gallery: Gallery, person_ref: str) -> uuid.UUID:
    """The id under which the agency's `person_ref` is known in this gallery: always the same one.

    Keyed, so that nobody finds a booking number by trying them all against the ids in the log.
    """
    return people(gallery, [person_ref])[person_ref]


def people(gallery: Gallery, person_refs: Iterable[str]) -> dict[str, uuid.UUID]:
    """As `person`, for many with one look into the key store."""
    key = keystore.create(gallery.id)
    digests = {
        ref: hmac.digest(key, b"glasscase/v1 person\0" + ref.encode(), hashlib.sha256) for ref in set(person_refs)
    }
    return {ref: uuid.UUID(bytes=digest[:16], version=5) for ref, digest in digests.items()}


def overdue(gallery: Gallery) -> QuerySet[EnrolledPhoto]:
    """The photos that were kept longer than the gallery's retention rule allows: they are due for removal."""
    limit = timezone.now() - timedelta(days=gallery.retention_days)
    return gallery.photos.filter(enrolled_at__lt=limit, removed_at=None).order_by("enrolled_at")
