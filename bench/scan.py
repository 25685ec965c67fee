"""The exact scan behind the gate against numpy on the same vectors and against merely counting the rows."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import gated
from bench.figures import milliseconds, ratios, say, spread, summary, table
from bench.installation import Installation, random_model
from search.gate import client, params

TITLE = "The scan of a gallery"
THRESHOLD = 400_000
K = 20
SMALL = 100
FRESH_ROUNDS = 5
# What `gallery.scan` pins for itself.
_SETTINGS = (
    "SET max_parallel_workers_per_gather = 2",
    "SET parallel_setup_cost = 0",
    "SET parallel_tuple_cost = 0",
    "SET min_parallel_table_scan_size = 0",
    "SET enable_indexscan = off",
    "SET enable_indexonlyscan = off",
    "SET enable_bitmapscan = off",
    "SET jit = off",
)
_COUNT = "SELECT count(*) FROM gallery.template WHERE edition = %s"


@dataclass(frozen=True)
class _Gallery:
    """A sealed edition of random unit vectors; `vectors` (n, d) float16 in the order of `templates`."""

    edition: gated.Edition
    templates: list[uuid.UUID]
    vectors: NDArray[np.float16]


def run(installation: Installation, *, quick: bool) -> dict[str, Any]:
    sizes = [(5_000, 128)] if quick else [(60_000, 128), (100_000, 512)]
    rounds = 5 if quick else 21
    for setting in _SETTINGS:
        installation.superuser.execute(setting)
    return {"rounds": rounds, "sizes": [_size(installation, *size, rounds) for size in sizes]}


def _size(installation: Installation, people: int, dimension: int, rounds: int) -> dict[str, Any]:
    say(f"scan: enrolling {people} random vectors of {dimension} dimensions")
    full, small = _gallery(installation, people, dimension), _gallery(installation, SMALL, dimension)
    # Each probe is a little like one enrolled vector (cosine about 0.7) and like nobody else.
    rng = np.random.default_rng(11)
    sought = rng.integers(0, people, FRESH_ROUNDS + 1 + rounds)
    probes = [_unit(full.vectors[n].astype(np.float32) + _unit(rng.standard_normal(dimension))) for n in sought]
    searches = gated.bound(installation, full.edition, probes, threshold=THRESHOLD, k=K)
    others = gated.bound(installation, small.edition, probes, threshold=THRESHOLD, k=K)
    single = full.vectors.astype(np.float32)
    laps: dict[str, list[float]] = {}
    workers: list[int] = []

    def act(probe: NDArray[np.float32], search: gated.Search, other: gated.Search) -> dict[str, float]:
        before = _launched(installation)
        gate = milliseconds(lambda: client.execute(installation.app, search.request, search.claim_secret))
        workers.append(_launched(installation) - before)
        return {
            "gate": gate,
            "gate_small": milliseconds(lambda: client.execute(installation.app, other.request, other.claim_secret)),
            "numpy_float32": milliseconds(lambda: _best(single @ probe)),
            "numpy_float16": milliseconds(lambda: _best(full.vectors.astype(np.float32) @ probe)),
            "count": milliseconds(lambda: installation.superuser.execute(_COUNT, [full.edition.edition]).fetchone()),
        }

    client.warm(installation.app, full.edition.edition)
    fresh: list[float] = []
    for number, chosen in enumerate(zip(probes, searches, others, strict=True)):
        say(f"scan: {people} x {dimension}, {number + 1} of {len(probes)}")
        if number == FRESH_ROUNDS + 1:
            # What autovacuum does a minute or so after a batch was sealed: from then on the planner knows the size.
            installation.superuser.execute(f"ANALYZE gallery.template_{full.edition.edition}")
        lap = act(*chosen)
        if number > FRESH_ROUNDS:
            for name, value in lap.items():
                laps.setdefault(name, []).append(value)
        elif number:  # round 0 warms everything up
            fresh.append(lap["gate"])
    found = gated.candidates(installation, searches)
    first = sum(
        bool(each) and each[0].template == full.templates[int(np.argmax(single @ probe))]
        for each, probe in zip(found, probes, strict=True)
    )
    scan = [all_ - fixed for all_, fixed in zip(laps["gate"], laps["gate_small"], strict=True)]
    return {
        "templates": people,
        "dimension": dimension,
        "milliseconds": {name: summary(values) for name, values in laps.items()}
        | {"scan": summary(scan), "gate_fresh": summary(fresh)},
        "ratios": {
            "gate_to_numpy_float32": ratios(laps["gate"], laps["numpy_float32"]),
            "gate_to_numpy_float16": ratios(laps["gate"], laps["numpy_float16"]),
            "gate_to_count": ratios(laps["gate"], laps["count"]),
        },
        "parallel_workers": summary(workers[FRESH_ROUNDS + 1 :]),
        "same_rank_1_as_numpy": f"{first} of {len(probes)}",
    }


def _gallery(installation: Installation, people: int, dimension: int) -> _Gallery:
    model, gallery = random_model(), uuid.uuid4()
    [proposal] = installation.proposals(
        "gallery:register_edition", params.register_edition(gallery=gallery, model=model, dimension=dimension), "sam"
    )
    edition = client.register_edition(
        installation.app, gallery=gallery, model=model, dimension=dimension, proposal=proposal
    )
    installation.adopt(model, THRESHOLD)
    vectors = np.random.default_rng(people).standard_normal((people, dimension), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    secret = secrets.token_bytes(32)
    batch = client.open_batch(installation.app, edition, hashlib.sha256(secret).digest())
    rows = _rows(edition, batch, vectors.astype(np.float16))
    statement = "COPY gallery.template (edition, batch, template, person, embedding) FROM STDIN (FORMAT binary)"
    with installation.app.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff")
    ids = [bytes(value) for value in rows["template"]]
    parts = sorted(zip(ids, (one["person"].tobytes() + one["vector"].tobytes() for one in rows), strict=True))
    digest = hashlib.sha256(b"".join(hashlib.sha256(identity + rest).digest() for identity, rest in parts)).digest()
    client.seal_batch(installation.app, edition=edition, batch=batch, secret=secret, templates=people, digest=digest)
    return _Gallery(
        gated.Edition(gallery, edition, model), [uuid.UUID(bytes=one) for one in ids], vectors.astype(np.float16)
    )


def _rows(edition: int, batch: int, vectors: NDArray[np.float16]) -> Any:
    """The rows as PostgreSQL's binary COPY wants them: each value after its length, numbers big-endian."""
    people, dimension = vectors.shape
    vector = np.dtype([("dimension", ">i2"), ("unused", ">i2"), ("values", ">f2", (dimension,))])
    columns: list[tuple[str, Any]] = [
        ("edition", ">i4"),
        ("batch", ">i4"),
        ("template", "V16"),
        ("person", "V16"),
        ("vector", vector),
    ]
    fields: list[tuple[str, Any]] = [("count", ">i2")]
    for name, kind in columns:
        fields += [(f"{name}_length", ">i4"), (name, kind)]
    rows = np.zeros(people, fields)
    rows["count"], rows["edition"], rows["batch"] = len(columns), edition, batch
    for name, kind in columns:
        rows[f"{name}_length"] = np.dtype(kind).itemsize
    for name in ("template", "person"):
        rows[name] = np.frombuffer(b"".join(uuid.uuid4().bytes for _ in range(people)), "V16")
    rows["vector"]["dimension"], rows["vector"]["values"] = dimension, vectors
    return rows


def _unit(vector: NDArray[Any]) -> NDArray[np.float32]:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _best(scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """The list that the gate makes: everything at or above the threshold, best first, at most K."""
    above = np.flatnonzero(scores >= THRESHOLD / 1e6)
    return above[np.argsort(-scores[above])][:K]


def _launched(installation: Installation) -> int:
    """Parallel workers that were launched in this database so far."""
    for connection in (installation.app, installation.superuser):
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT 1")
    row = installation.superuser.execute(
        "SELECT parallel_workers_launched FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert row is not None
    return int(row[0])


def page(result: dict[str, Any]) -> list[str]:
    rows = []
    for each in result["sizes"]:
        times, shares = each["milliseconds"], each["ratios"]
        rows.append(
            [
                f"{each['templates']:,} × {each['dimension']}",
                *(
                    spread(times[name])
                    for name in ("gate", "gate_fresh", "gate_small", "numpy_float32", "numpy_float16", "count")
                ),
                *(f"{shares[f'gate_to_{name}']['median']:g}" for name in ("numpy_float32", "numpy_float16", "count")),
            ]
        )
    workers = ", ".join(f"{each['parallel_workers']['median']:g}" for each in result["sizes"])
    agreed = ", ".join(each["same_rank_1_as_numpy"] for each in result["sizes"])
    return [
        f"`gate.execute` (its checks, the exact scan, the entry of the result, one flush to disk) from threshold {THRESHOLD / 1e6:g},",
        "against numpy on the same vectors in memory (`matrix @ probe`, then the list; float16 converted first) and against a",
        f"bare `count(*)` of the same partition. Times in ms, {result['rounds']} interleaved rounds; ratios are medians of the rounds' ratios.",
        "“Just sealed” is the same before PostgreSQL has analysed the new partition, which autovacuum does within a minute or so.",
        "",
        *table(
            [
                "templates",
                "gate",
                "gate, just sealed",
                f"gate, {SMALL} templates",
                "numpy float32",
                "numpy float16",
                "count(*)",
                "gate / float32",
                "gate / float16",
                "gate / count(*)",
            ],
            rows,
        ),
        "",
        f"Parallel workers that the gate's scan got beside the leading process (median; it asks for 2): {workers}. "
        f"Rank 1 is that of numpy: {agreed}.",
    ]
