"""Keep one thing going: try it, sort what it raises by remedy, say it once, back off, try again.

The policy for every link, device and uplink stands here and nowhere else; what is kept going just raises:

    Unavailable     it will come back by itself    warning once, quiet retries with back-off, recovery said
    Misconfigured   a person must act              error, no retry; everything else goes on
    anything else   a bug                          traceback, rare retries; everything else goes on
"""

from __future__ import annotations

import asyncio
import enum
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from agent.clock import Clock
from agent.interfaces import Misconfigured, Unavailable
from agent.timing import AFTER_A_BUG, RECONNECT

log = structlog.get_logger()

Attempt: TypeAlias = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs until it fails or is cancelled; calls what it is given as soon as it works."""


class State(enum.Enum):
    """The condition of one thing, by what someone should do about it."""

    STARTING = "starting"
    """Not tried to the end yet."""
    WORKING = "working"
    UNAVAILABLE = "unavailable"
    """Cannot be had now; tried again by itself."""
    MISCONFIGURED = "misconfigured"
    """A person must change something; not tried again."""
    FAULTY = "faulty"
    """A bug: its traceback is in the log; tried again, rarely."""
    OUT_OF_SERVICE = "out of service"
    """Taken out by an operator, as the configuration says; not tried."""


@dataclass(slots=True)
class Condition:
    """How one link, device or uplink is, since when, and in whose words."""

    state: State = State.STARTING
    since_ns: int = 0
    """`Clock.monotonic_ns` when this state began."""
    words: str = ""
    """Why it is not working; empty when it is."""
    attempts: int = 0
    """Failed attempts in a row."""


STEADY_NS = 60_000_000_000
"""What worked for a minute counts as cured: its next failure is a new one. What works for a second each time is still
the same failure, and must not be retried each second for ever."""


class Kept:
    """One thing that is kept going, and its condition as others see it."""

    def __init__(self, kind: str, name: str, condition: Condition, clock: Clock) -> None:
        self._kind = kind
        self._log = log.bind(**{kind: name})
        self._called = f"{kind} {name}: "
        self._condition = condition
        self._clock = clock
        self._working_since_ns: int | None = None
        self._failing_since_ns: int | None = None

    async def go(self, attempt: Attempt, *, passes: type[Exception] | tuple[()] = ()) -> None:
        """Try for ever; returns only when a person must act. What `passes` names is raised to the caller instead."""
        self._enter(State.STARTING, "")
        while True:
            try:
                await attempt(self._works)
            except passes:
                raise
            except Exception as error:  # sorted by remedy here, for the whole agent
                cause = first(error)
                if isinstance(cause, passes):
                    raise cause from error
                if isinstance(cause, Misconfigured):
                    self._enter(State.MISCONFIGURED, str(cause))
                    self._log.error(
                        f"{self._kind}.misconfigured", error=self._plain(str(cause))
                    )  # no bug, no traceback
                    return
                delay_s = self._failed(cause)
            else:
                return
            await asyncio.sleep(delay_s)

    def _works(self) -> None:
        failed = self._condition.state in {State.UNAVAILABLE, State.FAULTY}
        self._enter(State.WORKING, "")
        self._working_since_ns = self._clock.monotonic_ns()
        if failed:
            self._log.info(f"{self._kind}.recovered")

    def _failed(self, cause: Exception) -> float:
        """Take note of a failure; seconds until the next try."""
        now_ns = self._clock.monotonic_ns()
        cured = self._working_since_ns is not None and now_ns - self._working_since_ns >= STEADY_NS
        if cured or self._failing_since_ns is None:
            self._failing_since_ns = now_ns
        self._working_since_ns = None
        if isinstance(cause, Unavailable):
            self._say_unavailable(str(cause))
            backoff = RECONNECT
        else:
            self._enter(State.FAULTY, repr(cause))
            self._log.error(f"{self._kind}.faulty", exc_info=cause)
            backoff = AFTER_A_BUG
        failing_for_s = (now_ns - self._failing_since_ns) / 1e9
        return backoff.delay_s(failing_for_s, random.random())  # noqa: S311  # jitter, not a secret

    def _say_unavailable(self, words: str) -> None:
        news = self._condition.state is not State.UNAVAILABLE or self._condition.words != words
        self._enter(State.UNAVAILABLE, words)
        (self._log.warning if news else self._log.debug)(
            f"{self._kind}.unavailable", error=self._plain(words)
        )

    def _plain(self, words: str) -> str:
        """Without who says it, which stands in a field of its own in the log."""
        return words.removeprefix(self._called)

    def _enter(self, state: State, words: str) -> None:
        condition = self._condition
        if condition.state is not state or not condition.since_ns:
            condition.state = state
            condition.since_ns = self._clock.monotonic_ns()
        condition.words = words
        condition.attempts = 0 if state in {State.WORKING, State.STARTING} else condition.attempts + 1


def first(error: Exception) -> Exception:
    """The failure that a task group was ended by: the rest of the group is its consequence.

    A bug among them comes before everything else: it must not hide behind a lost connection.
    """
    if not isinstance(error, ExceptionGroup):
        return error
    leaves = [first(inner) for inner in error.exceptions]
    return next((leaf for leaf in leaves if not isinstance(leaf, (Unavailable, Misconfigured))), leaves[0])
