"""`python -m bench`: run benchmarks on an installation of their own, write results and a page about them."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import BENCHES, ROOT
from bench.figures import load_average, say


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", help=f"comma-separated, of: {', '.join(BENCHES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, not how fast")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "var" / "bench",
        help="where results.json and README.md go; results of other benches that are there are kept (default: %(default)s)",
    )
    chosen = parser.parse_args()
    chosen.only = chosen.only.split(",") if chosen.only else list(BENCHES)
    if unknown := [name for name in chosen.only if name not in BENCHES]:
        parser.error(f"there is no bench {unknown[0]!r}; there are: {', '.join(BENCHES)}")
    return chosen


def _prepare(home: Path) -> None:
    """An embedded server below `home`, whatever this machine's own installation uses."""
    faces = os.environ.get("GLASSCASE_FACES", "")
    for name in [name for name in os.environ if name.startswith("GLASSCASE_")]:
        del os.environ[name]
    os.environ["DJANGO_SETTINGS_MODULE"] = "core.settings"
    os.environ["GLASSCASE_HOME"] = str(home)
    os.environ["GLASSCASE_LOG_LEVEL"] = "ERROR"
    if faces:
        os.environ["GLASSCASE_FACES"] = faces
        os.environ["GLASSCASE_MODELS_DIR"] = str(Path(faces) / "insightface" / "models")
    import django

    django.setup()


def main() -> int:
    """Run what was asked for; return 0."""
    chosen = _arguments()
    # Ended from outside, it still stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    home = Path(tempfile.mkdtemp(prefix="glasscase-bench-"))
    try:
        _prepare(home)
        from bench import report
        from bench.installation import installation

        modules = {name: importlib.import_module(f"bench.{name}") for name in BENCHES if name in chosen.only}
        found = report.read(chosen.out)
        with installation() as here:
            machine = report.machine(here)
            for name, module in modules.items():
                before, begun = load_average(), time.monotonic()
                say(f"{name} (load average {before})")
                result = module.run(here, quick=chosen.quick)
                found[name] = {
                    "date": time.strftime("%Y-%m-%d", time.gmtime()),
                    "seconds": round(time.monotonic() - begun),
                    "load_average": [before, load_average()],
                    "quick": chosen.quick,
                    "machine": machine,
                    "result": result,
                }
                report.write(chosen.out, found)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(json.dumps({name: found[name]["result"] for name in chosen.only}))
    say(f"results and page in {chosen.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
