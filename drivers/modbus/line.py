"""A connection that is there whenever something is asked.

One that the peer closed while nothing was outstanding is opened again at the next question; so is one that was dropped
because of what came on it. If it ends while an answer is outstanding, the question is asked once more on a new one,
for the peer may have closed before it came (HTTP clients do the same: RFC 9112, 9.3.1). So a peer that closes after
every answer is polled. A write is never sent again: who asked for it reads back. Where no connection can be had, or an idle one ends in an error, the link is lost.
"""

from __future__ import annotations

import os
from asyncio import sleep
from collections.abc import Callable

import structlog

from agent.interfaces import Unavailable
from drivers.modbus.connection import Connection, Lost, Tap
from drivers.modbus.framing import Question
from drivers.modbus.settings import LinkSettings
from drivers.modbus.transaction import Answer, Conversation, Unfit

log = structlog.get_logger()


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
        self._said_drop = False
        self._said_without_ids = False
        self._tap: Tap | None = None
        self.reconnects = 0
        self.took_ns = 0
        """How long the last answer took, or the last time-out."""

    async def connect(self) -> Connection:
        """Open a connection, in place of the one there was."""
        settings = self._settings
        try:
            self._connection = await Connection.open(
                settings.host,
                settings.port,
                conversation=self._conversation,
                now_ns=self.now_ns,
                stir=self._stir,
                limit_s=settings.timeout.total_seconds(),
            )
        except OSError as error:
            raise self.unavailable(_words(error)) from error
        self._connection.tap = self._tap
        return self._connection

    @property
    def tap(self) -> Tap | None:
        """Told of everything that passes on whichever connection there is; `None`: nobody listens."""
        return self._tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        self._tap = tap
        if self._connection is not None:
            self._connection.tap = tap

    def check(self) -> None:
        """Raise `Unavailable` if the connection ended in an error."""
        if self._connection is not None and self._connection.failed:
            raise self.unavailable(self._connection.ended)

    async def ask(self, question: Question, limit_s: float) -> Answer | None:
        """Ask as soon as the line is free; the answer, or `None` if none came within the limit.

        `Unfit` of the kind `lost` if the connection ended over it, and the next one too.
        """
        again = False
        if pause_ns := self._conversation.pause_ns(question.unit, self.now_ns()):
            await sleep(pause_ns / 1e9)
        while True:
            connection = await self._ready()
            if again and self._conversation.fenced(question):
                return _lost("closed, and whether the question was heard nobody knows")
            begun_ns = self.now_ns()
            try:
                answer = await connection.ask(question, limit_s)
            except Lost as lost:
                if again or question.expected or not connection.proven:
                    return _lost(str(lost))
                again = True
            else:
                self.took_ns = self.now_ns() - begun_ns
                if self._conversation.echoes is False and not self._said_without_ids:
                    self._say_without_ids()
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
        while wait_ns := self._conversation.wait_ns(self.now_ns()):  # noqa: ASYNC110  time is all it waits for
            await sleep(wait_ns / 1e9)
        self.check()
        if broken := self._conversation.broken:
            self.drop(broken)
        if self._connection is not None and not self._connection.ended:
            return self._connection
        self.reconnects += 1
        return await self.connect()

    def _say_without_ids(self) -> None:
        self._said_without_ids = True
        log.warning(
            "link.without_ids",
            link=self._settings.id,
            error="the peer answers with transaction id 0: after every time-out the line has to stay quiet",
        )

    def unavailable(self, why: str) -> Unavailable:
        """What is to be raised when the link is lost."""
        settings = self._settings
        return Unavailable(f"link {settings.id}: {settings.host}:{settings.port}: {why}")


def _lost(words: str) -> Unfit:
    return Unfit("lost", f"the connection ended before the answer came: {words}")


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no connection in time"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
