"""A connection that is there whenever something is asked.

One that the peer closed while nothing was outstanding is opened again at the next question; so is one that was dropped
because of what came on it. If it ends while an answer is outstanding, the question is asked once more on a new one,
for the peer may have closed before it came (HTTP clients do the same: RFC 9112, 9.3.1). So a peer that closes after
every answer is polled. A write is never sent again: who asked for it reads back. Where no connection can be had, or an idle one ends in an error, the link is lost.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from asyncio import sleep
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import structlog

from agent.interfaces import Unavailable
from drivers.modbus.line.connection import Connection, Lost, Tap
from drivers.modbus.line.ends import FramingKind, Transport
from drivers.modbus.line.framing import Question
from drivers.modbus.line.line_time import FAST
from drivers.modbus.line.transaction import Answer, Conversation, Unfit
from drivers.modbus.settings import LinkSettings

log = structlog.get_logger()


HANDSHAKE: Final = timedelta(seconds=10)
"""So long at least may connecting take with TLS: a small controller works for seconds on its signature."""
TIMER_NS: Final = 1_000_000
"""What the timers of an event loop are good for: they fire up to a millisecond late. The rest of a silence is slept out
with the loop standing still, to the microsecond: at 19,200 bits a second a silence is 2 ms, and each one that is a
millisecond too long costs three percent of the line. On faster lines it is left to the timers, since there the loop
would stand still for a tenth of the time."""


class Line:
    """Asks one question at a time, over as many connections as it takes. Raises `Unavailable` when none can be had."""

    def __init__(
        self,
        settings: LinkSettings,
        conversation: Conversation,
        now_ns: Callable[[], int],
        stir: Callable[[], None],
    ) -> None:
        """`stir` is called when something happens that nobody waits for; see `check`, and `Conversation.heard`."""
        self._settings = settings
        self._conversation = conversation
        self.now_ns = now_ns
        self._stir = stir
        self._connection: Connection | None = None
        self._tap: Tap | None = None
        self._time = settings.line_time
        self._hurried = self._time is not None and self._time.speed <= FAST
        self._said_drop = False
        self._said: set[str] = set()
        self.reconnects = 0
        self.took_ns = 0
        """How long the last answer took, or the last time-out."""

    @property
    def tap(self) -> Tap | None:
        """Who is told everything that passes."""
        return self._tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self._tap = tap
        if self._connection is not None:
            self._connection.tap = tap

    async def connect(self) -> Connection:
        """Open a connection, in place of the one there was. Raises `Unavailable`, `Misconfigured`."""
        settings = self._settings
        self.close()
        try:
            async with asyncio.timeout(
                max(settings.timeout, HANDSHAKE if settings.tls else timedelta()).total_seconds()
            ):
                connection = await _connect(settings, self._conversation, self.now_ns, self._stir)
        except OSError as error:
            raise self.unavailable(_words(error)) from error
        rest_ns = settings.connect_delay // timedelta(microseconds=1) * 1000
        if self._time:
            rest_ns = max(rest_ns, self._time.silence_ns)
        self._conversation.opened(self.now_ns() + rest_ns)
        connection.tap = self._tap
        self._connection = connection
        return connection

    def check(self) -> None:
        """Raise `Unavailable` if the connection ended in an error."""
        if self._connection is not None and self._connection.failed:
            raise self.unavailable(self._connection.ended)

    async def ask(self, question: Question, limit_s: float) -> Answer | None:
        """Ask as soon as the line is free; the answer, or `None` if none came within the limit.

        `Unfit` of the kind `lost` if the connection ended over it, and the next one too.
        """
        again = False
        if self._conversation.pauses:
            await sleep(self._conversation.pause_ns(question.unit, self.now_ns()) / 1e9)
        while True:
            connection = await self._ready()
            if again and self._conversation.fenced(question):
                return _lost("closed, and whether the question was heard nobody knows")
            begun_ns = self.now_ns()
            try:
                answer = await connection.ask(question, limit_s + self._transfer_s(question))
            except Lost as lost:
                if lost.refused:
                    raise self.unavailable(str(lost)) from lost
                if again or question.expected or not connection.proven:
                    return _lost(str(lost))
                again = True
            else:
                self.took_ns = self.now_ns() - begun_ns
                self._say_what_is_odd()
                return answer

    def drop(self, why: str) -> None:
        """Hang up; the next question opens a new connection."""
        (log.debug if self._said_drop else log.warning)("link.dropped", link=self._settings.id, error=why)
        self._said_drop = True
        if self._connection is not None:
            self._connection.close(why)

    def close(self) -> None:
        """Hang up for good."""
        if self._connection is not None:
            self._connection.close("closed by us")

    async def _ready(self) -> Connection:
        """Wait until the line is free and a connection is there."""
        opened = False
        while True:
            await self._free()
            self.check()
            if broken := self._conversation.broken:
                self.drop(broken)
            if self._connection is not None and not self._connection.ended:
                return self._connection
            if opened and self._connection is not None:  # in the pause behind connecting
                raise self.unavailable(self._connection.ended)
            self.reconnects += 1
            await self.connect()
            opened = True

    async def _free(self) -> None:
        """Wait until something may be asked."""
        while wait_ns := self._conversation.wait_ns(self.now_ns()):
            if not self._hurried:
                await sleep(wait_ns / 1e9)
            elif wait_ns > TIMER_NS:
                await sleep((wait_ns - TIMER_NS) / 1e9)
            else:
                time.sleep(wait_ns / 1e9)  # noqa: ASYNC251  the loop's timers would take a whole millisecond
                if self._connection is not None:
                    self._connection.listen()

    def _transfer_s(self, question: Question) -> float:
        """How long question and answer take on a serial line: a device's time limit is for its thinking alone."""
        if self._time is None:
            return 0.0
        return self._time.of(len(question.frame) + question.answer_length) / 1e9

    def _say_what_is_odd(self) -> None:
        """Say once what somebody who looks after the line should know."""
        conversation = self._conversation
        if conversation.echoes is False and self._settings.frames is FramingKind.TCP:
            self._say_once(
                "link.without_ids",
                "the peer answers with transaction id 0: after every time-out the line has to stay quiet",
            )
        if conversation.echo.heard:
            self._say_once("link.hears_itself", "the line brings back what is sent; it is thrown away")
        if conversation.overhearing.other_master:
            self._say_once(
                "link.other_master",
                "somebody else asks on this line: a line has one master; find it, or some answers will be lost",
            )

    def _say_once(self, event: str, words: str) -> None:
        if event not in self._said:
            self._said.add(event)
            log.warning(event, link=self._settings.id, error=words)

    def unavailable(self, why: str) -> Unavailable:
        """What is to be raised when the link is lost."""
        return Unavailable(f"link {self._settings.id}: {self._settings.address}: {why}")


async def _connect(
    settings: LinkSettings, conversation: Conversation, now_ns: Callable[[], int], stir: Callable[[], None]
) -> Connection:
    """Open what carries the link; only that is imported."""
    if settings.serial:
        from drivers.modbus.line import serial_port as way  # noqa: PLC0415  pyserial is for serial lines
    elif settings.transport is Transport.UDP:
        from drivers.modbus.line import datagram as way  # type: ignore[no-redef]  # noqa: PLC0415  one of three, alike
    else:
        from drivers.modbus.line import stream as way  # type: ignore[no-redef]  # noqa: PLC0415  one of three, alike
    return await way.connect(settings, conversation, now_ns, stir)


def _lost(words: str) -> Unfit:
    return Unfit("lost", f"the connection ended before the answer came: {words}")


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no connection in time"
    if isinstance(error, socket.gaierror):  # its numbers are not those of the system
        return error.strerror or str(error)
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
