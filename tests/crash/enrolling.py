"""A process that enrols photos of blocks, slowly: `python -m tests.crash.enrolling GALLERY MANIFEST`.

Prints a line for each photo that it computes, and stops for ever at the point that GLASSCASE_STOP_AT names, so that the
test can kill it exactly there.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def stopping(point: str, real: Callable[..., Any], at: int) -> Callable[..., Any]:
    """The function, which after its call number `at` says that it is there and waits to be killed."""
    calls = 0

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        result = real(*args, **kwargs)
        if os.environ.get("GLASSCASE_STOP_AT") == point and calls == at:
            say("here")
            time.sleep(600)
        return result

    return call


def main() -> None:
    django.setup()
    from core import keystore
    from core.faces import registry
    from search import batches, enrolment, extraction, face_models, galleries, photos
    from search.gate import client
    from tests.search.shelf import BlockEngine

    engine = BlockEngine()
    vars(registry)["engine"] = lambda name, models_dir=None: engine
    vars(enrolment)["CHUNK"] = 4
    real_extract = extraction.extract

    def told(task: extraction.Task) -> extraction.Extracted:
        say(f"photo {task.place}")
        return real_extract(task)

    extraction.extract = told
    client.open_batch = stopping("opening", client.open_batch, 1)
    keystore.create_many = stopping("keys", keystore.create_many, 2)
    photos.write = stopping("files", photos.write, 6)
    batches._copy = stopping("copying", batches._copy, 2)
    batches.store = stopping("stored", batches.store, 2)
    client.seal_batch = stopping("sealing", client.seal_batch, 1)
    gallery = galleries.find(sys.argv[1])
    run = enrolment.start(
        by=None, gallery=gallery, manifest=Path(sys.argv[2]), face_model=face_models.register(engine), send=False
    )
    job = enrolment.run_here(run)
    say(f"ended {job.state}")


if __name__ == "__main__":
    main()
