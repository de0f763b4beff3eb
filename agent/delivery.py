"""What is on the way in one session with an upstream, and what becomes of each row.

Two loops run side by side, one for each lane. They share the window of messages that may be on the way; the backlog
may fill three quarters of it, so a live message never waits behind hours of history. A row is settled when every
message that covers it was accepted, offered again when one of them was not, and set aside only when upstream refuses
it while taking others: one poison message must not block the rest, and a broker that refuses everything must not
empty the buffer.

Nothing here knows of topics, payloads or protocols, nor of how a session begins and ends: `forwarder` does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from agent.buffer import Lanes
from agent.interfaces import Answer, Connection, FormatSession, Message, Span, Unavailable, Verdict
from agent.sample import Lane, Row
from agent.timing import WHEN_BUSY

log = structlog.get_logger()

READINGS_AT_ONCE = 2_000
"""How much is taken from a lane for one call of the format: some 200 kB of JSON, a few messages."""

REFUSALS = 3
"""How often upstream must refuse a row, while taking others, before it is set aside."""

REMEMBERED = 10_000
"""Bound of the rows whose refusals are counted; beyond it the count begins anew."""

HOLD_S = 1.0
"""How long a row that the format held waits before it is offered to it again."""

ACCEPTED = Verdict(Answer.ACCEPTED)

FAREWELL_S = 2.0
"""How long what is on the way may take to be acknowledged when the agent stops."""


class Refusals:
    """Which rows upstream has refused, how often, and whether it took others meanwhile."""

    def __init__(self) -> None:
        self._accepted = 0
        self._times: dict[Span, tuple[int, int]] = {}

    def accepted(self) -> None:
        """Take note that upstream took something."""
        self._accepted += 1

    def poisonous(self, span: Span) -> bool:
        """Count one more refusal of this row; whether it is this row, and not the upstream, that is at fault."""
        times, accepted_before = self._times.pop(span, (0, self._accepted))
        if times + 1 >= REFUSALS and self._accepted > accepted_before:
            return True
        if len(self._times) >= REMEMBERED:
            self._times.clear()
        self._times[span] = (times + 1, accepted_before)
        return False


@dataclass(slots=True)
class _Pending:
    """What is still to be heard about one row."""

    messages: int = 0
    verdict: Verdict = ACCEPTED
    """The worst so far."""


class Delivery:
    """What is on the way in one session."""

    def __init__(
        self,
        lanes: Lanes,
        connection: Connection,
        conversation: FormatSession,
        refusals: Refusals,
        name: str,
    ) -> None:
        self._lanes = lanes
        self._connection = connection
        self._conversation = conversation
        self._refusals = refusals
        self._log = log.bind(uplink=name)
        self._window = asyncio.Semaphore(connection.window)
        self._backlog_share = asyncio.Semaphore(max(1, connection.window * 3 // 4))
        self._pending: dict[Span, _Pending] = {}
        self._on_the_way: set[asyncio.Task[None]] = set()
        self._busy_since_s: float | None = None
        self._resume_at_s = 0.0

    async def run(self, closing: asyncio.Event) -> None:
        """Send both lanes until `closing`, then wait for what is on the way.

        Raises what a publish raises, and `Unavailable` when upstream does not answer for it in time.
        """
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._send(lane, group), name=f"send {lane.value}") for lane in Lane]
            running.append(group.create_task(self._connection.lost(), name="watch"))
            await closing.wait()
            for task in running:
                task.cancel()
            if self._on_the_way:
                _, unanswered = await asyncio.wait(self._on_the_way, timeout=FAREWELL_S)
                if unanswered:
                    raise Unavailable(
                        f"{len(unanswered)} messages were not answered for within {FAREWELL_S:g} s"
                    )

    async def _send(self, lane: Lane, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._lanes.wait(lane)
            if (pause_s := self._resume_at_s - loop.time()) > 0:
                await asyncio.sleep(pause_s)
            rows = await self._lanes.take(lane, READINGS_AT_ONCE)
            messages = self._conversation.encode(rows, lane, self._connection.limit) if rows else ()
            held = self._expect(rows, messages)
            for message in messages:
                if lane is Lane.BACKLOG:
                    await self._backlog_share.acquire()
                await self._window.acquire()
                task = group.create_task(self._publish(message, lane), name=f"publish {message.topic}")
                self._on_the_way.add(task)
                task.add_done_callback(self._on_the_way.discard)
            if held:
                await asyncio.sleep(HOLD_S)
                self._lanes.release(held)

    def _expect(self, rows: Sequence[Row], messages: Sequence[Message]) -> list[Span]:
        """Note which messages each row waits for; the rows that the format holds."""
        for message in messages:
            for span in message.covers:
                self._pending.setdefault(span, _Pending()).messages += 1
        spans = (Span(row.store, row.number, row.end) for row in rows)
        return [span for span in spans if span not in self._pending]

    async def _publish(self, message: Message, lane: Lane) -> None:
        try:
            verdict = await self._connection.publish(message)
        finally:
            self._window.release()
            if lane is Lane.BACKLOG:
                self._backlog_share.release()
        self._take_note(verdict, message.topic)
        settled: list[Span] = []
        again: list[Span] = []
        poison: list[Span] = []
        for span in message.covers:
            pending = self._pending[span]
            pending.messages -= 1
            pending.verdict = max(pending.verdict, verdict, key=_severity)
            if pending.messages:
                continue
            del self._pending[span]
            if pending.verdict.answer is Answer.ACCEPTED:
                settled.append(span)
            elif pending.verdict.answer is Answer.REFUSED and self._refusals.poisonous(span):
                poison.append(span)
            else:
                again.append(span)
        self._lanes.settle(settled)
        self._lanes.release(again)
        if poison:
            self._log.warning("uplink.set_aside", rows=len(poison), topic=message.topic, answer=verdict.words)
            self._lanes.refuse(poison, verdict.words)

    def _take_note(self, verdict: Verdict, topic: str) -> None:
        """Slow down when upstream does not take what it is given; go on at full speed when it does again."""
        if verdict.answer is Answer.ACCEPTED:
            self._refusals.accepted()
            if self._busy_since_s is not None:
                self._busy_since_s = None
                self._log.info("uplink.accepting")
            return
        now_s = asyncio.get_running_loop().time()
        if self._busy_since_s is None:
            self._busy_since_s = now_s
            self._log.warning("uplink.not_accepting", topic=topic, answer=verdict.words)
        self._resume_at_s = now_s + WHEN_BUSY.delay_s(now_s - self._busy_since_s, random.random())  # noqa: S311  # jitter


def _severity(verdict: Verdict) -> Answer:
    return verdict.answer
