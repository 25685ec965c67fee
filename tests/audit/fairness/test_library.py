"""The measuring library stands on its own: outsiders run it without Django, and it loads no drawing library early."""

from __future__ import annotations

import subprocess
import sys

import pytest

from audit.fairness.wording import counted, one_in

MODULES = [
    "acceptance",
    "bootstrap",
    "chunks",
    "cohorts",
    "comparisons",
    "curves",
    "disparity",
    "evaluation",
    "evidence",
    "extraction",
    "figures",
    "grouped",
    "identification",
    "intervals",
    "page",
    "partials",
    "rates",
    "report",
    "run",
    "scores",
    "simulation",
    "sets.embeddings",
    "sets.freezing",
    "sets.layouts",
    "sets.manifest",
    "wording",
]


def test_it_imports_neither_django_nor_matplotlib() -> None:
    program = (
        f"import importlib, sys; [importlib.import_module('audit.fairness.' + name) for name in {MODULES!r}]; "
        "print([name for name in ('django', 'matplotlib', 'cv2', 'dlib', 'insightface', 'fairlearn', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (None, "not measurable"), (0, "0"), (1, "always"), (1e-4, "1 in 10,000"), (0.5, "1 in 2"), (0.4, "1 in 2.5"),
        (1 / 41.3, "1 in 41"), (3e-5, "1 in 33,300"), (1 / 999.6, "1 in 1,000"), (0.1, "1 in 10"),
    ],
)  # fmt: skip
def test_rates_are_said_in_plain_words(rate: float | None, words: str) -> None:
    assert one_in(rate) == words


def test_numbers_have_the_right_noun() -> None:
    assert (counted(1, "person", "people"), counted(2000, "pair")) == ("1 person", "2,000 pairs")
