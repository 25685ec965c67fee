from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from audit import benchmarks, evaluation_work, evaluations
from audit.evaluation_progress import STAGES
from audit.fairness.sets.excluded import Pair, read_excluded
from audit.fairness.sets.rows import DatasetError
from audit.models import Evaluation
from core.acting import in_full, user_from_option
from core.exceptions import Conflict, GlasscaseError, Invalid
from core.models import User

PAUSED = 3


class Command(BaseCommand):
    help = (
        "Measure a face model on labelled photos, a frozen benchmark set, or embeddings or scores that somebody else "
        "computed: false-match and false-non-match rates per cohort, and a threshold. Workers that run take chunks of "
        "the work, too. The last line is one JSON object. Exit status: 0 done, 1 failed, 3 paused by Ctrl-C or from a "
        "page (go on with --resume)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--manifest", type=Path, help="CSV with person_id, file and cohort columns")
        what.add_argument("--set", dest="benchmark", help="a frozen benchmark set (manage.py benchmarks list)")
        what.add_argument("--embeddings", type=Path, help=".npz with embeddings, person_id and cohort arrays")
        what.add_argument("--scores", type=Path, help="CSV with score,same,cohort_a,cohort_b,id_a,id_b")
        what.add_argument("--resume", type=uuid.UUID, help="go on with an evaluation that was paused, failed or killed")
        parser.add_argument(
            "--model",
            default="dlib",
            help="face model (default: dlib); for embeddings and scores a name of your choice",
        )
        parser.add_argument("--cohorts", default="", help='columns or intersections: "sex" or "sex,sex x region"')
        parser.add_argument("--out", type=Path, help="directory for the report (needed unless --resume)")
        parser.add_argument("--as", dest="acting", required=True, help="the custodian who starts it")
        parser.add_argument("--title", default="")
        parser.add_argument("--acceptance-policy", default="statutory")
        parser.add_argument("--target-fmr", type=float, default=1e-3, help="false-match rate that sets the threshold")
        parser.add_argument("--seed", type=int, default=1, help="divides the people into two halves")
        parser.add_argument("--label-source", default="not stated", choices=benchmarks.LABEL_SOURCES)
        parser.add_argument(
            "--exclude",
            type=Path,
            metavar="FILE",
            help="CSV with person_a,person_b: pairs of people whose labels a review found wrong; rates are given with and without",
        )
        parser.add_argument("--generated-people", action="store_true", help="marks every figure: not about real people")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["resume"] is None and options["out"] is None:
            raise CommandError("Name a directory for the report with --out.")
        try:
            by = user_from_option(options["acting"], "evaluate")
            evaluation = self._resumed(by, options["resume"]) if options["resume"] else self._started(by, options)
            evaluation = self._work(by, evaluation)
        except GlasscaseError as problem:
            raise CommandError(in_full(problem)) from problem
        if evaluation.state in ("failed", "cancelled"):
            raise CommandError(evaluation.problem or "The evaluation was cancelled.")
        self.stdout.write(json.dumps(_summary(evaluation)))
        if evaluation.state == "paused":
            self.stderr.write(f"Paused. Go on with: manage.py evaluate --resume {evaluation.id} --as {by.username}")
            sys.exit(PAUSED)

    def _started(self, by: User, options: dict[str, Any]) -> Evaluation:
        return evaluations.start(
            by=by,
            manifest=options["manifest"],
            embeddings=options["embeddings"],
            scores=options["scores"],
            benchmark=benchmarks.find(options["benchmark"]) if options["benchmark"] else None,
            model=options["model"],
            cohorts=tuple(part.strip() for part in options["cohorts"].split(",") if part.strip()),
            out=options["out"],
            title=options["title"],
            acceptance_policy=options["acceptance_policy"],
            target_fmr=options["target_fmr"],
            seed=options["seed"],
            label_source=options["label_source"],
            generated_people=options["generated_people"],
            excluded=_excluded(options["exclude"]),
            here=True,
        )

    def _resumed(self, by: User, identity: uuid.UUID) -> Evaluation:
        evaluation = evaluations.find(identity)
        if evaluation.state in ("paused", "failed"):
            evaluations.resume(by=by, evaluation=evaluation, here=True)
        elif evaluation.state != "running":
            raise Conflict(f"This evaluation is {evaluation.state}.")
        return evaluation

    def _work(self, by: User, evaluation: Evaluation) -> Evaluation:
        bars: dict[str, tqdm[Any]] = {}

        def show(stage: str, done: int, total: int) -> None:
            title, unit = STAGES.get(stage, (stage, "steps"))
            if stage not in bars:
                bars[stage] = tqdm(desc=title, unit=f" {unit}", file=sys.stderr, disable=None)
            bar = bars[stage]
            bar.total = total
            bar.update(done - bar.n)

        try:
            return evaluation_work.run_here(evaluation, show)
        except KeyboardInterrupt:
            evaluations.pause(by=by, evaluation=evaluation)
            return evaluation
        finally:
            for bar in bars.values():
                bar.close()


def _summary(evaluation: Evaluation) -> dict[str, Any]:
    if evaluation.state == "paused":
        return {"evaluation": str(evaluation.id), "state": evaluation.state}
    return {
        "evaluation": str(evaluation.id),
        "report": str(Path(evaluation.folder) / "report.json"),
        "sha256": evaluation.report_sha256,
        "threshold": evaluation.threshold,
        "verdict": evaluation.verdict,
    }


def _excluded(path: Path | None) -> list[Pair]:
    try:
        return [] if path is None else read_excluded(path)
    except DatasetError as problem:
        raise Invalid(str(problem)) from problem
