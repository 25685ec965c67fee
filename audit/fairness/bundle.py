"""The re-run bundle: the evidence of an evaluation under pseudonyms, its parameters and its record, as one zip file.

Whoever has it gets every number of the report again without photos, embeddings, Django or a database (`reproduce`). People
are numbered in the order in which they were compared; photos are rows of the set; nothing else names anybody. What an
evaluation of given pairs or scores is packed as is in `pair_bundle`.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from audit.fairness import pair_bundle
from audit.fairness.comparisons import Comparisons, Sums
from audit.fairness.evidence import Evidence, Parameters
from audit.fairness.identification import Searches
from audit.fairness.pairs import PairEvidence
from audit.fairness.scores import Histogram

FORMAT: Final = "glasscase/rerun-bundle/v1"
FORMAT_OF_PAIRS: Final = "glasscase/rerun-bundle/pairs/v1"
FILE: Final = "rerun.zip"
MOST_PAIRS: Final = 200_000_000  # with more of them a bundle would be larger than what is read
RECORD: Final = "report.json"
_EVIDENCE: Final = "evidence.json"
_ARRAYS: Final = "arrays/"
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file can name
_MOST_BYTES: Final = 4_000_000_000
_TAIL: Final = ("tail_scores", "tail_images", "tail_people", "genuine_scores", "genuine_images", "genuine_people")

Arrays = dict[str, npt.NDArray[Any]]


class UnusableBundle(ValueError):
    """The file is no re-run bundle; the message says why."""


def pack(evidence: Evidence | PairEvidence, parameters: Parameters, record: bytes) -> bytes:
    """The bundle in memory."""
    packed = io.BytesIO()
    write(packed, evidence, parameters, record)
    return packed.getvalue()


def fits(evidence: Evidence | PairEvidence) -> bool:
    """Whether there is a bundle of it."""
    return isinstance(evidence, Evidence) or len(evidence.table) <= MOST_PAIRS


def write(out: IO[bytes], evidence: Evidence | PairEvidence, parameters: Parameters, record: bytes) -> None:
    """Write the bundle, the same to the byte for the same input. `record` is report.json."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, RECORD, record)
        if isinstance(evidence, PairEvidence):
            described = {
                "format": FORMAT_OF_PAIRS,
                "parameters": asdict(parameters),
                **pair_bundle.describe(evidence),
            }
            _add(archive, _EVIDENCE, json.dumps(described, sort_keys=True).encode())
            pair_bundle.add_columns(archive, evidence, lambda name: _member(f"{_ARRAYS}{name}"))
        else:
            _add_all_pairs(archive, evidence, parameters)


def _add_all_pairs(archive: zipfile.ZipFile, evidence: Evidence, parameters: Parameters) -> None:
    arrays: Arrays = {}
    hidden = _under_pseudonyms(evidence)
    numbered = _numbered([*evidence.reporting.people, *evidence.lost])
    excluded = [[numbered.get(person, "") for person in pair] for pair in parameters.excluded]
    described = {
        "format": FORMAT,
        "parameters": {**asdict(parameters), "excluded": [pair for pair in excluded if all(pair)]},
        "choosing": None if hidden.choosing is None else _described(hidden.choosing, "choosing", arrays),
        "reporting": _described(hidden.reporting, "reporting", arrays),
        "cohort": {division: dict(people) for division, people in hidden.cohort.items()},
        "lost": dict(hidden.lost),
        "searches": [_described_searches(one, f"searches_{n}", arrays) for n, one in enumerate(hidden.searches)],
        "chosen_on": hidden.chosen_on,
    }
    _add(archive, _EVIDENCE, json.dumps(described, sort_keys=True, indent=1).encode())
    for name, array in sorted(arrays.items()):
        _add(archive, f"{_ARRAYS}{name}.npy", _saved(array))


def unpack(data: IO[bytes]) -> tuple[Evidence | PairEvidence, Parameters, dict[str, Any], bytes]:
    """Evidence and parameters of a bundle, its record and the record's bytes. Raises UnusableBundle."""
    try:
        with zipfile.ZipFile(data) as archive:
            if sum(member.file_size for member in archive.infolist()) > _MOST_BYTES:
                raise UnusableBundle("The bundle unpacks to more than 4 GB.")
            record = archive.read(RECORD)
            described = json.loads(archive.read(_EVIDENCE))
            evidence = _evidence(archive, described)
        return evidence, _parameters(described["parameters"]), json.loads(record), record
    except (zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError, IndexError, OSError, EOFError) as problem:
        if isinstance(problem, UnusableBundle):
            raise
        raise UnusableBundle(f"This is no whole re-run bundle: {type(problem).__name__} {problem}.") from problem


def _evidence(archive: zipfile.ZipFile, described: Mapping[str, Any]) -> Evidence | PairEvidence:
    if described["format"] == FORMAT_OF_PAIRS:
        return pair_bundle.read(archive, described, _ARRAYS)
    if described["format"] != FORMAT:
        raise UnusableBundle(f"The bundle has the format {described['format']!r}; this program reads {FORMAT!r}.")
    arrays = {
        name.removeprefix(_ARRAYS).removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
        for name in archive.namelist()
        if name.startswith(_ARRAYS)
    }
    return Evidence(
        None if described["choosing"] is None else _comparisons(described["choosing"], "choosing", arrays),
        _comparisons(described["reporting"], "reporting", arrays),
        described["cohort"],
        described["lost"],
        tuple(_searches(one, f"searches_{n}", arrays) for n, one in enumerate(described["searches"])),
        described["chosen_on"],
    )


def _under_pseudonyms(evidence: Evidence) -> Evidence:
    named = _numbered([*evidence.reporting.people, *evidence.lost])
    choosing = evidence.choosing
    return Evidence(
        None if choosing is None else replace(choosing, people=tuple(f"c{n}" for n in range(len(choosing.people)))),
        replace(evidence.reporting, people=tuple(named[person] for person in evidence.reporting.people)),
        {
            division: {named[person]: name for person, name in people.items() if person in named}
            for division, people in evidence.cohort.items()
        },
        {named[person]: photos for person, photos in evidence.lost.items()},
        tuple(
            replace(
                one,
                enrolled=tuple(map(named.__getitem__, one.enrolled)),
                people=tuple(map(named.__getitem__, one.people)),
            )
            for one in evidence.searches
        ),
        evidence.chosen_on,
    )


def _numbered(people: Iterable[str]) -> dict[str, str]:
    return {person: f"p{number}" for number, person in enumerate(dict.fromkeys(people))}


def _described(found: Comparisons, name: str, arrays: Arrays) -> dict[str, Any]:
    for field in ("cohort_of", "images_of", *_TAIL):
        arrays[f"{name}_{field}"] = getattr(found, field)
    for threshold, sums in found.sums.items():
        for field in ("pairs", "errors", "false_non_matches"):
            arrays[f"{name}_sums_{threshold}_{field}"] = getattr(sums, field)
    return {
        "people": list(found.people),
        "cohorts": list(found.cohorts),
        "impostor": [
            [*pair, _histogram(each, f"{name}_impostor_{pair[0]}_{pair[1]}", arrays)]
            for pair, each in sorted(found.impostor.items())
        ],
        "genuine": [_histogram(each, f"{name}_genuine_{n}", arrays) for n, each in enumerate(found.genuine)],
        "tail_exact_from": found.tail_exact_from,
        "genuine_exact_to": found.genuine_exact_to,
        "sums": {str(threshold): sums.near for threshold, sums in found.sums.items()},
    }


def _histogram(found: Histogram, name: str, arrays: Arrays) -> int:
    # Merged from chunks or counted at once: the same counts are the same bytes.
    trimmed = Histogram.of(found.dense())
    arrays[name] = trimmed.counts
    return trimmed.first


def _comparisons(described: Mapping[str, Any], name: str, arrays: Arrays) -> Comparisons:
    return Comparisons(
        people=tuple(described["people"]),
        cohorts=tuple(described["cohorts"]),
        impostor={
            (a, b): Histogram(first, arrays[f"{name}_impostor_{a}_{b}"]) for a, b, first in described["impostor"]
        },
        genuine=tuple(Histogram(first, arrays[f"{name}_genuine_{n}"]) for n, first in enumerate(described["genuine"])),
        tail_exact_from=described["tail_exact_from"],
        genuine_exact_to=described["genuine_exact_to"],
        sums={
            int(threshold): Sums(
                int(threshold),
                arrays[f"{name}_sums_{threshold}_pairs"],
                arrays[f"{name}_sums_{threshold}_errors"],
                arrays[f"{name}_sums_{threshold}_false_non_matches"],
                near,
            )
            for threshold, near in described["sums"].items()
        },
        **{field: arrays[f"{name}_{field}"] for field in ("cohort_of", "images_of", *_TAIL)},
    )


_SEARCHES: Final = ("mated", "mate_score", "mate_rank", "best_other")


def _described_searches(found: Searches, name: str, arrays: Arrays) -> dict[str, Any]:
    for field in _SEARCHES:
        arrays[f"{name}_{field}"] = getattr(found, field)
    return {
        "name": found.name,
        "enrolled": list(found.enrolled),
        "people": list(found.people),
        "longest": found.longest,
    }


def _searches(described: Mapping[str, Any], name: str, arrays: Arrays) -> Searches:
    return Searches(
        name=described["name"],
        enrolled=tuple(described["enrolled"]),
        people=tuple(described["people"]),
        longest=described["longest"],
        **{field: arrays[f"{name}_{field}"] for field in _SEARCHES},
    )


def _parameters(described: Mapping[str, Any]) -> Parameters:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in described.items()
    }
    values["excluded"] = tuple((a, b) for a, b in described["excluded"])
    return Parameters(**values)


def _saved(array: npt.NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(_member(name), data)


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _LONG_AGO)
    member.create_system = 3  # the same on every system
    member.external_attr = 0o644 << 16
    member.compress_type = zipfile.ZIP_DEFLATED
    return member
