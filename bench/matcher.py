"""The exact scan behind the gate against the exact matchers that others use, and against an approximate index."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from usearch.index import MetricKind, ScalarKind, search

from bench import gated, simulated
from bench.figures import milliseconds, ratios, say, spread, summary, table
from bench.installation import Installation
from bench.plots import Bar, Plot
from search.gate import client

TITLE = "The exact scan of a gallery"
THRESHOLD: Final = 400_000
K: Final = 20
SMALL: Final = 100
# Where an index for approximate search is built as well: that takes minutes.
_HNSW_MOST: Final = 300_000
_BREADTHS: Final = (40, 200)
NAMES: Final = {
    "gate": "`gate.execute`: checks, scan, entry, flush",
    "gate_small": f"`gate.execute` on {SMALL} templates",
    "scan": "the difference: the scan alone",
    "faiss_flat": "faiss IndexFlatIP float32, 1 thread",
    "faiss_flat_2": "faiss IndexFlatIP float32, 2 threads",
    "faiss_fp16": "faiss IndexScalarQuantizer fp16, 1 thread",
    "usearch": "usearch exact float16, 1 thread",
    "usearch_2": "usearch exact float16, 2 threads",
    "numpy": "numpy float32 (`matrix @ probe`), 1 thread",
    **{f"hnsw_{breadth}": f"pgvector HNSW halfvec, ef_search {breadth}" for breadth in _BREADTHS},
}


def run(installation: Installation, *, quick: bool) -> dict[str, Any]:
    sizes = [(5_000, 128, 5)] if quick else [(300_000, 512, 15), (1_000_000, 512, 7)]
    return {"sizes": [_size(installation, *each) for each in sizes], "instructions": _instructions()}


def _size(installation: Installation, people: int, dimension: int, rounds: int) -> dict[str, Any]:
    say(f"matcher: enrolling {people} random vectors of {dimension} dimensions")
    full = simulated.gallery(installation, people, dimension, threshold=THRESHOLD)
    small = simulated.gallery(installation, SMALL, dimension, threshold=THRESHOLD)
    sought = np.random.default_rng(11).integers(0, people, rounds + 1)
    probes = simulated.mated(full.vectors[sought], 12)
    searches = gated.bound(installation, full.edition, list(probes), threshold=THRESHOLD, k=K)
    others = gated.bound(installation, small.edition, list(probes), threshold=THRESHOLD, k=K)
    peers = _Peers(full.vectors)
    index = _Hnsw(installation, full) if people <= _HNSW_MOST else None
    client.warm(installation.app, full.edition.edition)
    laps: dict[str, list[float]] = {}
    lists: dict[str, list[list[int]]] = {}
    workers: list[int] = []
    with threadpool_limits(1):
        for number, probe in enumerate(probes):  # round 0 warms everything up
            say(f"matcher: {people} x {dimension}, round {number} of {rounds}")
            kept = _launched(installation)
            lap = {"gate": milliseconds(partial(_execute, installation, searches[number]))}
            workers.append(_launched(installation) - kept)
            lap["gate_small"] = milliseconds(partial(_execute, installation, others[number]))
            acts = peers.acts(probe) | (index.acts(probe) if index else {})
            for name, act in acts.items():
                begun = time.perf_counter()
                found = act()
                lap[name] = (time.perf_counter() - begun) * 1000
                lists.setdefault(name, []).append(found)
            if number:
                for name, value in lap.items():
                    laps.setdefault(name, []).append(value)
    laps["scan"] = [each - fixed for each, fixed in zip(laps["gate"], laps["gate_small"], strict=True)]
    listed = gated.candidates(installation, searches)
    lists["gate"] = [[full.place(each.template) for each in one] for one in listed]
    return {
        "templates": people,
        "dimension": dimension,
        "rounds": rounds,
        "milliseconds": {name: summary(values) for name, values in laps.items()},
        "to_faiss_flat": {name: ratios(values, laps["faiss_flat"]) for name, values in laps.items()},
        "found": {name: _right(name, each, lists["faiss_flat"], sought, probes, full) for name, each in lists.items()},
        "parallel_workers": summary(workers[1:]),
        "hnsw_build_seconds": index.seconds if index else None,
    }


def _execute(installation: Installation, search: gated.Search) -> None:
    client.execute(installation.app, search.request, search.claim_secret)


class _Peers:
    """The matchers in this process, over the same vectors."""

    def __init__(self, vectors: NDArray[np.float16]) -> None:
        dimension = vectors.shape[1]
        self._half, self._single = vectors, vectors.astype(np.float32)
        self._flat = faiss.IndexFlatIP(dimension)
        self._flat.add(self._single)
        self._fp16 = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        self._fp16.train(self._single[:1000])
        self._fp16.add(self._single)

    def acts(self, probe: NDArray[np.float32]) -> dict[str, Callable[[], list[int]]]:
        return {
            "faiss_flat": lambda: self._faiss(self._flat, probe, 1),
            "faiss_flat_2": lambda: self._faiss(self._flat, probe, 2),
            "faiss_fp16": lambda: self._faiss(self._fp16, probe, 1),
            "usearch": lambda: self._usearch(probe, 1),
            "usearch_2": lambda: self._usearch(probe, 2),
            "numpy": lambda: self._numpy(probe),
        }

    def _faiss(self, index: Any, probe: NDArray[np.float32], threads: int) -> list[int]:
        faiss.omp_set_num_threads(threads)
        return [int(place) for place in index.search(probe[None], K)[1][0]]

    def _usearch(self, probe: NDArray[np.float32], threads: int) -> list[int]:
        found = search(
            self._half, probe.astype(np.float16), K, MetricKind.IP, exact=True, threads=threads, dtype=ScalarKind.F16
        )
        return [int(place) for place in found.keys]

    def _numpy(self, probe: NDArray[np.float32]) -> list[int]:
        scores = self._single @ probe
        best = np.argpartition(scores, -K)[-K:]
        return [int(place) for place in best[np.argsort(-scores[best])]]


class _Hnsw:
    """pgvector's index over a copy of the vectors in a table that no gate guards: what the gate does without."""

    def __init__(self, installation: Installation, full: simulated.Gallery) -> None:
        self._run = installation.superuser.execute
        dimension = full.vectors.shape[1]
        self._run("DROP TABLE IF EXISTS bench_copy")
        self._run(f"CREATE TABLE bench_copy (n integer, e halfvec({dimension}))")
        with installation.superuser.cursor().copy("COPY bench_copy FROM STDIN") as copy:
            for number, vector in enumerate(full.vectors):
                copy.write_row((number, "[" + ",".join(map(str, vector.tolist())) + "]"))
        say("matcher: building an HNSW index (m 16, ef_construction 64): some minutes")
        for setting in ("maintenance_work_mem = '2GB'", "max_parallel_maintenance_workers = 2"):
            self._run(f"SET {setting}")
        self.seconds = round(
            milliseconds(lambda: self._run("CREATE INDEX ON bench_copy USING hnsw (e halfvec_ip_ops)")) / 1000
        )
        # So small a table would be read whole in a quick run.
        self._run("SET enable_seqscan = off")

    def acts(self, probe: NDArray[np.float32]) -> dict[str, Callable[[], list[int]]]:
        return {f"hnsw_{breadth}": partial(self._nearest, probe, breadth) for breadth in _BREADTHS}

    def _nearest(self, probe: NDArray[np.float32], breadth: int) -> list[int]:
        self._run(f"SET hnsw.ef_search = {breadth}")
        text = "[" + ",".join(map(str, probe.tolist())) + "]"
        rows = self._run(f"SELECT n FROM bench_copy ORDER BY e <#> %s::halfvec LIMIT {K}", [text]).fetchall()
        return [int(number) for (number,) in rows]


def _right(
    name: str,
    lists: list[list[int]],
    exact: list[list[int]],
    sought: NDArray[np.int64],
    probes: NDArray[np.float32],
    full: simulated.Gallery,
) -> dict[str, str]:
    """How often the mate is at rank 1, and how much of the exact list is there. The gate's list ends at the threshold."""
    if name == "gate":
        scores = [full.vectors[one].astype(np.float32) @ probe for one, probe in zip(exact, probes, strict=True)]
        exact = [
            [place for place, score in zip(one, values, strict=True) if round(float(score) * 1e6) >= THRESHOLD]
            for one, values in zip(exact, scores, strict=True)
        ]
    mates = [place for place, one in zip(sought, exact, strict=True) if place in one]
    first = sum(bool(one) and one[0] == mate for one, mate in zip(lists, sought, strict=True))
    wanted = sum(len(one) for one in exact)
    there = sum(len(set(one) & set(other)) for one, other in zip(lists, exact, strict=True))
    return {"rank_1": f"{first} of {len(mates)}", "list": f"{there} of {wanted}"}


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


def _instructions() -> str:
    """The widest vector instructions of this processor, and what faiss was built for."""
    place = Path("/proc/cpuinfo")
    flags = place.read_text(encoding="utf-8").split() if place.is_file() else []
    wide = [flag for flag in ("avx512f", "avx2", "f16c", "fma", "asimd") if flag in flags]
    return f"{platform.machine()} {' '.join(wide)}; faiss {faiss.__version__} ({faiss.get_compile_options().strip()})"


def plots(result: dict[str, Any]) -> list[Plot]:
    return [
        Plot(
            f"matcher-{each['templates']}",
            f"One probe against {each['templates']:,} templates",
            "milliseconds",
            [
                Bar(name.replace("`", ""), each["milliseconds"][code], ours=code in ("gate", "scan"))
                for code, name in NAMES.items()
                if code in each["milliseconds"] and code != "gate_small"
            ],
        )
        for each in result["sizes"]
    ]


def page(result: dict[str, Any]) -> list[str]:
    lines = [
        f"One probe at a time against simulated embeddings (unit vectors, impostor cosine 0 ± 0.044, genuine {simulated.GENUINE:g} ± {simulated.SPREAD:g}),",
        f"the best {K} at most; the gate returns what is at or above {THRESHOLD / 1e6:g}. Everybody has the same vectors, in memory. Times in",
        "milliseconds; ratios are medians of the interleaved rounds' ratios. The list column says how much of the exact list was found.",
    ]
    for each in result["sizes"]:
        rows = [
            [
                name,
                spread(each["milliseconds"][code]),
                f"{each['to_faiss_flat'][code]['median']:g}",
                each["found"].get(code, {}).get("rank_1", ""),
                each["found"].get(code, {}).get("list", ""),
            ]
            for code, name in NAMES.items()
            if code in each["milliseconds"]
        ]
        lines += ["", f"{each['templates']:,} templates × {each['dimension']} dimensions, {each['rounds']} rounds:", ""]
        lines += table(["matcher", "ms", "÷ faiss FlatIP, 1 thread", "mate at rank 1", "of the exact list"], rows)
        built = each["hnsw_build_seconds"]
        lines += [
            "",
            f"The gate's scan had {each['parallel_workers']['median']:g} parallel workers beside the leading process."
            + (f" Building the HNSW index (m 16, ef_construction 64) took {built} s." if built is not None else ""),
        ]
    return [*lines, "", f"Instructions: {result['instructions']}; {os.cpu_count()} cores."]
