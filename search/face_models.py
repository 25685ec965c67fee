"""The face models of this installation: which there are, which were used, and whose licence somebody answers for."""

from __future__ import annotations

import re

from django.db import transaction
from django.utils import timezone

from audit.log import journal
from core import state
from core.exceptions import Conflict, NotFound
from core.faces import registry
from core.faces.engines import Engine, UnusableModel
from core.models import User
from core.permissions import signature
from core.person_roles import Permission
from search import permissions
from search.models import FaceModel

DEFAULT = registry.DEFAULT
PERMISSIVE = "permissive"
_HASH = re.compile(r"[0-9a-f]{64}")


def records() -> list[registry.ModelRecord]:
    """Every face model that could be loaded here; reading this loads none."""
    return registry.available(state.models_dir())


def current_names() -> list[str]:
    """The names of the face models that can be used here, the default first."""
    return [record.name for record in records() if record.problem is None]


def engine(name_or_hash: str = DEFAULT) -> Engine:
    """The loaded engine of a face model, named or by the hash under which it was registered: workers and commands only.

    Raises NotFound for a hash that is not registered, UnusableModel when the files here are another model than that.
    """
    if _HASH.fullmatch(name_or_hash) is None:
        return registry.engine(name_or_hash, state.models_dir())
    return verified(registry.engine(by_hash(name_or_hash).name, state.models_dir()), name_or_hash)


def verified(loaded: Engine, hash_: str) -> Engine:
    """The engine, if it is the face model with this hash. Raises UnusableModel."""
    if loaded.identity().hash != hash_:
        raise UnusableModel(
            "other_model",
            f"The files of the face model {loaded.identity().name} were changed: scores would not compare. "
            "Restore them, or register a new gallery edition.",
        )
    return loaded


def by_hash(hash_: str) -> FaceModel:
    """The registered face model. Raises NotFound."""
    try:
        return FaceModel.objects.get(hash=hash_)
    except FaceModel.DoesNotExist:
        raise NotFound("This face model was never registered here.") from None


def named(name_or_hash: str) -> FaceModel:
    """The record of a face model: by hash one that was registered, by name one whose files are here (they are loaded).

    Raises NotFound, UnusableModel.
    """
    return by_hash(name_or_hash) if _HASH.fullmatch(name_or_hash) else register(engine(name_or_hash))


def register(loaded: Engine) -> FaceModel:
    """The record of a loaded engine, made when it is met for the first time.

    A licence that changed since takes an acknowledgement away.
    """
    identity = loaded.identity()
    with transaction.atomic():
        found, created = FaceModel.objects.select_for_update().get_or_create(
            hash=identity.hash,
            defaults={
                "name": identity.name,
                "dimension": identity.dimension,
                "identity": identity.as_dict(),
                "licence_status": identity.licence_status,
            },
        )
        if not created and found.identity != identity.as_dict():
            if (found.licence_status, found.identity.get("licence")) != (identity.licence_status, identity.licence):
                found.acknowledged_by = found.acknowledged_at = None
            found.name, found.identity = identity.name, identity.as_dict()
            found.licence_status = identity.licence_status
            found.save()
    return found


def acknowledge(*, by: User, face_model: FaceModel) -> FaceModel:
    """A custodian answers for the use of a model whose licence is not permissive. Raises NotAllowed, Conflict."""
    permissions.check_can_acknowledge_licence(by)
    with transaction.atomic():
        face_model = FaceModel.objects.select_for_update().get(pk=face_model.pk)
        if face_model.licence_status == PERMISSIVE:
            raise Conflict("The licence of this face model is permissive: nothing has to be acknowledged.")
        if face_model.acknowledged_at is not None:
            raise Conflict("The licence of this face model was acknowledged already.")
        face_model.acknowledged_by, face_model.acknowledged_at = by, timezone.now()
        face_model.save()
        journal.record(
            "model:licence:acknowledged",
            model=face_model.hash,
            licence_status=face_model.licence_status,
            **signature(by, Permission.KEEP_GALLERIES),
        )
    return face_model


def check_licence(face_model: FaceModel) -> None:
    """Raises Conflict unless the licence is permissive or somebody answered for it."""
    if face_model.licence_status != PERMISSIVE and face_model.acknowledged_at is None:
        raise Conflict(
            f"The licence of the face model {face_model.name} is {face_model.licence_status}. A custodian has to "
            "acknowledge it first: `manage.py acknowledge_licence`."
        )
