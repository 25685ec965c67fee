"""`glasscase-evaluate`: computes every number of a report again from its re-run bundle and compares it with the record.

    glasscase-evaluate BUNDLE [--report FILE] [--out FILE]

`--report` is a report.json that you got elsewhere (from the page, or named by its SHA-256 in the log): the bundle's record
must be that one to the byte. `--out` writes the recomputed numbers. The last line is `OK numbers=N report=SHA-256` (exit 0)
or `FAIL: reason` (exit 1). Needs Python and numpy, and nothing of the people who made the report.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from audit.fairness.bundle import UnusableBundle, unpack
from audit.fairness.evaluation import conclude
from audit.fairness.pairs import PairEvidence, conclude_pairs
from audit.fairness.record import numbers
from audit.fairness.sets.rows import DatasetError

# Sums of floats in another order differ in their last digits; the record has ten.
_RELATIVE = 1e-8


class Different(Exception):
    """The record does not say what follows from the evidence."""


def reproduce(data: IO[bytes]) -> tuple[dict[str, Any], int, str]:
    """The recomputed numbers, how many were compared, and the SHA-256 of the bundle's record.

    Raises UnusableBundle, or Different naming the first number that differs.
    """
    evidence, parameters, record, raw = unpack(data)
    if isinstance(evidence, PairEvidence):
        result = conclude_pairs(evidence, parameters)
    else:
        result = conclude(evidence, parameters)
    found = numbers(result)
    missing = [name for name in found if name not in record]
    if missing:
        raise Different(f"the record lacks {missing[0]}")
    compared = sum(1 for _ in _compare(found, {name: record[name] for name in found}, ""))
    return found, compared, hashlib.sha256(raw).hexdigest()


def _compare(here: Any, there: Any, where: str) -> Iterator[str]:
    """The place of every number and text that was compared. Raises Different at the first that differs."""
    if isinstance(here, dict) and isinstance(there, dict):
        if here.keys() != there.keys():
            raise Different(f"{where or 'the record'} has other fields: {sorted(here.keys() ^ there.keys())}")
        for name in here:
            yield from _compare(here[name], there[name], f"{where}.{name}" if where else name)
    elif isinstance(here, list) and isinstance(there, list):
        if len(here) != len(there):
            raise Different(f"{where} has {len(there)} items in the record and {len(here)} here")
        for place, (one, other) in enumerate(zip(here, there, strict=True)):
            yield from _compare(one, other, f"{where}[{place}]")
    else:
        if not _same(here, there):
            raise Different(f"{where} is {there!r} in the record and {here!r} here")
        yield where


def _same(here: Any, there: Any) -> bool:
    if type(here) is float and type(there) in (int, float):
        return abs(here - there) <= _RELATIVE * max(abs(here), abs(there))
    return bool(here == there) and isinstance(here, bool) == isinstance(there, bool)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="glasscase-evaluate", description="Computes the numbers of a report again from its re-run bundle."
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="the file rerun.zip of a report")
    parser.add_argument("--report", metavar="FILE", help="the report.json that you were given")
    parser.add_argument("--out", metavar="FILE", help="where to write the recomputed numbers as JSON")
    arguments = parser.parse_args(argv)
    try:
        with Path(arguments.bundle).open("rb") as data:
            found, compared, digest = reproduce(data)
        if arguments.report and hashlib.sha256(Path(arguments.report).read_bytes()).hexdigest() != digest:
            raise Different(f"the bundle belongs to another record than {arguments.report}")
        if arguments.out:
            Path(arguments.out).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    except (UnusableBundle, Different, DatasetError) as problem:
        print(f"FAIL: {problem}".replace("\n", " "))
        return 1
    except OSError as problem:
        print(f"FAIL: {problem.filename} cannot be read or written: {problem.strerror}")
        return 1
    print(f"OK numbers={compared} report={digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
