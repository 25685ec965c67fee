"""How often something may be asked for: counts in this process's memory, so a limit holds for each web process."""

from __future__ import annotations

import hashlib
import time

from django.core.cache import cache


def within(action: str, who: str, *, most: int, seconds: int) -> bool:
    """Count one more `action` of `who`; whether there were at most `most` of them in this window of `seconds`."""
    digest = hashlib.sha256(who.encode()).hexdigest()
    key = f"limit:{action}:{digest}:{int(time.time()) // seconds}"
    cache.add(key, 0, timeout=2 * seconds)
    try:
        return cache.incr(key) <= most
    except ValueError:  # thrown out of a full cache in between
        return True
