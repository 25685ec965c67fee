"""The log: appends against plain inserts of the same rows, time to a receipt, verification, bytes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from audit.log import form, storage, verifier_keys
from audit.log.check import check_log
from audit.log.entries import Entry
from audit.log.sources import DirectorySource
from bench import gated
from bench.figures import Figure, ratios, say, spread, summary, table
from bench.installation import Installation, random_model
from bench.plots import Bar, Plot
from core import database

TITLE = "The log"
CLIENTS = (1, 8, 32)
LOAD_CLIENTS = 32
_APPEND = "SELECT log.append(%s)"
_INSERT = "INSERT INTO bench.entry (uid, type, request, at, body) VALUES (%s, 'search:intent:filed', %s, %s, %s)"


def run(installation: Installation, *, quick: bool) -> dict[str, Any]:
    rounds, each, bulk, samples, load = (2, 40, 1000, 20, 2.0) if quick else (7, 480, 20_000, 300, 20.0)
    _plain_table(installation)
    result: dict[str, Any] = {
        "entry": "search:intent:filed",
        "rounds": rounds,
        "appends": _appends(installation, rounds, each),
    }
    say(f"log: {samples} entries until their receipt")
    result["receipt_ms"] = _receipts(installation, samples)
    say(f"log: {LOAD_CLIENTS} clients for {load:g} s, and the time to the receipts of all their entries")
    result["under_load"] = _under_load(installation, load)
    say(f"log: {bulk} entries in transactions of 500")
    result["bulk_per_second"] = _bulk(installation, bulk)
    result["verification"] = _verification(installation)
    result["bytes"] = _bytes(installation)
    return result


def _plain_table(installation: Installation) -> None:
    """The shape of the log's own table, indexes and leaf hash included, without what guards it."""
    role = database.role_name("app")
    installation.superuser.execute("CREATE SCHEMA bench")
    installation.superuser.execute("CREATE TABLE bench.entry (LIKE log.entry INCLUDING ALL)")
    installation.superuser.execute(f'GRANT USAGE ON SCHEMA bench TO "{role}"')
    installation.superuser.execute(f'GRANT INSERT ON bench.entry TO "{role}"')


def _append(connection: psycopg.Connection, entry: Entry) -> None:
    connection.execute(_APPEND, [entry.body])


def _insert(connection: psycopg.Connection, entry: Entry) -> None:
    connection.execute(_INSERT, [entry.id, uuid.uuid4(), time.time_ns() // 1_000_000, entry.body])


def _appends(installation: Installation, rounds: int, each: int) -> list[dict[str, Any]]:
    found = []
    for clients in CLIENTS:
        append: list[float] = []
        insert: list[float] = []
        for number in range(rounds):
            say(f"log: {clients} client(s), round {number + 1} of {rounds}")
            # Whoever goes first alternates.
            for act, rates in [(_append, append), (_insert, insert)][:: 1 if number % 2 == 0 else -1]:
                rates.append(_rate(installation, act, clients, max(each // clients, 20)))
        found.append(
            {
                "clients": clients,
                "appends_per_second": summary(append, 0),
                "inserts_per_second": summary(insert, 0),
                "ratio": ratios(append, insert),
            }
        )
    return found


def _rate(
    installation: Installation, act: Callable[[psycopg.Connection, Entry], None], clients: int, each: int
) -> float:
    """Rows a second, one transaction a row; the entries are composed beforehand."""
    edition = gated.Edition(uuid.uuid4(), 1, random_model())
    ready = threading.Barrier(clients + 1)

    def work() -> None:
        with database.connect("app") as own:
            own.execute("SELECT 1")
            made = [gated.composed(installation, edition).intent for _ in range(each)]
            ready.wait()
            for entry in made:
                act(own, entry)

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    ready.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    return clients * each / (time.perf_counter() - begun)


def _receipts(installation: Installation, samples: int) -> dict[str, float]:
    """Of entries that come one by one, with nothing else going on."""
    edition = gated.Edition(uuid.uuid4(), 1, random_model())
    entries = []
    for number in range(samples):
        entry = gated.composed(installation, edition).intent
        installation.app.execute(_APPEND, [entry.body])
        entries.append(entry.id)
        time.sleep(0.02 + 0.037 * (number % 4))  # out of step with the pauses of sequencer and signer
    return _waited(installation, entries)


def _under_load(installation: Installation, seconds: float) -> dict[str, Any]:
    """Of all entries of clients that append as fast as they can, one transaction an entry."""
    edition = gated.Edition(uuid.uuid4(), 1, random_model())
    done: list[list[uuid.UUID]] = [[] for _ in range(LOAD_CLIENTS)]
    ready = threading.Barrier(LOAD_CLIENTS + 1)

    def work(mine: list[uuid.UUID]) -> None:
        with database.connect("app") as own:
            own.execute("SELECT 1")
            ready.wait()
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                entry = gated.composed(installation, edition).intent
                own.execute(_APPEND, [entry.body])
                mine.append(entry.id)

    threads = [threading.Thread(target=work, args=[mine]) for mine in done]
    for thread in threads:
        thread.start()
    ready.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    entries = [entry for mine in done for entry in mine]
    return {"appends_per_second": round(len(entries) / took), "receipt_ms": _waited(installation, entries)}


def _waited(installation: Installation, entries: list[uuid.UUID]) -> dict[str, float]:
    """Milliseconds from an entry's time to that of the first checkpoint over it, both by the database machine's clock."""
    deadline = time.monotonic() + 300
    while True:
        rows = installation.app.execute(
            "SELECT extract(epoch FROM (SELECT min(c.at) FROM log.checkpoint c WHERE c.size > f.idx)) * 1000 - e.at"
            " FROM log.entry e LEFT JOIN log.leaf f ON f.entry_id = e.id WHERE e.uid = ANY (%s)",
            [entries],
        ).fetchall()
        if len(rows) == len(entries) and all(row[0] is not None for row in rows):
            break
        if time.monotonic() > deadline:
            raise SystemExit("bench: some entries got no receipt within five minutes.")
        time.sleep(0.5)
    waited = sorted(float(row[0]) for row in rows)
    return {
        "p50": round(waited[len(waited) // 2]),
        "p99": round(waited[min(len(waited) - 1, int(len(waited) * 0.99))]),
        "longest": round(waited[-1]),
        "n": len(waited),
    }


def _bulk(installation: Installation, entries: int) -> Figure:
    edition = gated.Edition(uuid.uuid4(), 1, random_model())
    rates, last = [], uuid.uuid4()
    for _ in range(0, entries, 500):
        made = [gated.composed(installation, edition).intent for _ in range(500)]
        begun = time.perf_counter()
        with installation.app.transaction(), installation.app.cursor() as cursor:
            cursor.executemany(_APPEND, [[entry.body] for entry in made])
        rates.append(500 / (time.perf_counter() - begun))
        last = made[-1].id
    installation.covered(last)
    return summary(rates, 0)


def _verification(installation: Installation) -> dict[str, Any]:
    key = str(verifier_keys.published()[0])
    rates: list[float] = []
    with tempfile.TemporaryDirectory(prefix="glasscase-bench-log-") as folder:
        place = Path(folder) / "log"
        begun = time.perf_counter()
        size = storage.export(installation.app, place)
        exported = time.perf_counter() - begun
        for number in range(5):
            say(f"log: verifying {size} entries, {number + 1} of 5")
            begun = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "audit.log.verify", place, "--key", key], check=True, stdout=subprocess.DEVNULL
            )
            rates.append(size / (time.perf_counter() - begun))
        hashing, full = _in_process(place)
        kept = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    return {
        "entries": size,
        "entries_per_second": summary(rates, 0),
        "hashing_per_core_second": hashing,
        "with_form_per_core_second": full,
        "export_entries_per_second": round(size / exported),
        "export_bytes_per_entry": round(kept / size),
    }


def _in_process(place: Path) -> tuple[Figure, Figure]:
    """Entries that one core checks in a second: their hashes, tiles and root alone, and their form as well."""
    get, keys = DirectorySource(place).get, verifier_keys.published()
    hashing: list[float] = []
    full: list[float] = []
    inner = form.problem
    for _ in range(5):
        for rates, problem in ((hashing, lambda body: None), (full, inner)):
            form.problem = problem
            try:
                begun = time.process_time()
                size = check_log(get, keys).checkpoint.size
                rates.append(size / (time.process_time() - begun))
            finally:
                form.problem = inner
    return summary(hashing, 0), summary(full, 0)


def _bytes(installation: Installation) -> dict[str, int]:
    row = installation.superuser.execute(
        "SELECT count(*), sum(octet_length(body)), pg_total_relation_size('log.entry'), pg_total_relation_size('log.leaf'),"
        " pg_total_relation_size('log.tile'), pg_total_relation_size('log.checkpoint') FROM log.entry"
    ).fetchone()
    assert row is not None
    count = int(row[0])
    return {
        "body": round(int(row[1]) / count),
        "database": round(sum(int(size) for size in row[2:]) / count),
        "entry_table": round(int(row[2]) / count),
        "leaf_table": round(int(row[3]) / count),
        "tiles": round(int(row[4]) / count),
        "checkpoints": round(int(row[5]) / count),
    }


def plots(result: dict[str, Any]) -> list[Plot]:
    bars = []
    for each in result["appends"]:
        clients = f"{each['clients']} client{'s' if each['clients'] > 1 else ''}"
        bars += [
            Bar(f"append to the log, {clients}", each["appends_per_second"], ours=True),
            Bar(f"plain insert, {clients}", each["inserts_per_second"]),
        ]
    return [Plot("log-appends", "Entries written", "per second, each flushed to disk", bars)]


def page(result: dict[str, Any]) -> list[str]:
    verification, receipt, size, load = (
        result["verification"],
        result["receipt_ms"],
        result["bytes"],
        result["under_load"],
    )
    loaded = load["receipt_ms"]
    rows = [
        [each["clients"], spread(each["appends_per_second"]), spread(each["inserts_per_second"]), spread(each["ratio"])]
        for each in result["appends"]
    ]
    return [
        f"Appends of `{result['entry']}`, each in a transaction of its own and flushed to disk, against a plain `INSERT` of",
        "the same row into a table with the same columns, indexes and leaf hash that nothing guards. The append checks the",
        "entry against the registry and its canonical form, and queues it for the sequencer, which works meanwhile. Clients",
        f"are threads of one process. Medians of {result['rounds']} interleaved rounds, in brackets the 10th and 90th percentile.",
        "",
        *table(["clients", "appends/s", "plain inserts/s", "ratio append / insert"], rows),
        "",
        *table(
            ["what", "measured"],
            [
                [
                    "entry → first checkpoint that covers it, p50 / p99 / longest",
                    f"{receipt['p50']:g} / {receipt['p99']:g} / {receipt['longest']:g} ms of {receipt['n']:g}",
                ],
                [
                    f"the same under load ({LOAD_CLIENTS} clients, {load['appends_per_second']} appends/s)",
                    f"{loaded['p50']:g} / {loaded['p99']:g} / {loaded['longest']:g} ms of {loaded['n']:g}",
                ],
                ["appends in transactions of 500", f"{spread(result['bulk_per_second'])} per second"],
                [
                    f"`glasscase-verify` of {verification['entries']} entries, start of Python included",
                    f"{spread(verification['entries_per_second'])} entries/s",
                ],
                [
                    "check of hashes, tiles and root on one core",
                    f"{spread(verification['hashing_per_core_second'])} entries/s",
                ],
                [
                    "the same with the form of every entry",
                    f"{spread(verification['with_form_per_core_second'])} entries/s",
                ],
                ["`export_log`", f"{verification['export_entries_per_second']} entries/s"],
                ["bytes per entry: canonical body", size["body"]],
                [
                    "bytes per entry: in the database, indexes included",
                    f"{size['database']} (entries {size['entry_table']}, leaves {size['leaf_table']}, tiles {size['tiles']}, checkpoints {size['checkpoints']})",
                ],
                ["bytes per entry: in the export", verification["export_bytes_per_entry"]],
            ],
        ),
        "",
        "Sequencer and signer each look every 250 ms: that is most of the time to a receipt.",
    ]
