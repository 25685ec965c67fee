"""All pairs of a benchmark set against the machine's own matrix product, against explicit pairs and against fairlearn.

Everything is measured in processes with one BLAS thread, as workers run it, so that a ratio compares like with like.
`python -m bench.comparisons TASK …` is such a process; it prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench import ROOT
from bench.figures import Figure, milliseconds, ratios, say, spread, summary, table
from bench.plots import Bar, Plot

if TYPE_CHECKING:
    from bench.installation import Installation

TITLE = "Comparing all pairs of a benchmark set"
DIMENSION = 512
PHOTOS = 5  # of each person
COHORTS = 8
THRESHOLD = 300_000
EXPLICIT_PAIRS = 400_000
SCORED_PEOPLE = 20_000
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run(installation: Installation, *, quick: bool) -> dict[str, Any]:
    images, rounds, shared, whole = (6_000, 3, 4_000, 10_000) if quick else (100_000, 7, 10_000, 100_000)
    rows = 100_000 if quick else 10_000_000
    say(f"comparisons: {rounds} rounds of one row of blocks of {images} images")
    found = _process("rounds", images, rounds)
    say("comparisons: one worker and two")
    found["workers"] = _process("workers", shared, rounds)
    say(f"comparisons: all pairs of {whole} images")
    found["whole"] = _process("whole", whole, 1)
    say(f"comparisons: a table of {rows} scores")
    found["scores"] = _process("scores", rows, 1)
    return found


def _process(task: str, images: int, rounds: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.comparisons", task, str(images), str(rounds)],
        cwd=ROOT,
        env={**os.environ, **_ONE_THREAD},
        stdout=subprocess.PIPE,
        check=True,
    )
    return dict(json.loads(done.stdout))


def _set(images: int) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """Random embeddings, five photos of each person, eight cohorts."""
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((images, DIMENSION), dtype=np.float32)
    vectors[:, :60] += (
        2 * np.repeat(rng.standard_normal((images // PHOTOS + 1, 60), dtype=np.float32), PHOTOS, 0)[:images]
    )
    people = [f"p{row // PHOTOS}" for row in range(images)]
    return vectors, people, [f"cohort {(row // PHOTOS) % COHORTS}" for row in range(images)]


def _rounds(images: int, rounds: int) -> dict[str, Any]:
    """Pairs per second of a chunk, scores per second of the bare product on the same blocks, pairs of explicit ones."""
    from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate

    from audit.fairness.chunks import compare_chunk, plan

    vectors, people, _ = _set(images)
    work = plan(people, ["everybody"] * images, thresholds=[THRESHOLD], pairs_per_chunk=1)
    arranged, chunk = work.arrange(vectors), work.chunks[0]
    first, last = work.blocks[0]
    out = np.empty((last - first, work.blocks[0][1]), np.float32)

    def product() -> None:
        for start, end in work.blocks:
            np.matmul(arranged[first:last], arranged[start:end].T, out=out[:, : end - start])

    rng = np.random.default_rng(1)
    left, right = rng.integers(0, images, EXPLICIT_PAIRS), rng.integers(0, images, EXPLICIT_PAIRS)

    def explicit() -> None:
        counts = np.zeros(20_001, np.int64)
        for start in range(0, EXPLICIT_PAIRS, 20_000):
            part = slice(start, start + 20_000)
            scores = np.einsum("ij,ij->i", arranged[left[part]], arranged[right[part]])
            counts += np.bincount((scores * 1e4 + 10_000.005).astype(np.intp), minlength=20_001)

    given = rng.random(EXPLICIT_PAIRS) > 0.99
    same, cohort = rng.random(EXPLICIT_PAIRS) > 0.5, rng.integers(0, COHORTS, EXPLICIT_PAIRS)

    def fairlearn() -> None:
        frame = MetricFrame(
            metrics={"fmr": false_positive_rate, "fnmr": false_negative_rate},
            y_true=same,
            y_pred=given,
            sensitive_features=cohort,
        )
        assert len(frame.by_group) == COHORTS

    laps: dict[str, list[float]] = {}
    scores = (last - first) * images
    for number in range(rounds + 1):
        lap = {
            "chunk": chunk.pairs / milliseconds(lambda: compare_chunk(arranged, work, chunk)),
            "product": scores / milliseconds(product),
            "explicit": EXPLICIT_PAIRS / milliseconds(explicit),
            "fairlearn": EXPLICIT_PAIRS / milliseconds(fairlearn),
        }
        if number:  # round 0 warms everything up
            for name, value in lap.items():
                laps.setdefault(name, []).append(value / 1000)
    return {
        "images": images,
        "dimension": DIMENSION,
        "million_pairs_per_second": {name: summary(values) for name, values in laps.items()},
        "ratios": {f"to_{name}": ratios(laps["chunk"], laps[name]) for name in ("product", "explicit", "fairlearn")},
    }


_here: dict[str, Any] = {}


def _prepare(images: int) -> None:
    from audit.fairness.chunks import plan

    vectors, people, cohorts = _set(images)
    _here["work"] = plan(people, cohorts, thresholds=[THRESHOLD], pairs_per_chunk=2_000_000)
    _here["vectors"] = _here["work"].arrange(vectors)
    largest = max(last - first for first, last in _here["work"].blocks)
    _here["out"] = np.empty((largest, largest), np.float32)


def _chunk(number: int) -> int:
    from audit.fairness.chunks import compare_chunk

    return len(compare_chunk(_here["vectors"], _here["work"], _here["work"].chunks[number]).to_bytes())


def _product(number: int) -> None:
    """The bare matrix product on the blocks of a chunk."""
    work, vectors = _here["work"], _here["vectors"]
    chunk = work.chunks[number]
    for row in range(chunk.first_row, chunk.last_row):
        first, last = work.blocks[row]
        for start, end in work.blocks[row:]:
            np.matmul(vectors[first:last], vectors[start:end].T, out=_here["out"][: last - first, : end - start])


def _workers(images: int, rounds: int) -> dict[str, Any]:
    """How much faster two processes are than one on the same chunks; their results go through bytes, as workers' do.

    The control is the bare product shared by the same processes: what two of them gain on this machine at all.
    """
    _prepare(images)
    numbers = range(len(_here["work"].chunks))
    laps: dict[tuple[str, int], list[float]] = {}
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, _prepare, (images,)) as one, context.Pool(2, _prepare, (images,)) as two:
        for number in range(rounds + 1):
            for what, act in (("chunk", _chunk), ("product", _product)):
                for count, pool in ((1, one), (2, two)):
                    lap = milliseconds(lambda act=act, pool=pool: pool.map(act, numbers, chunksize=1))  # type: ignore[misc]
                    if number:
                        laps.setdefault((what, count), []).append(lap)
    return {
        "chunks": len(numbers),
        "speed_up": ratios(laps["chunk", 1], laps["chunk", 2]),
        "control": ratios(laps["product", 1], laps["product", 2]),
    }


def _whole(images: int, _: int) -> dict[str, Any]:
    """Every pair of a large set, once: seconds and the process's peak memory."""
    from audit.fairness.comparisons import compare

    vectors, people, cohorts = _set(images)
    begun = time.monotonic()
    found = compare(vectors, people, cohorts, thresholds=[THRESHOLD])
    seconds = time.monotonic() - begun
    return {
        "images": images,
        "dimension": DIMENSION,
        "pairs": images * (images - 1) // 2,
        "false_matches": int(found.sums[THRESHOLD].errors.sum()),
        "seconds": round(seconds, 1),
        "million_pairs_per_second": round(images * (images - 1) / 2 / seconds / 1e6, 1),
        "peak_megabytes": _peak(),
        "embeddings_megabytes": round(vectors.nbytes / 2**20),
    }


def write_scores(path: Path, rows: int, seed: int = 1) -> None:
    """A table of scores of SCORED_PEOPLE people in COHORTS cohorts, a third of them genuine; written in pieces."""
    rng = np.random.default_rng(seed)
    with path.open("w", encoding="ascii") as out:
        out.write("score,same,cohort_a,cohort_b,id_a,id_b\n")
        for start in range(0, rows, 50_000):
            count = min(50_000, rows - start)
            a = rng.integers(0, SCORED_PEOPLE, count)
            b = np.where(rng.random(count) < 1 / 3, a, rng.integers(0, SCORED_PEOPLE, count))
            score = np.clip(rng.normal(np.where(a == b, 0.6, 0.1), 0.1), -1, 1)
            for i, j, value in zip(a.tolist(), b.tolist(), score.tolist(), strict=True):
                out.write(f"{value:.6f},{int(i == j)},cohort {i % COHORTS},cohort {j % COHORTS},p{i},p{j}\n")


def _scores(rows: int, _: int) -> dict[str, Any]:
    """A table of scores from the file to its report and back through its bundle, once: seconds and peak memory."""
    from audit.fairness.evidence import Parameters
    from audit.fairness.pairs import conclude_pairs, gather_pairs
    from audit.fairness.report import Provenance
    from audit.fairness.reproduce import reproduce
    from audit.fairness.run import write
    from audit.fairness.sets.scores import read_scores

    with tempfile.TemporaryDirectory(prefix="glasscase-scores-") as place:
        folder = Path(place)
        write_scores(folder / "scores.csv", rows)
        seconds: dict[str, float] = {}
        begun = time.monotonic()

        def lap(name: str) -> None:
            nonlocal begun
            seconds[name] = round(time.monotonic() - begun, 1)
            begun = time.monotonic()

        pairs, samples = read_scores(folder / "scores.csv", folder / "kept")
        lap("read")
        parameters = Parameters(axes=("cohort",))
        evidence = gather_pairs(pairs, parameters)
        result = conclude_pairs(evidence, parameters)
        lap("measure")
        provenance = Provenance({"name": "generated scores", "hash": "0" * 64}, generated=True)
        write(samples, result, folder / "report", provenance, evidence=evidence, started=time.monotonic())
        lap("write")
        peak = _peak()
        with (folder / "report" / "rerun.zip").open("rb") as bundle:
            compared = reproduce(bundle)[1]
        lap("reproduce")
        return {
            "rows": rows,
            "people": len(pairs.people),
            "threshold": result.threshold.value,
            "false_matches": result.overall.all_fmr.errors,
            "false_match_trials": result.overall.all_fmr.trials,
            "seconds": seconds,
            "peak_megabytes": peak,
            "peak_megabytes_reproducing": _peak(),
            "numbers_reproduced": compared,
            "table_megabytes": round((folder / "scores.csv").stat().st_size / 2**20),
            "bundle_megabytes": round((folder / "report" / "rerun.zip").stat().st_size / 2**20),
        }


def _peak() -> int:
    """The most memory that this process has had so far, in MB. Not from `getrusage`, which begins with the memory of whoever forked it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def plots(result: dict[str, Any]) -> list[Plot]:
    names = {
        "chunk": "all pairs, counted (ours)",
        "product": "bare matrix product",
        "explicit": "explicit pairs, counted",
        "fairlearn": "fairlearn, scores given",
    }
    rates = result["million_pairs_per_second"]
    bars = [Bar(name, rates[code], ours=code == "chunk") for code, name in names.items()]
    return [Plot("comparisons", "Pairs compared", "million pairs a second", bars)]


def page(result: dict[str, Any]) -> list[str]:
    rates: dict[str, Figure] = result["million_pairs_per_second"]
    against: dict[str, Figure] = result["ratios"]
    whole, workers = result["whole"], result["workers"]
    rows = [
        ("all pairs, counted (ours)", spread(rates["chunk"]), "1"),
        ("the bare float32 matrix product on the same blocks", spread(rates["product"]), spread(against["to_product"])),
        ("explicit pairs in blocks, counted", spread(rates["explicit"]), spread(against["to_explicit"])),
        ("fairlearn, on scores that are given", spread(rates["fairlearn"]), spread(against["to_fairlearn"])),
    ]
    return [
        f"{result['images']:,} embeddings of {result['dimension']} dimensions, one BLAS thread each. fairlearn computes no",
        "score: it is given the outcome of each pair, so its line is another job and stands here for scale.",
        "",
        *table(("", "million pairs a second", "ours divided by it"), rows),
        "",
        f"Two workers do the same chunks {spread(workers['speed_up'])} times as fast as one.",
        *(
            [f"The control in the same rounds: of the bare product of these chunks {spread(workers['control'])} times."]
            if "control" in workers
            else ()
        ),
        "",
        f"All {whole['pairs']:,} pairs of {whole['images']:,} images: {whole['seconds']:,} s in one process with one thread, "
        f"{whole['peak_megabytes']:,} MB at most, of which {2 * whole['embeddings_megabytes']:,} MB are the embeddings as given "
        "and in the order of comparison.",
        *(_of_scores(result["scores"]) if "scores" in result else ()),  # older results have none
    ]


def _of_scores(scores: dict[str, Any]) -> list[str]:
    return [
        "",
        f"A table of {scores['rows']:,} scores of {scores['people']:,} people ({scores['table_megabytes']:,} MB), one process with one "
        f"thread: read in {scores['seconds']['read']:,} s, measured in {scores['seconds']['measure']:,} s, its report written in "
        f"{scores['seconds']['write']:,} s, with {scores['peak_megabytes']:,} MB at most. Its re-run bundle "
        f"({scores['bundle_megabytes']:,} MB) gives {scores['numbers_reproduced']:,} numbers again in "
        f"{scores['seconds']['reproduce']:,} s.",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("rounds", "workers", "whole", "scores"))
    parser.add_argument("images", type=int, help="or rows of scores")
    parser.add_argument("rounds", type=int)
    chosen = parser.parse_args()
    act = {"rounds": _rounds, "workers": _workers, "whole": _whole, "scores": _scores}[chosen.task]
    print(json.dumps(act(chosen.images, chosen.rounds)))
