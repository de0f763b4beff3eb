"""One session with a broker: the window, the acknowledgements, and the end of everything in flight when it is lost.

The buffer on disk is the only queue. A session therefore keeps nothing that it could not forget: every one begins
clean, and when it is lost each `publish` that waits raises at once and the forwarder offers those rows again.

What may go wrong in silence is found by looking: a broker that takes bytes but acknowledges nothing (pings prove
nothing about that) or forgets one message, a connection that died without a sign. The look is a timer, not a task,
and it comes a few times within the shortest of the limits that it watches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from agent.interfaces import Unavailable
from agent.tls import trust_in
from agent.topics import LONGEST_TOPIC
from agent.uplinks.mqtt import codes
from agent.uplinks.mqtt.client import Client
from agent.uplinks.mqtt.connecting import Target, connect_wire
from agent.uplinks.mqtt.settings import UplinkSettings
from agent.uplinks.mqtt.wire import Wire
from agent.upstream import Answer, Gateway, Message, Verdict

FAREWELL_S = 1.0
"""How long a DISCONNECT may take to leave; the agent has 5 s to stop."""

LOOKS = 4
"""How often the clock is looked at within the shortest limit: nothing is found later than a quarter of it."""

ROOM_BESIDE = LONGEST_TOPIC + 64
"""Bytes of a packet that are not payload: topic, its length, identifier, fixed header, content type."""

LEAST_LIMIT = 256
"""Bytes of payload offered however little the broker takes: less would hold no reading at all."""


async def begin(
    settings: UplinkSettings, gateway: Gateway, will: Message | None, received: Callable[[str, bytes], None]
) -> Session:
    """Open a session. Raises `Unavailable` with one line that says what to do, `Misconfigured` for what is wrong here."""
    limit_s = settings.connect_timeout.total_seconds()
    target = Target(*settings.address, limit_s, settings.ack_timeout.total_seconds())
    wire = Wire()
    client = Client(wire, settings, settings.client_id or gateway.id, will)
    client.received = received
    try:
        async with asyncio.timeout(limit_s):
            trust = None if settings.tls is None else await trust_in(settings.tls.ca_file)
            await connect_wire(wire, target, trust)
            try:
                await client.open()
            except Unavailable as error:
                raise Unavailable(f"{target}: {error}") from None
            return Session(settings, target, wire, client)
    except TimeoutError:
        wire.abort()
        what = "no CONNACK" if wire.connected else "no connection"
        raise Unavailable(f"{target}: {what} within {limit_s:g} s") from None
    except BaseException:
        # Without this the connection would live on with our client id, and throw out the next session.
        wire.abort()
        raise


class Session:
    """One open session (agent.upstream.Connection)."""

    def __init__(self, settings: UplinkSettings, target: Target, wire: Wire, client: Client) -> None:
        announced = client.announced
        self._loop = asyncio.get_running_loop()
        self._target = target
        self._wire = wire
        self._client = client
        self._largest = min(
            settings.max_packet_size, getattr(announced, "MaximumPacketSize", settings.max_packet_size)
        )
        self._keeps_retained = getattr(announced, "RetainAvailable", 1) == 1
        self.window: int = max(1, min(settings.window, getattr(announced, "ReceiveMaximum", settings.window)))
        """Messages that may be on the way at once: ours or the broker's receive maximum."""
        self.limit: int = max(LEAST_LIMIT, self._largest - ROOM_BESIDE)
        """Bytes of payload, so that a packet with the longest of topics is no longer than the broker takes."""
        self._in_flight: dict[int, asyncio.Future[Verdict | None]] = {}
        self._room = asyncio.Event()
        self._over = asyncio.Event()
        self._words = ""
        self._ack_timeout_s = settings.ack_timeout.total_seconds()
        self._moved_at_s = self._loop.time()
        self._unsent = self._delivered = 0
        shortest_s = min(self._ack_timeout_s, client.keepalive or self._ack_timeout_s)
        self._look_every_s = shortest_s / LOOKS
        self._timer = self._loop.call_later(self._look_every_s, self._look)
        client.acknowledged = self._acknowledged
        client.ended = self._end
        wire.writable = self._room.set
        if client.end:
            self._end(client.end)

    async def publish(self, message: Message) -> Verdict:
        """Send one message and wait for its PUBACK. Cancelled, it leaves a message that may or may not arrive.

        A message at QoS 0 has no answer, and so counts as accepted when it is written; it must not cover readings.
        """
        if not 0 <= message.qos <= 1 or (message.qos == 0 and message.covers):
            raise ValueError(f"a message at QoS {message.qos} is never acknowledged here: {message.topic}")
        if refusal := self._refusal(message):
            return refusal
        while not self._words and (len(self._in_flight) >= self.window or self._wire.congested):
            self._room.clear()
            await self._room.wait()
        if self._words:
            raise Unavailable(self._words)
        identifier = self._client.send(message)
        if message.qos == 0:
            return Verdict(Answer.ACCEPTED)
        if not self._in_flight:
            self._moved_at_s = self._loop.time()
        answer = self._in_flight[identifier] = self._loop.create_future()
        verdict: Verdict | None = await answer
        if verdict is None:
            raise Unavailable(self._words)
        return verdict

    def _refusal(self, message: Message) -> Verdict | None:
        """What the broker has said beforehand that it does not take: sent all the same, it would end the session."""
        if (size := self._client.size(message)) > self._largest:
            return Verdict(Answer.REFUSED, f"{codes.name(0x95)}: {size} bytes; {self._largest} are the limit")
        if message.retain and not self._keeps_retained:
            return Verdict(Answer.REFUSED, codes.name(0x9A))
        return None

    async def lost(self) -> NoReturn:
        """Wait until the session is lost, then raise `Unavailable`."""
        await self._over.wait()
        raise Unavailable(self._words)

    async def farewell(self) -> None:
        """Say goodbye if there is still somebody to say it to; then it is over. Takes at most a second."""
        if not self._words:
            self._client.ended = _nobody
            self._client.say_goodbye()
            try:
                async with asyncio.timeout(FAREWELL_S):
                    await self._wire.over()
            except TimeoutError:
                pass
            finally:
                self.abort()

    def abort(self) -> None:
        """Break off: the broker will publish the will."""
        self._end("the session was closed from this side")

    def _acknowledged(self, identifier: int, code: int, words: str) -> None:
        if next(iter(self._in_flight), None) == identifier:
            # Only the oldest counts as progress: one that is never acknowledged must not hide behind the others.
            self._moved_at_s = self._loop.time()
        answer = self._in_flight.pop(identifier, None)
        if answer is not None and not answer.done():
            answer.set_result(codes.verdict(code, words))
        self._room.set()

    def _end(self, words: str) -> None:
        if self._words:
            return
        self._words = f"{self._target}: {words}"
        self._timer.cancel()
        self._wire.abort()
        for answer in self._in_flight.values():
            if not answer.done():
                answer.set_result(None)
        self._in_flight.clear()
        self._room.set()
        self._over.set()

    def _look(self) -> None:
        """Whether a ping is due, and whether what is in flight still moves."""
        self._timer = self._loop.call_later(self._look_every_s, self._look)
        self._client.look_at_the_clock()
        if self._words or not self._in_flight:
            return
        unsent = self._wire.unsent()
        delivered = self._wire.written - unsent
        if self._unsent and delivered > self._delivered:
            # A slow line: what waited at the last look has left meanwhile, and cannot have been acknowledged yet.
            self._moved_at_s = self._loop.time()
        self._unsent, self._delivered = unsent, delivered
        if (silent_s := self._loop.time() - self._moved_at_s) > self._ack_timeout_s:
            self._end(
                f"{len(self._in_flight)} messages in flight, the oldest not acknowledged for {silent_s:.0f} s"
            )


def _nobody(_: str) -> None:
    pass
