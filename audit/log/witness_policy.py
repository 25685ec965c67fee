"""The policy of this installation: whom its log has to be cosigned by. A file that GLASSCASE_WITNESS_POLICY names."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from audit.log.policy import Policy, PolicyError
from audit.log.verifier_keys import NoVerifierKey


class NoPolicy(NoVerifierKey):
    """The policy file is missing or cannot be used, so no receipt can be checked."""


def configured() -> Policy | None:
    """The policy; None where none is named. Raises NoPolicy: what is named and cannot be read is not left out."""
    if not settings.GLASSCASE_WITNESS_POLICY:
        return None
    try:
        return _parsed(Path(settings.GLASSCASE_WITNESS_POLICY).read_bytes())
    except (OSError, PolicyError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NoPolicy(f"The witness policy that GLASSCASE_WITNESS_POLICY names cannot be used: {reason}.") from None


@lru_cache(maxsize=4)
def _parsed(data: bytes) -> Policy:
    return Policy.parse(data)
