"""What all that fails on a link may take of its time: one account for everybody.

Pure. Kept in time of the link, and earned one for one: whatever a failure takes is charged so many times over that,
in any span, failures take no more than `SHARE` of it, plus what was saved up. What nobody could foresee is charged
too, and may leave the account in debt: then nothing is tried before it is paid.
"""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.04
"""Of the link's time, for all failing devices together. The others are promised 95 %; the rest of the 5 % is for
first time-outs."""

SAVED: Final = 2
"""The account holds this many time limits: an answer lost on a good line costs one, and one is left to try again with
at the next slot."""

PRICE: Final = round(1 / SHARE)
"""A failure costs so many times what it takes."""


class Account:
    """One link's."""

    def __init__(self) -> None:
        self._balance_ns = 0
        self._most_ns = 0
        """What it holds at most."""
        self._paid_ns = 0
        """Up to when it was paid."""

    def save_for(self, cost_ns: int) -> None:
        """Let it hold `SAVED` times what is the most now; what it holds more, it has at once."""
        most_ns = max(self._most_ns, SAVED * cost_ns * PRICE)
        self._balance_ns += most_ns - self._most_ns
        self._most_ns = most_ns

    def charge(self, now_ns: int, spent_ns: int) -> None:
        """Take what was spent on something that failed."""
        self._balance_ns = min(self._balance_ns + now_ns - self._paid_ns, self._most_ns)
        self._balance_ns -= spent_ns * PRICE
        self._paid_ns = now_ns

    def covered_ns(self, cost_ns: int) -> int:
        """When it covers trying something that may take so much."""
        return self._paid_ns + cost_ns * PRICE - self._balance_ns
