"""`glasscase-evaluate.pyz`: the program that gives every number of a report again, as one file (Python and numpy needed)."""

from __future__ import annotations

from typing import Final

from audit.oversight.one_file import OneFile

NAME: Final = "glasscase-evaluate.pyz"
# What `audit.fairness.reproduce` needs, and nothing else of the product.
MODULES: Final = (
    "audit/__init__.py",
    "audit/fairness/__init__.py",
    *(
        f"audit/fairness/{name}.py"
        for name in (
            "bootstrap",
            "bundle",
            "chunks",
            "cohorts",
            "comparisons",
            "curves",
            "disparity",
            "evaluation",
            "evidence",
            "identification",
            "intervals",
            "pair_bundle",
            "pairs",
            "partials",
            "rates",
            "record",
            "reproduce",
            "scores",
            "sets/__init__",
            "sets/rows",
            "sets/samples",
        )
    ),
)
FILE: Final = OneFile(NAME, "audit.fairness.reproduce", MODULES)
