"""One TCP connection, as thin as it can be: bytes to and from a conversation, time limits, and how it ended.

What the bytes mean is decided in `transaction`; whether to open another connection, in `link`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, Self, TypeAlias, cast

import structlog

from agent.aside import look_up
from drivers.modbus.framing import Question
from drivers.modbus.transaction import Answer, Conversation

log = structlog.get_logger()

KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
"""An idle connection whose peer vanished ends within a minute (tcp(7), seconds and counts)."""
USER_TIMEOUT_MS: Final = 10_000
"""One whose peer does not even acknowledge what was asked ends after this (tcp(7), Linux only)."""


Tap: TypeAlias = Callable[[str, bytes, int], None]
"""Takes what passes: `sent` or `received`, the bytes, and when, on the monotonic clock."""


class Lost(Exception):
    """The connection ended while an answer was outstanding."""


class Connection(asyncio.BufferedProtocol):
    """Asks one question at a time; made by `open`."""

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        *,
        conversation: Conversation,
        now_ns: Callable[[], int],
        stir: Callable[[], None],
        limit_s: float,
    ) -> Self:
        """Connect within the limit. Raises `OSError`, of which `TimeoutError` is one.

        `stir` is called when something happens that nobody waits for: a late answer, or its end in an error.
        """
        loop = asyncio.get_running_loop()
        refusal = OSError(f"no address for {host}")
        async with asyncio.timeout(limit_s):
            for *_, address in await look_up(host, port):
                try:
                    _, connection = await loop.create_connection(
                        lambda: cls(loop, conversation, now_ns, stir), address[0], port
                    )
                except OSError as error:
                    refusal = error  # another address of the name may answer
                else:
                    return connection
        raise refusal

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        conversation: Conversation,
        now_ns: Callable[[], int],
        stir: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._conversation = conversation
        self._now_ns = now_ns
        self._stir = stir
        self._transport: asyncio.Transport | None = None
        self._outcome: asyncio.Future[Answer | None] | None = None
        self._debug = log.is_enabled_for(logging.DEBUG)
        self.tap: Tap | None = None
        """Told of everything that passes."""
        self.proven = False
        """Whether it has brought an answer."""
        self.ended = ""
        """Why it can be used no more; empty while it can."""
        self.failed = False
        """It ended in an error while nothing was outstanding: neither the peer nor we had closed it."""

    async def ask(self, question: Question, limit_s: float) -> Answer | None:
        """Ask, and wait for the answer; `None` if none came in time. Raises `Lost`."""
        if self._transport is None or self.ended:
            raise Lost(self.ended)
        request = self._conversation.ask(question, self._now_ns())
        outcome: asyncio.Future[Answer | None] = self._loop.create_future()
        self._outcome = outcome
        timer = self._loop.call_later(limit_s, self._expire)
        try:
            self._transport.write(request)
            if self.tap is not None:
                self.tap("sent", request, self._now_ns())
            if self._debug:
                log.debug("frame.sent", unit=question.unit, frame=request)
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
            if self._transport is not None:
                self._transport.abort()

    def _expire(self) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._conversation.abandon(self._now_ns())
            self._outcome.set_result(None)

    # --- called by the event loop ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        sock: socket.socket = transport.get_extra_info("socket")
        for level, option, value in KEEPALIVE:
            sock.setsockopt(level, option, value)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        self._conversation.opened()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  the conversation knows how much it takes
        """Where to receive into."""
        return self._conversation.space()

    def buffer_updated(self, nbytes: int) -> None:
        """Hand what came to the conversation."""
        if self.ended:
            return
        if self.tap is not None:
            self.tap("received", bytes(self._conversation.space()[:nbytes]), self._now_ns())
        if self._debug:
            log.debug("frame.received", frame=bytes(self._conversation.space()[:nbytes]))
        answer = self._conversation.received(nbytes, self._now_ns())
        if answer is not None and self._outcome is not None and not self._outcome.done():
            self.proven = True
            self._outcome.set_result(answer)
        if self._conversation.heard:
            self._stir()
        if self._conversation.broken:
            self.close(self._conversation.broken)

    def eof_received(self) -> None:
        """The peer has closed."""
        self._end("closed by the peer", failed=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, by whichever side."""
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc or "closed")
        self._end(why, failed=exc is not None)

    def _end(self, why: str, *, failed: bool) -> None:
        if self.ended:
            return
        self.close(why)
        if self._outcome is not None and not self._outcome.done():
            self._conversation.abandon(self._now_ns())
            self._outcome.set_exception(Lost(why))
        elif failed:
            self.failed = True
            self._stir()
