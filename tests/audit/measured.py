"""An agency with one published evaluation of the default face model on generated people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audit import evaluation_work, evaluations
from audit.models import Evaluation
from tests import kits, run
from tests.people import Cast

PEOPLE, PHOTOS = 16, 2


def manifest() -> Path:
    """The photos that the kit's evaluation measures; drawn once a run."""
    from core.portraits.sets import render_set

    return render_set(run.HOME / "portraits", PEOPLE, PHOTOS, manifest="measured.csv", processes=1)


def measure(cast: Cast, photos: Path, **changes: Any) -> Evaluation:
    """Measures and publishes under the demonstration's acceptance policy."""
    wanted: dict[str, Any] = {
        "by": cast.carl,
        "manifest": photos,
        "cohorts": ("cohort",),
        "acceptance_policy": "demo",
        "target_fmr": 0.01,
        "generated_people": True,
        "label_source": "assigned",
        "here": True,
    }
    return evaluation_work.run_here(evaluations.start(**wanted | changes))


def _build(made: kits.Made) -> kits.Made:
    return {"evaluation": measure(made["cast"], manifest()).pk}


KIT = kits.Kit("measured", _build, base=kits.CAST)


def of(database: kits.Clone) -> Evaluation:
    """The kit's evaluation in a clone; its files are the clone's own."""
    evaluation = Evaluation.objects.get(pk=database.made["evaluation"])
    evaluation.folder = str(database.home / "evaluations" / Path(evaluation.folder).name)
    evaluation.save(update_fields=["folder"])
    return evaluation


def downloaded(response: Any) -> bytes:
    """The bytes of an answer that is a file, which is closed afterwards."""
    try:
        return b"".join(response.streaming_content)
    finally:
        response.close()
