"""One connection, whatever carries it: a question goes out, and its answer or what became of it comes back.

What the bytes mean is decided in `transaction`; whether to open another connection, in `line`. How bytes are moved is
in `stream` (TCP, TLS), `datagram` (UDP) and `serial_port`, which are told by the event loop what happens.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, TypeAlias

import structlog

from drivers.modbus.line.framing import Question
from drivers.modbus.line.transaction import Answer, Conversation

log = structlog.get_logger()

Tap: TypeAlias = Callable[[str, bytes, int], None]
"""Is told everything that passes: "sent" or "received", the bytes, and `Clock.monotonic_ns`."""


_EVENTS: Final = {"sent": "frame.sent", "received": "frame.received"}


class Lost(Exception):
    """The connection ended while an answer was outstanding."""

    def __init__(self, why: str, *, refused: bool = False) -> None:
        """`refused`: the peer does not let us in at all, whatever is asked."""
        super().__init__(why)
        self.refused = refused


class Connection(ABC):
    """Asks one question at a time."""

    def __init__(
        self, conversation: Conversation, now_ns: Callable[[], int], stir: Callable[[], None]
    ) -> None:
        """`stir` is called when something happens that nobody waits for: a late answer, or its end in an error."""
        self._loop = asyncio.get_running_loop()
        self._conversation = conversation
        self._now_ns = now_ns
        self._stir = stir
        self._outcome: asyncio.Future[Answer | None] | None = None
        self._debug = log.is_enabled_for(logging.DEBUG)
        self.tap: Tap | None = None
        self.proven = False
        """Whether it has brought an answer."""
        self.ended = ""
        """Why it can be used no more; empty while it can."""
        self.failed = False
        """It ended in an error while nothing was outstanding: neither the peer nor we had closed it."""

    async def ask(self, question: Question, limit_s: float) -> Answer | None:
        """Ask, and wait for the answer; `None` if none came in time. Raises `Lost`."""
        if self.ended:
            raise Lost(self.ended)
        request = self._conversation.ask(question, self._now_ns())
        outcome: asyncio.Future[Answer | None] = self._loop.create_future()
        self._outcome = outcome
        timer = self._loop.call_later(limit_s, self._expire)
        try:
            if self._debug or self.tap:
                self._tell("sent", request)
            self._send(request)
            return await outcome
        except asyncio.CancelledError:
            self._conversation.abandon(self._now_ns())
            raise
        finally:
            timer.cancel()
            self._outcome = None

    def close(self, why: str) -> None:
        """End it at once, from our side."""
        if not self.ended:
            self.ended = why
            self._hang_up()

    def listen(self) -> None:  # noqa: B027  # for most the event loop has it in hand
        """Take in what has come while the event loop stood still."""

    # --- how bytes are moved -----------------------------------------------------------------------------------

    @abstractmethod
    def _send(self, request: bytes) -> None:
        """Send a request; what goes wrong is told by `_end`."""

    @abstractmethod
    def _hang_up(self) -> None:
        """Let go of what carries it."""

    # --- what happens ------------------------------------------------------------------------------------------

    def _received(self, count: int) -> None:
        """So many bytes were put into the space of the conversation."""
        if self.ended:
            return
        if self._debug or self.tap:
            self._tell("received", bytes(self._conversation.space()[:count]))
        answer = self._conversation.received(count, self._now_ns())
        if answer is not None and self._outcome is not None and not self._outcome.done():
            self.proven = True
            self._outcome.set_result(answer)
        if self._conversation.heard:
            self._stir()
        if self._conversation.broken:
            self.close(self._conversation.broken)

    def _end(self, why: str, *, failed: bool, refused: bool = False) -> None:
        """It is gone, by whichever side."""
        if self.ended:
            return
        self.close(why)
        if self._outcome is not None and not self._outcome.done():
            self._conversation.abandon(self._now_ns())
            self._outcome.set_exception(Lost(why, refused=refused))
        elif failed:
            self.failed = True
            self._stir()

    def _expire(self) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(self._conversation.abandon(self._now_ns()))

    def _tell(self, what: str, frame: bytes) -> None:
        if self.tap:
            self.tap(what, frame, self._now_ns())
        log.debug(_EVENTS[what], frame=frame)
