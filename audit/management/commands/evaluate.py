from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from tqdm import tqdm

from audit import evaluations
from audit.fairness.evidence import Progress
from audit.models import Evaluation
from core.acting import user_from_option
from core.exceptions import GlasscaseError, Invalid


class Command(BaseCommand):
    help = "Measure a face model on labelled photos: false-match and false-non-match rates per cohort, and a threshold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--manifest", type=Path, required=True, help="CSV with person_id, file and cohort columns")
        parser.add_argument("--model", default="dlib", help="face model (default: dlib)")
        parser.add_argument("--cohorts", default="", help='columns or intersections: "sex" or "sex,sex x region"')
        parser.add_argument("--out", type=Path, required=True, help="directory for the report")
        parser.add_argument("--as", dest="acting", required=True, help="the custodian who starts it")
        parser.add_argument("--title", default="")
        parser.add_argument("--acceptance-policy", default="statutory")
        parser.add_argument("--target-fmr", type=float, default=1e-3, help="false-match rate that sets the threshold")
        parser.add_argument("--seed", type=int, default=1, help="divides the people into two halves")
        parser.add_argument("--label-source", default="not stated", choices=evaluations.LABEL_SOURCES)
        parser.add_argument("--generated-people", action="store_true", help="marks every figure: not about real people")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            by = user_from_option(options["acting"], "evaluate")
            evaluation = evaluations.start(
                by=by,
                manifest=options["manifest"],
                model=options["model"],
                cohorts=tuple(part.strip() for part in options["cohorts"].split(",") if part.strip()),
                out=options["out"],
                title=options["title"],
                acceptance_policy=options["acceptance_policy"],
                target_fmr=options["target_fmr"],
                seed=options["seed"],
                label_source=options["label_source"],
                generated_people=options["generated_people"],
                here=True,
            )
            evaluation = self._measure(evaluation)
        except GlasscaseError as problem:
            fields = problem.field_errors if isinstance(problem, Invalid) else {}
            raise CommandError(" ".join([str(problem), *(" ".join(lines) for lines in fields.values())])) from problem
        summary = {
            "evaluation": str(evaluation.id),
            "report": str(Path(evaluation.folder) / "report.json"),
            "sha256": evaluation.report_sha256,
            "threshold": evaluation.threshold,
            "verdict": evaluation.verdict,
        }
        self.stdout.write(json.dumps(summary))

    def _measure(self, evaluation: Evaluation) -> Evaluation:
        bars: dict[str, tqdm[Any]] = {}

        def show(step: Progress) -> None:
            if step.stage not in bars:
                bars[step.stage] = tqdm(total=step.total, desc=step.stage, file=self.stderr._out, disable=None)
            bar = bars[step.stage]
            bar.update(step.done - bar.n)

        try:
            return evaluations.measure(evaluation, show)
        except BaseException:
            with transaction.atomic():
                evaluations.stopped(evaluation.id, "failed")
            raise
        finally:
            for bar in bars.values():
                bar.close()
