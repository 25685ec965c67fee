"""How the scan runs: one pass over one partition, with workers where it is large, whatever the caller sets."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import HalfVector

from tests.enforcement.own_gallery import OwnGallery, Row, rows_of
from tests.enforcement.world import World, unit

Open = Callable[..., psycopg.Connection]

# One template of 4,000 dimensions fills a page of 8 kB: few rows make a large partition.
WIDE = 4000
MANY = 1200
# Every planner setting of the session, turned against the scan.
SETTINGS = (
    *("max_parallel_workers = 0", "max_parallel_workers_per_gather = 0", "parallel_leader_participation = off"),
    *("min_parallel_table_scan_size = '10GB'", "parallel_setup_cost = 1e9", "parallel_tuple_cost = 1e9"),
    *("enable_seqscan = off", "enable_sort = off", "enable_gathermerge = off", "enable_hashjoin = off"),
    *("enable_nestloop = on", "enable_mergejoin = on", "enable_incremental_sort = on", "enable_parallel_hash = off"),
    *("enable_partition_pruning = off", "seq_page_cost = 1e9", "random_page_cost = 0", "cpu_tuple_cost = 1e9"),
    *("cpu_operator_cost = 0", "plan_cache_mode = force_generic_plan", "jit = on", "jit_above_cost = 0"),
    *("work_mem = '64kB'", "constraint_exclusion = on", "debug_parallel_query = on"),
)


@pytest.fixture
def wide(world: World) -> tuple[OwnGallery, list[Row], np.ndarray]:
    own = OwnGallery(world, WIDE)
    vectors = np.stack([unit(row) for row in np.random.default_rng(3).standard_normal((MANY, WIDE))])
    rows = rows_of(vectors)
    own.enrol(rows)
    return own, rows, vectors


def counted(superuser: psycopg.Connection, query: str, *values: Any) -> int:
    row = superuser.execute(query, values).fetchone()
    assert row is not None
    return int(row[0] or 0)


def plans(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for one in node.get("Plans", ()):
        yield from plans(one)


def explained(
    superuser: psycopg.Connection,
    edition: int,
    probe: np.ndarray,
    *,
    batches: list[int],
    marks: int | None,
) -> list[dict[str, Any]]:
    """The plan of the statement that the scan itself runs, as its owner sees it, under the settings that it pins."""
    row = superuser.execute("SELECT prosrc, proconfig FROM pg_proc WHERE oid = 'gallery.scan'::regproc").fetchone()
    assert row is not None
    body, config = row
    statement = "RETURN QUERY EXECUTE format("
    assert body.count(statement) == 1
    text = body.replace(statement, "RETURN QUERY EXECUTE 'EXPLAIN (FORMAT JSON) ' || format(")
    pins = " ".join(
        f"SET {name} = {value if name == 'search_path' else psycopg.sql.quote(value)}"
        for name, value in (each.split("=", 1) for each in config)
    )
    with superuser.transaction(force_rollback=True):
        superuser.execute("SET LOCAL glasscase.maintenance = 'on'")
        superuser.execute(
            "CREATE FUNCTION pg_temp.explained(p_edition integer, p_batches integer[], p_version integer,"
            " p_probe public.halfvec, p_threshold integer, p_k integer, p_marks bigint) RETURNS SETOF json"
            f" LANGUAGE plpgsql {pins} AS $f${text}$f$"
        )
        found = superuser.execute(
            "SELECT * FROM pg_temp.explained(%s, %s, 1, %s::halfvec, 400000, 10, %s)",
            [edition, batches, HalfVector(probe).to_text(), marks],
        ).fetchone()
    assert found is not None
    whole = found[0] if not isinstance(found[0], str) else json.loads(found[0])
    return list(plans(whole[0]["Plan"]))


def test_workers_help_with_a_large_partition_whatever_the_caller_sets(
    wide: tuple[OwnGallery, list[Row], np.ndarray], as_role: Open, as_superuser: psycopg.Connection
) -> None:
    own, rows, vectors = wide
    connection = as_role("app")
    for setting in SETTINGS:
        connection.execute(f"SET {setting}")
    leaf = f"gallery.template_{own.edition}"
    statistics = "SELECT {} FROM pg_stat_all_tables WHERE relid = %s::regclass"

    def numbers() -> dict[str, int]:
        for each in (own.world.app, connection):
            each.execute("SELECT pg_stat_force_next_flush()")
            each.execute("SELECT 1")
        return {
            "workers": counted(
                as_superuser,
                "SELECT parallel_workers_launched FROM pg_stat_database WHERE datname = current_database()",
            ),
            "rows": counted(as_superuser, statistics.format("seq_tup_read"), leaf),
            "index": counted(as_superuser, statistics.format("idx_scan"), leaf),
            "parent": counted(as_superuser, statistics.format("seq_tup_read"), f"gallery.template_{own.world.edition}"),
            "toast": counted(
                as_superuser,
                "SELECT toast_blks_read + toast_blks_hit FROM pg_statio_all_tables WHERE relid = %s::regclass",
                leaf,
            ),
        }

    requests = [own.bound(vectors[number]) for number in range(3)]
    before = numbers()
    for filed in requests:
        own.world.execute(connection, filed)
    after = numbers()
    gone = {name: after[name] - before[name] for name in after}
    assert gone["workers"] > 0
    # Each row of this partition once a search, in order; no index, no out-of-line storage, no other partition.
    assert gone["rows"] == 3 * MANY
    assert (gone["index"], gone["toast"], gone["parent"]) == (0, 0, 0)
    own.world.sign()
    for number, filed in enumerate(requests):
        found = own.world.candidates(own.world.app, own.world.view(filed.request)).candidates
        assert [candidate.template for candidate in found] == [rows[number].template]


@pytest.mark.parametrize("marks", [None, 4])
@pytest.mark.parametrize("batches", [[1], [1, 3]])
def test_the_plan_filters_by_the_threshold_before_it_sorts(
    wide: tuple[OwnGallery, list[Row], np.ndarray],
    as_superuser: psycopg.Connection,
    marks: int | None,
    batches: list[int],
) -> None:
    own, _, vectors = wide
    nodes = explained(as_superuser, own.edition, vectors[0], batches=batches, marks=marks)
    [scan] = [one for one in nodes if one.get("Relation Name") == f"template_{own.edition}"]
    assert scan["Node Type"] == "Seq Scan"
    assert scan["Parallel Aware"]
    test = scan["Filter"]
    assert "<#>" in test
    assert "round(" in test
    assert ("= ANY" in test) == (batches != [1])
    assert ("marks & " in test) == (marks is not None)
    if marks is not None:
        # Rows outside the sub-gallery are skipped before their distance is computed.
        assert test.index("marks & ") < test.index("<#>")
    kinds = {one["Node Type"] for one in nodes}
    assert not any("Index" in kind or "Bitmap" in kind or kind == "Append" for kind in kinds)
    [gather] = [one for one in nodes if one["Node Type"].startswith("Gather")]
    assert gather["Workers Planned"] >= 1
    # What is sorted is what the scan let through: no sort stands below the scan's filter, and the limit is above it.
    sorts = [one for one in nodes if "Sort" in one["Node Type"]]
    assert all(any(below is scan for below in plans(one)) for one in sorts)
    assert nodes[0]["Node Type"] == "Limit"


def test_a_small_partition_is_read_by_one_process(world: World, as_superuser: psycopg.Connection) -> None:
    nodes = explained(as_superuser, world.edition, world.faces[0], batches=[1], marks=None)
    assert not any(one["Node Type"].startswith("Gather") for one in nodes)


def test_warming_reads_every_page_and_tells_nothing(
    wide: tuple[OwnGallery, list[Row], np.ndarray], as_role: Open, as_superuser: psycopg.Connection
) -> None:
    own, _, _ = wide
    connection = as_role("app")
    leaf = f"gallery.template_{own.edition}"
    pages = counted(as_superuser, "SELECT pg_relation_size(%s) / 8192", leaf)
    read = "SELECT heap_blks_read + heap_blks_hit FROM pg_statio_all_tables WHERE relid = %s::regclass"
    for setting in SETTINGS:
        connection.execute(f"SET {setting}")
    own.world.app.execute("SELECT pg_stat_force_next_flush()")
    before = counted(as_superuser, read, leaf)
    assert connection.execute("SELECT gallery.warm(%s)::text", [own.edition]).fetchone() == ("",)
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT 1")
    assert counted(as_superuser, read, leaf) - before >= pages
    assert connection.execute("SELECT gallery.warm(%s)::text", [2147483647]).fetchone() == ("",)


def test_an_edition_that_does_not_exist_gives_nobody(world: World, as_superuser: psycopg.Connection) -> None:
    probe = HalfVector(world.faces[0]).to_text()
    for edition, batches in ((2147483647, [1]), (-1, [1]), (world.edition, []), (world.edition, [7])):
        found = as_superuser.execute(
            "SELECT * FROM gallery.scan(%s, %s::integer[], 1, %s::halfvec, -1000000, 200, NULL)",
            [edition, batches, probe],
        ).fetchall()
        assert found == [], (edition, batches)
    assert (
        uuid.UUID(
            str(
                as_superuser.execute(
                    "SELECT template FROM gallery.scan(%s, '{1}', 1, %s::halfvec, 400000, 1, NULL)",
                    [world.edition, probe],
                ).fetchone()[0]  # type: ignore[index]
            )
        )
        == world.rows[0][0]
    )
