"""The forwarder over a real buffer, with an upstream that answers as it is told."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

import agent.delivery
from agent.buffer import BufferSettings, open_buffer
from agent.clock import Clock
from agent.fields import Place
from agent.forwarder import Forwarder, Route
from agent.interfaces import Unavailable
from agent.sample import Lane, Point, Sample, Shape
from agent.upstream import Answer, FormatBase, Gateway, Message, Span, UplinkBase, Verdict

SHAPE = Shape("meter-1", (Point(name="power"), Point(name="energy")))
UPLINK = UplinkBase(id="city", kind="scripted", format=FormatBase(kind="plain"))
GATEWAY = Gateway(id="gw", place=Place(), version="0")
ACCEPTED, BUSY, REFUSED = (Verdict(answer, answer.name) for answer in Answer)
LIMIT_S = 20


@dataclass
class Upstream:
    """An uplink module whose broker answers by a script, and a format of one message for each row."""

    answer: Callable[[Message], Verdict] = lambda _: ACCEPTED
    window: int = 8
    seen: list[Message] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    split: int = 1
    """How many messages cover each row."""
    holding: bool = False

    def __post_init__(self):
        self.hold.set()
        self.changed = asyncio.Event()
        self.broken = asyncio.Event()
        self.ended = []

    @asynccontextmanager
    async def connect(self, _settings, _gateway, will, _received):
        assert will.payload == b"will"
        yield self
        self.ended.append("politely")

    limit = 10_000

    async def publish(self, message):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.changed.set()
        try:
            await asyncio.sleep(0.001)  # the way there and back
            await self.hold.wait()
            if self.broken.is_set():
                raise Unavailable("scripted: the connection was lost")
            self.seen.append(message)
            self.changed.set()
            return self.answer(message)
        finally:
            self.at_once -= 1

    async def lost(self):
        await self.broken.wait()
        raise Unavailable("scripted: the connection was lost")

    def session(self, _settings, _gateway):
        return SimpleNamespace(
            will=lambda: Message("will", b"will"),
            opened=lambda _points: [Message("hello", b"")],
            encode=self.encode,
            received=lambda _topic, _payload: (),
            closing=lambda: [Message("bye", b"")],
        )

    def encode(self, rows, lane, _limit):
        if self.holding:
            return []
        return [
            Message(lane.value, b"%d" % row.number, covers=(Span(row.store, row.number, row.end),))
            for row in rows
            for _ in range(self.split)
        ]

    def numbers(self, lane=None):
        """The rows that came, in order of arrival."""
        return [int(m.payload) for m in self.seen if m.covers and (lane is None or m.topic == lane.value)]

    async def until(self, condition):
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def forwarding(tmp_path, upstream, before=0):
    """A buffer with some rows in it, and a forwarder at work; `store` adds rows."""
    settings = BufferSettings(folder=tmp_path / "buffer")
    async with open_buffer(settings, Clock(), [UPLINK]) as buffer:
        stored = 0

        async def store(rows):
            nonlocal stored
            await buffer.store([Sample(SHAPE, stored + i + 1, (1.0, 2.0)) for i in range(rows)], rows * 2)
            stored += rows

        await store(before)
        route = Route(settings=UPLINK, uplink=upstream, format=upstream, gateway=GATEWAY)
        forwarder = Forwarder(route, buffer.lanes("city"), {})
        works = asyncio.Event()
        task = asyncio.create_task(forwarder.session(works.set))
        try:
            async with asyncio.timeout(LIMIT_S):
                await works.wait()
            yield SimpleNamespace(buffer=buffer, store=store, forwarder=forwarder, task=task)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await buffer.store((), 0)
        assert (await buffer.ledger()).problems() == []


async def waiting(buffer):
    await buffer.store((), 0)
    return (await buffer.ledger()).uplinks["city"].waiting


async def test_every_row_is_sent_once_and_settled(tmp_path):
    """What was stored before the session is backlog, what comes after is live, and nothing waits in the end."""
    upstream = Upstream()
    async with forwarding(tmp_path, upstream, before=20) as at:
        await at.store(20)
        await upstream.until(lambda: len(upstream.numbers()) == 40)
        assert sorted(upstream.numbers(Lane.BACKLOG)) == list(range(0, 40, 2))
        assert sorted(upstream.numbers(Lane.LIVE)) == list(range(40, 80, 2))
        await asyncio.sleep(0)
        assert await waiting(at.buffer) == 0


async def test_the_window_is_never_exceeded(tmp_path):
    """No more messages are on the way than upstream takes at once, both lanes together."""
    upstream = Upstream(window=3)
    async with forwarding(tmp_path, upstream, before=50) as at:
        await at.store(50)
        await upstream.until(lambda: len(upstream.numbers()) == 100)
    assert upstream.most_at_once == 3


async def test_a_live_row_does_not_wait_behind_the_backlog(tmp_path):
    """While a full backlog is on the way there is room in the window for what is live."""
    upstream = Upstream(window=8)

    def then_nothing_moves(message):
        if message.topic == "hello":
            upstream.hold.clear()
        return ACCEPTED

    upstream.answer = then_nothing_moves
    async with forwarding(tmp_path, upstream, before=100) as at:
        await upstream.until(lambda: upstream.at_once == 6)  # the backlog's share of the window
        await at.store(1)
        await upstream.until(lambda: upstream.at_once == 7)  # though not one of the backlog was acknowledged
        upstream.hold.set()
        await upstream.until(lambda: upstream.numbers(Lane.LIVE) == [200])


async def test_a_row_is_settled_when_every_message_that_covers_it_is(tmp_path):
    """Half an acknowledgement is none: the row is offered again, whole."""
    refusals = iter([BUSY])
    upstream = Upstream(split=2)
    upstream.answer = lambda m: next(refusals, ACCEPTED) if m.covers and len(upstream.seen) == 3 else ACCEPTED
    async with forwarding(tmp_path, upstream) as at:
        await at.store(1)
        await upstream.until(lambda: len(upstream.numbers()) == 2)
        assert await waiting(at.buffer) == 2
        await upstream.until(lambda: len(upstream.numbers()) == 4)
        assert await waiting(at.buffer) == 0


async def test_a_busy_upstream_is_offered_the_rows_again(tmp_path):
    """Nothing is lost on "not now"."""
    answers = iter([BUSY, BUSY])
    upstream = Upstream()
    upstream.answer = lambda m: next(answers, ACCEPTED) if m.covers else ACCEPTED
    async with forwarding(tmp_path, upstream) as at:
        await at.store(1)
        await upstream.until(lambda: len(upstream.numbers()) == 3)
        assert await waiting(at.buffer) == 0


async def test_one_poison_row_is_set_aside_and_the_rest_goes_on(tmp_path):
    """A row that upstream refuses three times, while it takes others, goes to the refused list and is counted."""
    upstream = Upstream()
    upstream.answer = lambda m: REFUSED if m.payload == b"0" else ACCEPTED
    async with forwarding(tmp_path, upstream) as at:
        for _ in range(4):
            await at.store(1)
            await upstream.until(lambda: upstream.numbers().count(0) in {1, 2, 3})
        await at.store(1)
        await upstream.until(lambda: upstream.numbers().count(0) == 3)
        await at.store(1)
        await upstream.until(lambda: 10 in upstream.numbers())
        await waiting(at.buffer)
        ledger = await at.buffer.ledger()
        assert ledger.uplinks["city"].refused == 2
        assert ledger.uplinks["city"].acknowledged == 10


async def test_a_topic_that_is_refused_while_others_are_taken_keeps_its_rows(tmp_path, monkeypatch):
    """An access list that allows the live topic and not the backlog's costs no row, and does not hold up what is live."""
    upstream = Upstream()
    upstream.answer = lambda m: REFUSED if m.topic == Lane.BACKLOG.value else ACCEPTED
    monkeypatch.setattr(agent.delivery, "WHEN_BUSY", SimpleNamespace(delay_s=lambda *_: 0.02))
    async with forwarding(tmp_path, upstream, before=5) as at:
        for live in range(1, 30):
            await at.store(1)
            await upstream.until(lambda live=live: len(upstream.numbers(Lane.LIVE)) == live)
        await upstream.until(lambda: len(upstream.numbers(Lane.BACKLOG)) >= 5 * 6)
        assert await waiting(at.buffer) == 10
        assert (await at.buffer.ledger()).uplinks["city"].refused == 0
        upstream.answer = lambda _: ACCEPTED
        before = len(upstream.seen)
        await upstream.until(lambda: len([m for m in upstream.seen[before:] if m.topic == "backlog"]) == 5)
        assert await waiting(at.buffer) == 0


async def test_so_many_refused_rows_slow_everything_down(tmp_path, monkeypatch):
    """What is put off is bounded: beyond it the lanes wait, instead of asking for the whole backlog again and again."""
    monkeypatch.setattr(agent.delivery, "PUT_OFF", 10)
    monkeypatch.setattr(agent.delivery, "READINGS_AT_ONCE", 20)
    monkeypatch.setattr(agent.delivery, "WHEN_BUSY", SimpleNamespace(delay_s=lambda *_: 3600.0))
    upstream = Upstream()
    upstream.answer = lambda m: REFUSED if m.covers else ACCEPTED
    async with forwarding(tmp_path, upstream, before=200) as at:
        await upstream.until(lambda: len(upstream.numbers()) > 10)
        await asyncio.sleep(0.2)
        assert len(upstream.numbers()) <= 40
        assert await waiting(at.buffer) == 400


async def test_an_upstream_that_refuses_everything_does_not_empty_the_buffer(tmp_path, monkeypatch):
    """A wrong access list at the broker is no reason to give up a single row."""
    upstream = Upstream()
    upstream.answer = lambda m: REFUSED if m.covers else ACCEPTED
    monkeypatch.setattr(agent.delivery, "WHEN_BUSY", SimpleNamespace(delay_s=lambda *_: 0.01))
    async with forwarding(tmp_path, upstream) as at:
        await at.store(3)
        await upstream.until(lambda: len(upstream.numbers()) >= 30)
        ledger = await at.buffer.ledger()
        assert ledger.uplinks["city"].refused == 0
        assert ledger.uplinks["city"].waiting == 6


async def test_a_lost_session_offers_everything_again_with_the_same_numbers(tmp_path):
    """What was on the way when the connection broke is sent again in the next session."""
    upstream = Upstream()
    async with forwarding(tmp_path, upstream) as at:
        upstream.hold.clear()
        await at.store(3)
        await upstream.until(lambda: upstream.at_once == 3)
        upstream.broken.set()
        upstream.hold.set()
        with pytest.raises(ExceptionGroup):
            await at.task
        upstream.broken.clear()
        again = asyncio.create_task(at.forwarder.session(lambda: None))
        await upstream.until(lambda: len(upstream.numbers()) == 3)
        assert sorted(upstream.numbers(Lane.BACKLOG)) == [0, 2, 4]
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


async def test_a_session_that_is_lost_in_silence_ends_though_nothing_is_on_the_way(tmp_path):
    """An idle uplink notices at once."""
    upstream = Upstream()
    async with forwarding(tmp_path, upstream) as at:
        upstream.broken.set()
        async with asyncio.timeout(LIMIT_S):
            with pytest.raises(ExceptionGroup):
                await at.task


async def test_a_row_that_the_format_holds_is_offered_again(tmp_path, monkeypatch):
    """Held is not lost."""
    monkeypatch.setattr(agent.delivery, "HOLD_S", 0.01)
    upstream = Upstream(holding=True)
    async with forwarding(tmp_path, upstream) as at:
        await at.store(1)
        await asyncio.sleep(0.05)
        upstream.holding = False
        await upstream.until(lambda: upstream.numbers() == [0])


async def test_closing_takes_what_is_on_the_way_along_and_says_goodbye(tmp_path):
    """At the end the messages on the way get their acknowledgement, then the closing messages go, then the session."""
    upstream = Upstream()
    async with forwarding(tmp_path, upstream) as at:
        upstream.hold.clear()
        await at.store(2)
        await upstream.until(lambda: upstream.at_once == 2)
        at.forwarder.close()
        await asyncio.sleep(0)
        upstream.hold.set()
        async with asyncio.timeout(LIMIT_S):
            await at.task
        assert [m.topic for m in upstream.seen] == ["hello", "live", "live", "bye"]
        assert upstream.ended == ["politely"]
        assert await waiting(at.buffer) == 0
