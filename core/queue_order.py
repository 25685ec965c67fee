"""The order in which a worker takes from several queues on Redis: people who wait come first.

Without it Redis is asked for its queues in turn, and an officer's search would wait behind evaluations on a worker that
serves both. The embedded broker has the same order of its own (`core.broker.InOrder`). RabbitMQ pushes messages to its
consumers and knows no order between queues: there each queue needs a worker of its own.
"""

from __future__ import annotations

from django.conf import settings
from kombu.utils.scheduling import round_robin_cycle


class AsDeclared(round_robin_cycle):
    """Asks the queues in the order of `settings.GLASSCASE_QUEUES`, however a worker's options name them."""

    def consume(self, n: int) -> list[str]:
        return sorted(self.items[:n], key=_place)

    def rotate(self, last_used: str) -> str:
        """A queue that was served stays where it is."""
        return last_used


def _place(queue: str) -> int:
    known = settings.GLASSCASE_QUEUES
    return known.index(queue) if queue in known else len(known)
