"""What witnesses know of the log, for the signer that compares it with the database before it clears and signs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from audit.log.check import Earlier
from audit.log.checkpoint import VerifierKey
from audit.log.policy import Policy
from audit.log.witness import known_heads

log = structlog.get_logger(__name__)


class NobodyAnswers(OSError):
    """There are witnesses that can be asked, and none of them said what it knows."""


def asking(policy: Policy) -> Callable[[Sequence[VerifierKey]], list[Earlier]]:
    """A call that asks every witness of `policy` with an address for the largest tree that one of a log's own keys signed.

    It raises NobodyAnswers when there are such witnesses and each of them had a problem.
    """

    def ask(keys: Sequence[VerifierKey]) -> list[Earlier]:
        heads = known_heads(policy, keys[0].name, keys)
        for head in heads:
            if head.problem:
                log.warning("a witness did not say what it knows", witness=head.witness.name, problem=head.problem)
        if heads and all(head.problem for head in heads):
            raise NobodyAnswers("no witness says what it knows of the log")
        return [Earlier(f"the witness {head.witness.name}", head.signed.checkpoint) for head in heads if head.signed]

    return ask
