"""A process that goes on with a re-embedding: `python -m tests.crash.reading_again ENROLMENT`.

Prints a line for each photo that it computes, and stops for ever at the point that GLASSCASE_STOP_AT names.
"""

from __future__ import annotations

import sys
import uuid

import django

from tests.crash.enrolling import say, stopping


def main() -> None:
    django.setup()
    from core.faces import registry
    from search import batches, enrolment, extraction, photos, reembedding
    from search.gate import client
    from tests.search.shelf import SturdyEngine

    engine = SturdyEngine()
    vars(registry)["engine"] = lambda name, models_dir=None: engine
    vars(enrolment)["CHUNK"], vars(reembedding)["SLICE"] = 2, 4
    real_extract = extraction.extract

    def told(task: extraction.Task) -> extraction.Extracted:
        say(f"photo {task.sha256}")
        return real_extract(task)

    extraction.extract = told
    client.announce_slice = stopping("announcing", client.announce_slice, 2)
    client.slice_halves = stopping("opening", client.slice_halves, 2)
    photos.write = stopping("files", photos.write, 3)
    batches._copy = stopping("copying", batches._copy, 2)
    batches.store = stopping("stored", batches.store, 2)
    client.seal_batch = stopping("sealing", client.seal_batch, 1)
    job = enrolment.run_here(enrolment.find(uuid.UUID(sys.argv[1])))
    say(f"ended {job.state}")


if __name__ == "__main__":
    main()
