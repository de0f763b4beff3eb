"""Arithmetic about when: how long to wait before the next try.

Pure: nothing here waits, draws a random number or reads a clock. Chance comes in as a number from 0 up to 1, so that
a test can say what it is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before trying again something that has been failing for a while.

    Steady at `first_s` while the failure is young, then half as long as it has lasted beyond that: each wait is about
    one and a half times the one before, without a counter to keep. Every wait is jittered downwards to at least half
    of itself, so that a thousand gateways do not return to a broker in the same second.
    """

    first_s: float
    eager_s: float
    """How long a failure counts as young."""
    most_s: float

    def delay_s(self, failing_for_s: float, chance: float) -> float:
        """Seconds to wait, between `first_s / 2` and `most_s`."""
        whole = min(max(self.first_s, (failing_for_s - self.eager_s) / 2), self.most_s)
        return whole * (0.5 + 0.5 * chance)


RECONNECT = Backoff(first_s=1.0, eager_s=120.0, most_s=60.0)
"""For links and uplinks. A restarted broker or switch is back within two minutes, and nobody wants to wait for the
gateway then; after that an attempt a minute is enough."""

AFTER_A_BUG = Backoff(first_s=5.0, eager_s=0.0, most_s=3600.0)
"""For what failed in a way that nobody foresaw: it may be cured by data that change, and its traceback fills the log."""

WHEN_BUSY = Backoff(first_s=1.0, eager_s=0.0, most_s=60.0)
"""For an upstream that is connected and says: not now."""
