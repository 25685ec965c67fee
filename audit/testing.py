"""Independent testing: an accredited tester sends labelled photos of their own and gets scores (RCW 43.386.040).

Off unless the installation opens it. Nothing of a set is stored, no gallery is touched, and the log names session, tester and
the size of every set before any score is given out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from fcntl import LOCK_EX, LOCK_NB, flock
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet, Sum
from django.utils import timezone

from audit import reports
from audit.log import journal
from audit.models import TestingSession
from core import state
from core.exceptions import Conflict, Invalid, NotFound, Unavailable
from core.models import User
from core.permissions import require, signature
from core.person_roles import Permission

log = structlog.get_logger(__name__)

SESSION_HOURS: Final = 24
SETS_IN_TWO_DAYS: Final = 100
_SECONDS: Final = 300
_REFUSED: Final = (
    2  # exit status of audit.fairness.scoring, which is not imported here: it would load the face models' libraries
)
_NICE: Final = ["nice", "-n", "10"]


def check_can_test(user: User) -> None:
    """Raises NotFound where testing is not open, NotAllowed for whoever is no accredited tester."""
    if not settings.GLASSCASE_TESTING_API:
        raise NotFound("This installation has not opened its face models for independent testing.")
    require(user, Permission.TEST_MODELS, "Only accredited testers may test face models.")


def open_session(*, by: User, face_model: str, purpose: str) -> TestingSession:
    """A session of 24 hours for one face model, named by the hash that its published report gives.

    Raises NotFound, NotAllowed, Invalid naming the field.
    """
    check_can_test(by)
    errors: dict[str, list[str]] = {}
    words = purpose.strip()
    if not 10 <= len(words) <= 400:
        errors["purpose"] = ["Write what is tested, in 10 to 400 characters."]
    report = reports.published(face_model=face_model).first() if face_model else None
    if report is None:
        errors["face_model"] = ["No report was published about this face model. Take its hash from a report."]
    if errors or report is None:
        raise Invalid("The session was not opened: see the fields.", errors)
    with transaction.atomic():
        session = TestingSession.objects.create(
            tester=by,
            face_model=report.face_model,
            face_model_name=report.face_model_name,
            purpose=words,
            opened_at=timezone.now(),
        )
        journal.record(
            "testing:session:opened",
            vault_record=session.pk,
            values={"purpose": words},
            session=session.pk,
            model=session.face_model,
            **signature(by, Permission.TEST_MODELS),
        )
    return session


def sessions(by: User) -> QuerySet[TestingSession]:
    """The tester's own, newest first. Raises NotFound, NotAllowed."""
    check_can_test(by)
    return TestingSession.objects.filter(tester=by).order_by("-opened_at")


def session(by: User, identity: uuid.UUID) -> TestingSession:
    """One of the tester's own. Raises NotFound, NotAllowed."""
    found = sessions(by).filter(pk=identity).first()
    if found is None:
        raise NotFound("You have no such session.")
    return found


def close_session(*, by: User, session: TestingSession) -> TestingSession:
    """End a session before its time. Raises Conflict when it is closed."""
    check_can_test(by)
    with transaction.atomic():
        changed = TestingSession.objects.filter(pk=session.pk, closed_at=None).update(closed_at=timezone.now())
        if not changed:
            raise Conflict("This session is closed already.")
        journal.record("testing:session:closed", session=session.pk, **signature(by, Permission.TEST_MODELS))
    session.refresh_from_db()
    return session


def score(*, by: User, session: TestingSession, data: bytes) -> dict[str, Any]:
    """The scores of all pairs of a set (`audit.fairness.scoring`), after the log has that they were asked for.

    Raises Invalid for a set that cannot be used, Conflict when the session is over, the day's sets are used up or another set
    is at work, Unavailable when the work takes too long.
    """
    check_can_test(by)
    now = timezone.now()
    if session.closed_at is not None or session.opened_at < now - timedelta(hours=SESSION_HOURS):
        raise Conflict("This session is over. Open another one.")
    with _alone():
        # Counted before the work, and under the lock: a set that fails has cost the same.
        used = sessions(by).filter(opened_at__gt=now - timedelta(hours=2 * SESSION_HOURS)).aggregate(Sum("sets"))
        if (used["sets__sum"] or 0) >= SETS_IN_TWO_DAYS:
            raise Conflict(f"You have sent {SETS_IN_TWO_DAYS} sets within two days. Go on tomorrow.")
        TestingSession.objects.filter(pk=session.pk).update(sets=F("sets") + 1)
        answer = _work(session, data)
        TestingSession.objects.filter(pk=session.pk).update(photos=F("photos") + answer["photos"])
        journal.record_now(
            "testing:set:scored",
            session=session.pk,
            model=session.face_model,
            photos=answer["photos"],
            extracted=answer["extracted"],
            set=hashlib.sha256(data).hexdigest(),
            **signature(by, Permission.TEST_MODELS),
        )
    return answer


def _work(session: TestingSession, data: bytes) -> dict[str, Any]:
    """Lets a process of its own do it: in memory only, gone with the process."""
    place = state.models_dir()
    command = [*_NICE, sys.executable, "-m", "audit.fairness.scoring", session.face_model_name]
    try:
        done = subprocess.run(
            [*command, *([str(place)] if place else [])],
            input=data,
            capture_output=True,
            cwd=settings.BASE_DIR,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise Unavailable("The set took too long and was dropped. Send fewer or smaller photos.") from problem
    if done.returncode not in (0, _REFUSED):
        log.error("a set of a tester could not be scored", session=str(session.pk), status=done.returncode)
        raise Unavailable("The set could not be scored. Tell the operator; nothing of it was kept.")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "problem" in answer:
        raise Invalid("The set cannot be scored.", {"set": [answer["problem"]]})
    if answer["face_model"] != session.face_model:
        raise Conflict("The face model here is not the one that the report is about any more: it was changed.")
    return answer


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One set at a time on this machine: testing must not slow searches down. Raises Conflict."""
    with (state.directory("testing") / "lock").open("a") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise Conflict("Another set is being scored. Try again in a minute.") from None
        yield
