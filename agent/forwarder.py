"""Lane, format, uplink: the sessions of one uplink, from greeting to farewell.

    connect (with the will) --> opening messages --> delivery, until it is lost or the agent stops --> closing messages

What is sent in between, and what becomes of it, is `delivery`'s business; when to try again, the supervisor's. The
forwarder knows nothing of topics, payloads or protocols, and never waits for the gathering half.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from agent.buffer import Lanes
from agent.delivery import FAREWELL_S, Delivery, Refusals
from agent.sample import Point
from agent.upstream import Answer, Connection, Format, Gateway, Message, Uplink, UplinkBase

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Everything that leads to one upstream."""

    settings: UplinkBase
    uplink: Uplink
    format: Format
    gateway: Gateway


class Forwarder:
    """Sends the lanes of one uplink, session after session."""

    def __init__(self, route: Route, lanes: Lanes, points: Mapping[str, Sequence[Point]]) -> None:
        """`points` are those that this uplink takes, by device id."""
        self._route = route
        self._lanes = lanes
        self._points = points
        self._closing = False
        self._ending = asyncio.Event()
        self._refusals = Refusals()
        self.in_session = False
        """Whether upstream is there: if not, there is nobody to say farewell to."""

    def close(self) -> None:
        """Take nothing more from the lanes; a running session says farewell and ends within twice `FAREWELL_S`."""
        self._closing = True
        self._ending.set()

    def describe(self, points: Mapping[str, Sequence[Point]]) -> None:
        """Have these points from now on: if they are others, upstream is told in a new session."""
        if points != self._points:
            self._points = points
            self._ending.set()

    async def session(self, works: Callable[[], None]) -> None:
        """One session with upstream after the other, until one is lost (raises `Unavailable`) or `close` was called.

        `works` is called when upstream has taken the opening messages.
        """
        try:
            while not self._closing:
                self._ending.clear()
                await self._session(works)
        except Exception as error:
            if not self._closing:
                raise
            # What was on the way is sent again after the next start; that is no news to anybody now.
            log.debug("uplink.broken_off", uplink=self._route.settings.id, error=repr(error))
        finally:
            self.in_session = False

    async def _session(self, works: Callable[[], None]) -> None:
        route = self._route
        conversation = route.format.session(route.settings.format, route.gateway)

        def received(topic: str, payload: bytes) -> None:
            for command in conversation.received(topic, payload):
                log.warning(
                    "command.refused", uplink=route.settings.id, command=command.id, error="read-only"
                )

        async with route.uplink.connect(
            route.settings, route.gateway, conversation.will(), received
        ) as connection:
            await self._say(connection, conversation.opened(self._points))
            works()
            self.in_session = True
            self._lanes.begin()
            delivery = Delivery(self._lanes, connection, conversation, self._refusals, route.settings.id)
            await delivery.run(self._ending)
            if self._closing:  # else the next session follows at once, and upstream need not hear of it
                async with asyncio.timeout(FAREWELL_S):
                    await self._say(connection, conversation.closing())

    async def _say(self, connection: Connection, messages: Sequence[Message]) -> None:
        """Send messages that carry no readings, in their order, as many at once as the window allows."""
        window = asyncio.Semaphore(connection.window)

        async def say(message: Message) -> None:
            try:
                verdict = await connection.publish(message)
            finally:
                window.release()
            if verdict.answer is not Answer.ACCEPTED:
                # Nothing is lost by it, but somebody should know.
                log.warning(
                    "uplink.announcement_refused",
                    uplink=self._route.settings.id,
                    topic=message.topic,
                    answer=verdict.words,
                )

        async with asyncio.TaskGroup() as group:
            for message in messages:
                await window.acquire()
                group.create_task(say(message), name=f"say {message.topic}")
