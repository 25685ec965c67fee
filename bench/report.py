"""Results as JSON, and the page that is made from them."""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import BENCHES, ROOT, plots
from bench.figures import table
from bench.installation import Installation
from core.embedded import memory_bytes

FORMAT = 1  # of results.json
_PACKAGES = ("numpy", "dlib-bin", "onnxruntime", "psycopg")


def machine(installation: Installation) -> dict[str, str]:
    """What the numbers were measured on: processor, cores, memory, versions. No name of the machine."""
    settings = installation.superuser.execute(
        "SELECT current_setting('server_version'), (SELECT extversion FROM pg_extension WHERE extname = 'vector'),"
        " current_setting('shared_buffers')"
    ).fetchone()
    assert settings is not None
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory_bytes() / 2**30:.0f} GB",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "database": f"PostgreSQL {settings[0]}, pgvector {settings[1]}, shared_buffers {settings[2]}, fsync on",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "commit": _commit(),
    }


def _processor() -> str:
    place = Path("/proc/cpuinfo")
    for line in place.read_text(encoding="utf-8").splitlines() if place.is_file() else ():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def read(out: Path) -> dict[str, Any]:
    """The results that are there from earlier runs, by bench; none of those that an older page was made from."""
    place = out / "results.json"
    kept = json.loads(place.read_text(encoding="utf-8")) if place.is_file() else {}
    return dict(kept["benches"]) if kept.get("format") == FORMAT else {}


def write(out: Path, found: dict[str, Any]) -> None:
    """results.json, README.md and its figures."""
    out.mkdir(parents=True, exist_ok=True)
    ordered: dict[str, Any] = {name: found[name] for name in BENCHES if name in found}
    for name, kept in ordered.items():
        for plot in _plots(name, kept["result"]):
            (out / f"{plot.name}.svg").write_bytes(plots.svg(plot))
    text = json.dumps({"format": FORMAT, "benches": ordered}, indent=1, ensure_ascii=False)
    (out / "results.json").write_text(text + "\n", encoding="utf-8")
    (out / "README.md").write_text("\n".join(_page(ordered)) + "\n", encoding="utf-8")


def _page(found: dict[str, Any]) -> list[str]:
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`; the numbers behind it are in `results.json`. Each bench runs the product itself on a new",
        "installation (embedded PostgreSQL, sequencer and signer as processes of their own) beside a peer in the same run.",
        "Read the ratios: absolute times belong to one machine and one hour, and promise nothing about yours.",
        "Where several values were measured, the median stands first and the 10th and 90th percentile in brackets.",
    ]
    for name, kept in found.items():
        module = importlib.import_module(f"bench.{name}")
        lines += ["", f"## {module.TITLE}", "", *module.page(kept["result"])]
        for plot in _plots(name, kept["result"]):
            lines += ["", plot.line]
        lines += ["", _circumstances(kept)]
    machines = {json.dumps(kept["machine"] | {"commit": ""}): kept["machine"] for kept in found.values()}
    lines += ["", "## Machine" if len(machines) == 1 else "## Machines"]
    for each in machines.values():
        lines += ["", *table(["what", "value"], [item for item in each.items() if item[0] != "commit"])]
    return lines


def _plots(name: str, result: dict[str, Any]) -> list[plots.Plot]:
    """The figures of a bench; one that has none shows its numbers in tables alone."""
    drawn = getattr(importlib.import_module(f"bench.{name}"), "plots", None)
    return [] if drawn is None else list(drawn(result))


def _circumstances(kept: dict[str, Any]) -> str:
    before, after = kept["load_average"]
    quick = " A quick run with small sizes: it shows that the bench works." if kept["quick"] else ""
    return (
        f"Measured on {kept['date']} at commit {kept['machine']['commit']} in {kept['seconds']} s; load average "
        f"{before:g} before, {after:g} after, on {kept['machine']['cores']} cores.{quick}"
    )
