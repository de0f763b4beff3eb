"""What is on the way in one session with an upstream, and what becomes of each row.

Two loops run side by side, one for each lane. They share the window of messages that may be on the way; the backlog
may fill three quarters of it, so a live message never waits behind hours of history. A row is settled when every
message that covers it was accepted, and offered again when one of them was not:

    busy        at once, but everything is sent more slowly
    refused     after a while, so that what comes after it is not held up; and if upstream has refused it several
                times while taking others on the same topic, it is set aside: one poison message must not block the
                rest, and a broker that refuses a topic, or everything, must not empty the buffer

Nothing here knows of topics, payloads or protocols, nor of how a session begins and ends: `forwarder` does.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from agent.buffer import Lanes
from agent.interfaces import Unavailable
from agent.sample import Lane, Row
from agent.timing import WHEN_BUSY
from agent.upstream import Answer, Connection, FormatSession, Message, Span, Verdict

log = structlog.get_logger()

READINGS_AT_ONCE = 2_000
"""How much is taken from a lane for one call of the format: some 200 kB of JSON, a few messages."""

REFUSALS = 3
"""How often upstream must refuse a row, while taking others on its topic, before it is set aside."""

REMEMBERED = 10_000
"""Bound of the rows whose refusals are counted; beyond it the count begins anew."""

PUT_OFF = 2_000
"""Most rows that wait to be offered again after a refusal; beyond them both lanes slow down instead."""

HOLD_S = 1.0
"""How long a row that the format held waits before it is offered to it again."""

ACCEPTED = Verdict(Answer.ACCEPTED)

FAREWELL_S = 2.0
"""How long what is on the way may take to be acknowledged when the agent stops."""


class Refusals:
    """Which rows upstream has refused, how often, and whether it took others on the same topic meanwhile."""

    def __init__(self) -> None:
        self._accepted: Counter[str] = Counter()
        self._times: dict[Span, tuple[int, int]] = {}

    def accepted(self, topic: str) -> None:
        """Take note that upstream took something on this topic."""
        self._accepted[topic] += 1

    def poisonous(self, span: Span, topic: str) -> bool:
        """Count one more refusal of this row; whether it is this row, and not its topic, that is at fault."""
        times, accepted_before = self._times.pop(span, (0, self._accepted[topic]))
        if times + 1 >= REFUSALS and self._accepted[topic] > accepted_before:
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
    """The worst so far, and the topic of the message that got it."""
    topic: str = ""


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
        self._put_off: set[asyncio.Task[None]] = set()
        self._rows_put_off = 0
        self._not_accepting_since_s: dict[str, float] = {}
        """By topic."""
        self._resume_at_s = 0.0

    async def run(self, closing: asyncio.Event) -> None:
        """Send both lanes until `closing`, then wait for what is on the way.

        Raises what a publish raises, and `Unavailable` when upstream does not answer for it in time.
        """
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._send(lane, group), name=f"send {lane.value}") for lane in Lane]
            running.append(group.create_task(self._connection.lost(), name="watch"))
            await closing.wait()
            for task in (*running, *self._put_off):
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
                task = group.create_task(self._publish(message, lane, group), name=f"publish {message.topic}")
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

    async def _publish(self, message: Message, lane: Lane, group: asyncio.TaskGroup) -> None:
        try:
            verdict = await self._connection.publish(message)
        finally:
            self._window.release()
            if lane is Lane.BACKLOG:
                self._backlog_share.release()
        self._take_note(verdict, message.topic)
        by_answer: dict[Answer, list[Span]] = {answer: [] for answer in Answer}
        poison: list[Span] = []
        for span in message.covers:
            pending = self._pending[span]
            pending.messages -= 1
            if verdict.answer > pending.verdict.answer:
                pending.verdict, pending.topic = verdict, message.topic
            if pending.messages:
                continue
            del self._pending[span]
            answer = pending.verdict.answer
            poisonous = answer is Answer.REFUSED and self._refusals.poisonous(span, pending.topic)
            (poison if poisonous else by_answer[answer]).append(span)
        self._lanes.settle(by_answer[Answer.ACCEPTED])
        self._lanes.release(by_answer[Answer.BUSY])
        if refused := by_answer[Answer.REFUSED]:
            task = group.create_task(self._offer_later(refused, self._delay_s(message.topic)), name="put off")
            self._put_off.add(task)
            task.add_done_callback(self._put_off.discard)
        if poison:
            self._log.warning("uplink.set_aside", rows=len(poison), topic=message.topic, answer=verdict.words)
            self._lanes.refuse(poison, verdict.words)

    async def _offer_later(self, spans: Sequence[Span], delay_s: float) -> None:
        self._rows_put_off += len(spans)
        if self._rows_put_off > PUT_OFF:
            self._pause(delay_s)
        await asyncio.sleep(delay_s)
        self._rows_put_off -= len(spans)
        self._lanes.release(spans)

    def _take_note(self, verdict: Verdict, topic: str) -> None:
        """Say once that upstream does not take what it is given, and once that it does again; slow down when it is busy."""
        if verdict.answer is Answer.ACCEPTED:
            self._refusals.accepted(topic)
            if self._not_accepting_since_s.pop(topic, None) is not None:
                self._log.info("uplink.accepting", topic=topic)
            return
        if topic not in self._not_accepting_since_s:
            self._not_accepting_since_s[topic] = asyncio.get_running_loop().time()
            self._log.warning("uplink.not_accepting", topic=topic, answer=verdict.words)
        if verdict.answer is Answer.BUSY:
            self._pause(self._delay_s(topic))

    def _delay_s(self, topic: str) -> float:
        """How long to wait before a topic that is not accepted is tried again."""
        now_s = asyncio.get_running_loop().time()
        since_s = self._not_accepting_since_s.get(topic, now_s)
        return WHEN_BUSY.delay_s(now_s - since_s, random.random())  # noqa: S311  # jitter, not a secret

    def _pause(self, delay_s: float) -> None:
        self._resume_at_s = max(self._resume_at_s, asyncio.get_running_loop().time() + delay_s)
