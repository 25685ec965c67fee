"""What is logged after a search: reviews, leads, their outcomes, disclosures. Rows of `audit.log.events.REGISTRY`.

Each is (type, writer, sentence, fields, optional fields, commitments), as `events` explains them. No Django here.
"""

from __future__ import annotations

from typing import Final

EVENTS_OF_REVIEWS: Final[tuple[tuple[str, str, str, str, str, str], ...]] = (
    # The conclusion is a commitment: whoever decides second must not find it in the log.
    (
        "search:review:decided",
        "app",
        "An examiner decided on the candidates of a search.",
        "request=id view=id seat=int blind=bool",
        "",
        "findings note",
    ),
    (
        "search:review:concluded",
        "app",
        "The review of a search was concluded.",
        "request=id outcome=code examiners=ids candidates=int agreed=int",
        "",
        "",
    ),
    (
        "search:lead:released",
        "app",
        "A lead was released.",
        "request=id lead=id examiners=ids model=hash threshold=int",
        "",
        "candidate note",
    ),
    ("search:lead:withheld", "app", "A lead was withheld.", "request=id candidates=int", "", "note"),
    ("search:lead:viewed", "app", "A lead was read.", "request=id lead=id viewer=id", "", ""),
    (
        "search:outcome:recorded",
        "app",
        "What became of a lead was recorded.",
        "request=id lead=id number=int truth=code procedure=code evidence=codes",
        "disclosed=int",
        "note",
    ),
    (
        "search:disclosure:made",
        "app",
        "A search was disclosed for the defence or a court.",
        "request=id disclosure=id bundle=hash photos=bool examiners_named=bool",
        "",
        "recipient reason",
    ),
    ("search:rates:viewed", "app", "The error rates of released leads were read.", "leads=int file=code", "", ""),
)
