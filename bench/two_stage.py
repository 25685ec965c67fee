"""Searches in two stages behind the gate against the gate's exact scan and faiss on the same vectors; and what they lose.

Simulated embeddings: random unit vectors, and beside them one planted candidate for each of many probes, with a cosine spread
evenly over [T, T + 0.05]. `BENCH_LARGE=1` adds ten million templates, without faiss, whose vectors would need 20 GB.
"""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass
from functools import partial
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector

from bench import gated, simulated
from bench.figures import milliseconds, ratios, say, spread, summary, table
from bench.installation import Installation
from search import cut
from search.gate import client

TITLE = "A search in two stages"
DIMENSION = 512
THRESHOLD = 400_000
K = 20
SLICE = 250_000
LARGE = 10_000_000
_MILLION = 1_000_000


@dataclass(frozen=True)
class _Gallery:
    """A coded edition; `index` is faiss' of the same vectors, where it was asked for."""

    edition: gated.Edition
    probes: NDArray[np.float32]
    planted: list[uuid.UUID]
    index: Any
    loading: float
    coding: float


def run(installation: Installation, *, quick: bool) -> dict[str, Any]:
    sizes = [5_000] if quick else [300_000, _MILLION]
    if os.environ.get("BENCH_LARGE"):
        sizes.append(LARGE)
    rounds, planted = (5, 300) if quick else (21, 10_000)
    faiss.omp_set_num_threads(1)
    return {
        "rounds": rounds,
        "sizes": [_size(installation, size, planted, rounds, peers=size < LARGE) for size in sizes],
    }


def _size(installation: Installation, people: int, planted: int, rounds: int, *, peers: bool) -> dict[str, Any]:
    here = _gallery(installation, people, planted, peers=peers)
    probes = here.probes[: rounds + 1]
    two = gated.bound(installation, here.edition, list(probes), threshold=THRESHOLD, k=K)
    one = gated.bound(installation, here.edition, list(probes), threshold=THRESHOLD, k=K)
    client.warm(installation.app, here.edition.edition)
    laps: dict[str, list[float]] = {}
    for number, probe in enumerate(probes):
        say(f"two_stage: {people} templates, round {number + 1} of {len(probes)}")
        lap = {}
        for name, search, least in (("two_stage", two[number], 1), ("exact", one[number], 0)):
            installation.superuser.execute("UPDATE gate.setting SET value = %s WHERE name = 'two_stage_from'", [least])
            lap[name] = milliseconds(partial(client.execute, installation.app, search.request, search.claim_secret))
        if here.index is not None:
            lap["faiss"] = milliseconds(partial(here.index.search, probe[None], K))
        if number:  # round 0 warms everything up
            for name, value in lap.items():
                laps.setdefault(name, []).append(value)
    found = gated.candidates(installation, two)
    methods = installation.app.execute(
        "SELECT count(*) FROM log.entry WHERE type = 'search:result:stored' AND request = ANY (%s)"
        " AND convert_from(body, 'UTF8')::jsonb ->> 'method' = 'two_stage'",
        [[search.request for search in two]],
    ).fetchone()
    assert methods == (len(two),), "every one of these searches ran in two stages"
    hit = sum(
        planted in {candidate.template for candidate in each}
        for each, planted in zip(found, here.planted, strict=False)
    )
    lost, limit = _losses(installation, here)
    return {
        "templates": people,
        "dimension": DIMENSION,
        "milliseconds": {name: summary(values) for name, values in laps.items()},
        "ratios": {
            f"two_stage_to_{name}": ratios(laps["two_stage"], laps[name]) for name in laps if name != "two_stage"
        },
        "loading_seconds": round(here.loading, 1),
        "coding_seconds": round(here.coding, 1),
        "share_passed": _passed(installation, here, people, probes),
        "planted": len(here.planted),
        "lost": lost,
        "planted_found_behind_the_gate": f"{hit} of {len(two)}",
        "cut": limit,
    }


def _gallery(installation: Installation, people: int, planted: int, *, peers: bool) -> _Gallery:
    edition = simulated.registered(installation, DIMENSION, threshold=THRESHOLD)
    index = faiss.IndexFlatIP(DIMENSION) if peers else None
    begun = time.monotonic()
    for first in range(0, people - planted, SLICE):
        some = simulated.vectors(min(SLICE, people - planted - first), DIMENSION, people + first)
        _load(installation, edition, some, index)
        say(f"two_stage: {first + len(some)} of {people} templates are in")
    probes = simulated.unit(np.random.default_rng(people).standard_normal((planted, DIMENSION)))
    ids = _load(installation, edition, _mates(probes, people).astype(np.float16), index)
    loading, begun = time.monotonic() - begun, time.monotonic()
    while True:
        done, whole = client.build_codes(installation.app, edition.edition, 2000)
        say(f"two_stage: coded {done} of {whole} pages")
        if done == whole:
            break
    return _Gallery(edition, probes, ids, index, loading, time.monotonic() - begun)


def _load(installation: Installation, edition: gated.Edition, some: NDArray[np.float16], index: Any) -> list[uuid.UUID]:
    if index is not None:
        index.add(some.astype(np.float32))
    return [uuid.UUID(bytes=one.tobytes()) for one in simulated.fill(installation, edition.edition, some)]


def _mates(probes: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """For each probe a unit vector whose cosine to it lies evenly in [T, T + 0.05]."""
    rng = np.random.default_rng(seed + 1)
    cosines = rng.uniform(THRESHOLD / _MILLION, THRESHOLD / _MILLION + 0.05, len(probes))[:, None]
    drawn = rng.standard_normal(probes.shape)
    others = simulated.unit(drawn - (drawn * probes).sum(axis=1, keepdims=True) * probes)
    return simulated.unit(cosines * probes + np.sqrt(1 - cosines**2) * others)


def _losses(installation: Installation, here: _Gallery) -> tuple[int, int]:
    """How many planted candidates lie beyond the cut of their own probe, and the largest cut."""
    own = installation.superuser
    own.execute("CREATE TEMP TABLE IF NOT EXISTS pair (probe public.halfvec, template uuid)")
    own.execute("TRUNCATE pair")
    with own.cursor() as cursor, cursor.copy("COPY pair FROM STDIN") as copy:
        for probe, template in zip(here.probes, here.planted, strict=True):
            copy.write_row((HalfVector(probe).to_text(), template))
    row = own.execute(
        "SELECT count(*) FILTER (WHERE (c.code OPERATOR(public.<~>) gallery.code_of(%(edition)s, p.probe)::bit(1280)) > limits.cut),"
        " count(*), max(limits.cut) FROM pair p JOIN gallery.code_of_template c ON c.edition = %(edition)s AND c.template = p.template"
        " CROSS JOIN LATERAL (SELECT gallery.cut_of(%(edition)s, p.probe, %(threshold)s, %(loss)s) AS cut) limits",
        {"edition": here.edition.edition, "threshold": THRESHOLD, "loss": cut.LOSS},
    ).fetchone()
    assert row is not None
    assert row[1] == len(here.planted)
    return int(row[0]), int(row[2])


def _passed(installation: Installation, here: _Gallery, people: int, probes: NDArray[np.float32]) -> dict[str, float]:
    """The share of the edition within the cut, over the probes of the rounds."""
    shares = []
    for probe in probes:
        row = installation.superuser.execute(
            "SELECT cardinality(gallery.shortlist(%(edition)s, %(probe)s,"
            " gallery.cut_of(%(edition)s, %(probe)s, %(threshold)s, %(loss)s)))",
            {
                "edition": here.edition.edition,
                "probe": HalfVector(probe).to_text(),
                "threshold": THRESHOLD,
                "loss": cut.LOSS,
            },
        ).fetchone()
        assert row is not None
        shares.append(row[0] / people)
    return summary(shares, digits=6)


def page(result: dict[str, Any]) -> list[str]:
    rows = []
    for each in result["sizes"]:
        times, shares = each["milliseconds"], each["ratios"]
        rows.append(
            [
                f"{each['templates']:,}",
                *(spread(times[name]) if name in times else "–" for name in ("two_stage", "exact", "faiss")),
                *(
                    f"{shares[f'two_stage_to_{name}']['median']:g}" if name in times else "–"
                    for name in ("exact", "faiss")
                ),
                f"{each['share_passed']['median']:.3%}",
                f"{each['lost']} of {each['planted']:,}",
                f"{each['loading_seconds']:g}",
                f"{each['coding_seconds']:g}",
            ]
        )
    return [
        f"`gate.execute` from threshold {THRESHOLD / 1e6:g} over simulated embeddings of {DIMENSION} dimensions, in two stages (ADR 0025) and exact,",
        "each with its checks, the entry of the result and one flush to disk, against faiss' `IndexFlatIP` with one thread on the same",
        f"vectors in memory. Times in ms, {result['rounds']} interleaved rounds; ratios are medians of the rounds' ratios. Lost: candidates planted",
        f"with a score evenly in [{THRESHOLD / 1e6:g}, {THRESHOLD / 1e6 + 0.05:g}], each for a probe of its own, that the first stage let go.",
        "",
        *table(
            [
                "templates",
                "two stages",
                "exact",
                "faiss",
                "two stages / exact",
                "two stages / faiss",
                "passed the cut",
                "lost",
                "loading, s",
                "codes, s",
            ],
            rows,
        ),
    ]
