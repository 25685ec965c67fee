"""A process that works on an evaluation of photos of blocks: `python -m tests.crash.evaluating RUN`.

Prints a line for each photo that it embeds and each chunk of pairs that it compares, and stops for ever at the point
that GLASSCASE_STOP_AT names ("photo 7", "pairs 2"), so that the test can kill it exactly there.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable
from itertools import count
from typing import Any

import django

from tests.crash.enrolling import say

PHOTOS_PER_CHUNK = 4


def block_engine() -> Any:
    from tests.search.shelf import BlockEngine

    return BlockEngine()


def small_chunks() -> None:
    """Chunks so small that a set of a few photos has several in every stage, and a face model that knows blocks."""
    from audit import evaluation_work
    from audit.fairness import chunks
    from core.faces import registry

    engine = block_engine()
    vars(registry)["engine"] = lambda name, models_dir=None: engine
    vars(evaluation_work)["PHOTOS_PER_CHUNK"] = PHOTOS_PER_CHUNK
    chunks.plan.__kwdefaults__.update(block=4, pairs_per_chunk=20)


def telling(what: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which says each call before it is done and waits to be killed at the one that is named."""
    numbers = count(1)

    def call(*args: Any, **kwargs: Any) -> Any:
        number = next(numbers)
        if os.environ.get("GLASSCASE_STOP_AT") == f"{what} {number}":
            say("here")
            time.sleep(600)
        result = real(*args, **kwargs)
        say(what)
        return result

    return call


def main() -> None:
    django.setup()
    small_chunks()
    from audit import evaluation_work, evaluations
    from audit.fairness import extraction

    vars(extraction)["_embed"] = telling("photo", extraction._embed)
    vars(evaluation_work)["compare_chunk"] = telling("pairs", evaluation_work.compare_chunk)
    evaluation = evaluations.find(uuid.UUID(sys.argv[1]))
    evaluation_work.run_here(evaluation)
    say(f"ended {evaluation.state}")


if __name__ == "__main__":
    main()
