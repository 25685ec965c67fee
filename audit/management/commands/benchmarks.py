"""`manage.py benchmarks add|list|verify`: the frozen sets on which face models are measured."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from audit import benchmarks
from audit.fairness.sets import freezing
from audit.fairness.sets.rows import Progress
from audit.models import BenchmarkSet
from core.acting import in_full, user_from_option
from core.exceptions import GlasscaseError

CHANGED = 3


class Command(BaseCommand):
    help = (
        "Freeze a benchmark set, list the frozen ones, or compare one with what was frozen. The last line is one JSON "
        "object. Exit status: 0 done, 1 failed, 3 the set is no longer as it was frozen."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        add = acts.add_parser("add", help="read a set, check it row by row and freeze it")
        add.add_argument("name", help="small letters, digits, - and _")
        add.add_argument("source", type=Path, help="the directory or file of the set as it was published")
        add.add_argument("--layout", required=True, help=f"one of: {', '.join(benchmarks.layouts())}")
        add.add_argument("--licence", default="", help="what you may do with it (default: that of the published set)")
        add.add_argument("--citation", default="", help="who made it (default: that of the published set)")
        add.add_argument("--label-source", default="", help=f"one of: {', '.join(benchmarks.LABEL_SOURCES)}")
        add.add_argument("--as", dest="acting", required=True, help="the custodian who adds it")
        acts.add_parser("list", help="the frozen sets")
        verify = acts.add_parser("verify", help="read every file again and say what changed")
        verify.add_argument("name")
        verify.add_argument("--as", dest="acting", required=True, help="the custodian who verifies it")

    def handle(self, *args: Any, **options: Any) -> None:
        act = {"add": self._add, "list": self._list, "verify": self._verify}[options["act"]]
        try:
            act(options)
        except GlasscaseError as problem:
            raise CommandError(in_full(problem)) from problem

    def _add(self, options: dict[str, Any]) -> None:
        by = user_from_option(options["acting"], "benchmarks")
        with _bar() as bar:
            made = benchmarks.add(
                by=by,
                name=options["name"],
                layout=options["layout"],
                source=options["source"],
                licence=options["licence"],
                citation=options["citation"],
                label_source=options["label_source"],
                progress=_told(bar),
            )
        for note in made.notes:
            self.stderr.write(note)
        for code, count in benchmarks.left_out_reasons(made).items():
            self.stderr.write(f"Left out, {code}: {count}")
        report = Path(made.folder) / freezing.LEFT_OUT
        self.stdout.write(json.dumps(_about(made) | {"left_out_report": str(report)}))

    def _list(self, options: dict[str, Any]) -> None:
        found = list(BenchmarkSet.objects.order_by("name"))
        for one in found:
            self.stderr.write(
                f"{one.name}: {one.get_kind_display().lower()}, {one.items} of {one.people} people. {one.licence}."
            )
        self.stdout.write(json.dumps({"sets": [_about(one) for one in found]}))

    def _verify(self, options: dict[str, Any]) -> None:
        by = user_from_option(options["acting"], "benchmarks")
        benchmark = benchmarks.find(options["name"])
        with _bar() as bar:
            found = benchmarks.verify(by=by, benchmark=benchmark, progress=_told(bar))
        for change in found[:20]:
            self.stderr.write(change.sentence)
        if len(found) > 20:
            self.stderr.write(f"… and {len(found) - 20} more changes.")
        counts = dict(Counter(change.code for change in found))
        self.stdout.write(json.dumps({"set": benchmark.name, "sha256": benchmark.sha256, "changes": counts}))
        if found:
            sys.exit(CHANGED)


def _about(one: BenchmarkSet) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "name": one.name,
        "layout": one.layout,
        "kind": one.kind,
        "sha256": one.sha256,
        "people": one.people,
        "items": one.items,
        "pairs": one.pairs,
        "left_out": one.left_out,
        "columns": one.columns,
        "label_source": one.label_source,
        "licence": one.licence,
    }


def _bar() -> tqdm[Any]:
    return tqdm(unit="photo", file=sys.stderr, disable=None)


def _told(bar: tqdm[Any]) -> Progress:
    def told(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return told
