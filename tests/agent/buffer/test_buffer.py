"""The buffer as collector and forwarder use it, on a real disk."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from datetime import timedelta

from structlog.testing import capture_logs

from agent.buffer import buffer as buffer_module
from agent.buffer import open_buffer
from agent.buffer.store import Store
from agent.sample import Class, Lane, Sample
from agent.upstream import Filter, Span, StartFrom
from tests.emulators.storing import (
    ManualClock,
    a_sample,
    a_shape,
    an_uplink,
    settle_all,
    some_settings,
    span,
    take_all,
)


async def test_what_is_stored_comes_out_with_number_store_and_values(tmp_path):
    """A live row carries the sample itself, the store's id and the number of its first cell."""
    shape = a_shape()
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        samples = [a_sample(shape, 5), a_sample(shape, 6, 10.0)]
        await buffer.store(samples, 6)
        rows = await lanes.take(Lane.LIVE, 100)
        assert [row.sample for row in rows] == samples
        assert [(row.number, row.end, row.store) for row in rows] == [
            (0, 3, buffer.store_id),
            (3, 6, buffer.store_id),
        ]
        assert await lanes.take(Lane.BACKLOG, 100) == []


async def test_after_a_restart_what_was_not_settled_is_backlog_and_what_was_is_gone(tmp_path):
    """Rows come back from the disk equal to what went in, under the same store and number; settled ones do not."""
    shape = a_shape()
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        await buffer.store([a_sample(shape, moment, moment) for moment in range(4)], 12)
        first, *others = await lanes.take(Lane.LIVE, 100)
        lanes.settle([span(first)])
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        assert lanes.waiting() == (0, 9)
        lanes.begin()
        rows = await lanes.take(Lane.BACKLOG, 100)
        assert [(row.store, row.number) for row in rows] == [(row.store, row.number) for row in others]
        assert [row.sample.values for row in rows] == [row.sample.values for row in others]
        assert rows[0].sample.shape.points == shape.points
        assert buffer.store_id == first.store, "the same boot goes on in the same store"
        await buffer.store([a_sample(shape)], 3)
        (live,) = await lanes.take(Lane.LIVE, 100)
        assert live.number == 12
        assert (await buffer.ledger()).problems() == []


async def test_each_boot_has_a_store_id_of_its_own(tmp_path):
    """A card that is copied and boots elsewhere gives other numbers: (store, number) never names two readings."""
    ids = set()
    for boot in ("a" * 32, "b" * 32, "c" * 32):
        async with open_buffer(some_settings(tmp_path), ManualClock(boot), [an_uplink()]) as buffer:
            await buffer.store([a_sample(a_shape())], 3)
            ids.add(buffer.store_id)
            assert buffer.lanes("city").waiting()[1] == 3 * (len(ids) - 1)
            assert (await buffer.ledger()).problems() == []
    assert len(ids) == 3


async def test_a_take_gives_about_as_many_readings_as_asked_and_at_least_one_row(tmp_path):
    """The limit counts readings; one row larger than it still comes."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        await buffer.store([a_sample(a_shape(points=10)) for _ in range(10)], 100)
        lanes.begin()
        assert len(await lanes.take(Lane.BACKLOG, 1)) == 1
        assert len(await lanes.take(Lane.BACKLOG, 20)) == 2
        assert len(await lanes.take(Lane.BACKLOG, 1000)) == 7


async def test_a_released_row_is_offered_again_and_a_new_session_offers_everything(tmp_path):
    """What is on the way is not offered twice, until it is released or a new session begins."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        await buffer.store([a_sample(a_shape()) for _ in range(3)], 9)
        rows = await take_all(lanes)
        assert await take_all(lanes) == []
        lanes.release([span(rows[1])])
        assert await take_all(lanes) == [rows[1]]
        lanes.begin()
        assert lanes.waiting() == (0, 9)
        lanes.settle([span(rows[0])])
        assert lanes.waiting() == (0, 9), "answers of an earlier session settle nothing"
        assert await lanes.take(Lane.BACKLOG, 100) == rows
        lanes.settle([Span(rows[0].store, 0, 9)])
        assert lanes.waiting() == (0, 0)


async def test_a_row_is_settled_when_each_of_its_wanted_cells_is(tmp_path):
    """Messages may cover parts of a row; it stays until the last wanted part is answered for."""
    filter_ = Filter(points=("p0", "p2", "p3"))
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink(filter_=filter_)]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        await buffer.store([a_sample(a_shape(points=5))], 5)
        (row,) = await take_all(lanes)
        assert row.cells == (0, 2, 3)
        lanes.settle([Span(row.store, 0, 1), Span(row.store, 2, 3)])
        assert lanes.waiting() == (3, 0)
        lanes.refuse([Span(row.store, 3, 4)], "too late")
        assert lanes.waiting() == (0, 0)
        city = (await buffer.ledger()).uplinks["city"]
        assert (city.acknowledged, city.refused, city.filtered, city.waiting) == (2, 1, 2, 0)


async def test_two_uplinks_have_their_own_filters_and_places(tmp_path):
    """A row leaves the disk when every uplink that wants it has settled it; what nobody wants is never stored."""
    power, event = a_shape("meter-1", 2), a_shape("alarm-1", 1, Class.EVENT)
    nobody = a_shape("spare", 4)
    uplinks = [
        an_uplink("city", Filter(devices=("meter-*", "alarm-*"))),
        an_uplink("owner", Filter(classes=(Class.EVENT,))),
    ]
    async with open_buffer(some_settings(tmp_path), ManualClock(), uplinks) as buffer:
        city, owner = buffer.lanes("city"), buffer.lanes("owner")
        city.begin()
        owner.begin()
        for _ in range(3):
            await buffer.store([a_sample(power), a_sample(nobody), a_sample(event)], 7)
        assert city.waiting() == (9, 0)
        assert owner.waiting() == (3, 0)
        assert [row.sample.shape.device for row in await settle_all(owner)] == ["alarm-1"] * 3
        assert [row.number for row in await settle_all(city)] == [0, 6, 7, 13, 14, 20]
        await buffer.store((), 0)
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert ledger.uplinks["city"].filtered == 12
        assert ledger.uplinks["owner"].filtered == 18
        assert await _rows_in_file(buffer) == 0


async def test_the_list_of_runs_stays_short_whatever_the_filter(tmp_path):
    """Wanted and unwanted rows in turns are one run: the state that is written each second does not grow."""
    wanted, other = a_shape("meter-1"), a_shape("meter-2")
    uplinks = [an_uplink("city"), an_uplink("owner", Filter(devices=("meter-1",)))]
    async with open_buffer(some_settings(tmp_path), ManualClock(), uplinks) as buffer:
        for _ in range(20):
            await buffer.store([a_sample(other), a_sample(wanted), a_sample(other)] * 5, 45)
        assert [len(each.waiting) for each in buffer._storage.book.uplinks.values()] == [1, 1]


async def test_a_new_uplink_begins_now_or_at_the_oldest(tmp_path):
    """`from: oldest` gives what is still there, and counts it as stored for that uplink."""
    shape = a_shape()
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(shape)] * 2, 6)
    uplinks = [an_uplink(), an_uplink("late"), an_uplink("heir", start=StartFrom.OLDEST)]
    async with open_buffer(some_settings(tmp_path), ManualClock(), uplinks) as buffer:
        assert buffer.lanes("late").waiting() == (0, 0)
        assert buffer.lanes("heir").waiting() == (0, 6)
        assert (await buffer.ledger()).problems() == []
        assert len(await settle_all(buffer.lanes("heir"))) == 2
        assert (await buffer.ledger()).problems() == []


async def test_a_removed_uplink_releases_what_waited_for_it_and_counts_it(tmp_path):
    """What only the removed uplink needed leaves the disk; the ledger says how much that was."""
    shape, other = a_shape("meter-1"), a_shape("meter-2")
    uplinks = [an_uplink("city"), an_uplink("owner", Filter(devices=("meter-2",)))]
    async with open_buffer(some_settings(tmp_path), ManualClock(), uplinks) as buffer:
        await buffer.store([a_sample(shape), a_sample(other)] * 600, 3600)
    async with open_buffer(some_settings(tmp_path), ManualClock(), uplinks[1:]) as buffer:
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert ledger.uplinks["city"].dropped == {"removed": 3600}
        rows = await settle_all(buffer.lanes("owner"))
        assert len(rows) == 600
        for _ in range(3):
            await buffer.store((), 0)
        assert await _rows_in_file(buffer) == 0
    async with open_buffer(some_settings(tmp_path), ManualClock(), uplinks) as buffer:
        assert buffer.lanes("city").waiting() == (0, 0), "an uplink that returns begins now"
        assert (await buffer.ledger()).problems() == []


async def test_all_of_a_removed_uplink_is_swept_in_steps(tmp_path):
    """What nobody waits for any more is deleted some hundred rows at a time."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(a_shape())] * 1200, 3600)
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink("owner")]) as buffer:
        counts = [await _rows_in_file(buffer)]
        for _ in range(3):
            await buffer.store((), 0)
            counts.append(await _rows_in_file(buffer))
        assert counts == [700, 200, 0, 0]


async def test_a_changed_filter_counts_for_what_is_stored_from_then_on(tmp_path):
    """Rows that wait were counted by the old filter, and leave by it."""
    shape = a_shape(points=3)
    before, after = an_uplink(filter_=Filter(points=("p0",))), an_uplink(filter_=Filter(points=("p1", "p2")))
    async with open_buffer(some_settings(tmp_path), ManualClock(), [before]) as buffer:
        await buffer.store([a_sample(shape)], 3)
    async with open_buffer(some_settings(tmp_path), ManualClock(), [after]) as buffer:
        await buffer.store([a_sample(shape)], 3)
        rows = await settle_all(buffer.lanes("city"))
        assert sorted(row.cells for row in rows) == [(0,), (1, 2)]
        assert (await buffer.ledger()).problems() == []


async def test_waiting_returns_as_soon_as_the_lane_has_something(tmp_path):
    """A forwarder that waits is woken by the commit, not by a timer."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        waiting = asyncio.create_task(lanes.wait(Lane.LIVE))
        await asyncio.sleep(0)
        assert not waiting.done()
        await buffer.store([a_sample(a_shape())], 3)
        await asyncio.wait_for(waiting, 10)
        backlog = asyncio.create_task(lanes.wait(Lane.BACKLOG))
        await asyncio.sleep(0)
        assert not backlog.done()
        lanes.begin()
        await asyncio.wait_for(backlog, 10)


async def test_a_cancelled_store_is_stored_all_the_same(tmp_path):
    """Cancelling the caller, at whichever step, leaves neither a half nor a forgotten batch."""
    clock = ManualClock()
    async with open_buffer(some_settings(tmp_path), clock, [an_uplink()]) as buffer:
        for steps in range(12):
            clock.pass_s(11)
            storing = asyncio.create_task(buffer.store([a_sample(a_shape(), steps)], 3))
            for _ in range(steps):
                await asyncio.sleep(0)
            storing.cancel()
            await asyncio.wait([storing])
        await buffer.store((), 0)
        stored = buffer.lanes("city").waiting()[0]
        assert stored >= 33, "one that was cancelled before it began may be left out"
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert ledger.stored == stored
    async with open_buffer(some_settings(tmp_path), clock, [an_uplink()]) as buffer:
        assert buffer.lanes("city").waiting() == (0, stored)
        assert (await buffer.ledger()).problems() == []


class Hanging:
    """Commits to a store that wait until they are let go."""

    def __init__(self, monkeypatch) -> None:
        self._go_on = threading.Event()
        self.begun = threading.Event()
        commit = Store.commit

        def hang(store, change):
            self.begun.set()
            assert self._go_on.wait(30)
            return commit(store, change)

        monkeypatch.setattr(Store, "commit", hang)

    async def reached(self) -> None:
        """Wait until a commit hangs."""
        assert await asyncio.to_thread(self.begun.wait, 30)

    def let_go(self) -> None:
        """Let this commit and all later ones through."""
        self._go_on.set()


async def test_what_is_settled_while_a_commit_is_made_leaves_with_the_next(tmp_path, monkeypatch):
    """Between the making of a transaction and its end the forwarder goes on: nothing of that is forgotten."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        await buffer.store([a_sample(a_shape(), moment) for moment in range(4)], 12)
        rows = await take_all(lanes)
        hanging = Hanging(monkeypatch)
        storing = asyncio.create_task(buffer.store([a_sample(a_shape(), 4)], 3))
        await hanging.reached()
        lanes.settle([span(row) for row in rows[:2]])
        lanes.refuse([span(rows[2])], "no")
        lanes.begin()
        assert lanes.waiting() == (0, 3)
        left = await settle_all(lanes)
        assert [row.sample.monotonic_ns for row in left] == [3], "what is not stored yet is not to be had"
        hanging.let_go()
        await storing
        assert lanes.waiting() == (3, 0), "stored after the session began: live"
        assert (await buffer.ledger()).problems() == []
        assert [row.sample.monotonic_ns for row in await settle_all(lanes)] == [4]
        await buffer.store((), 0)
        assert await _rows_in_file(buffer) == 0
        assert await _count(buffer, "refused") == 1
        assert (await buffer.ledger()).problems() == []


async def test_a_row_that_is_being_dropped_is_not_offered(tmp_path, monkeypatch):
    """A row on its way out of the disk is counted as dropped once, and not as acknowledged besides."""
    async with open_buffer(some_settings(tmp_path, size=2**18), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        shape = a_shape(points=50)
        while buffer.status()["bytes"] <= 2**18:
            await buffer.store([a_sample(shape, 0, 1 / 3)] * 20, 1000)
        hanging = Hanging(monkeypatch)
        storing = asyncio.create_task(buffer.store((), 0))
        await hanging.reached()
        lanes.begin()
        rows = await settle_all(lanes)
        hanging.let_go()
        await storing
        await buffer.store((), 0)
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert ledger.uplinks["city"].dropped["full"] > 0
        assert ledger.uplinks["city"].acknowledged == 50 * len(rows)


async def test_a_sample_that_does_not_fit_its_shape_is_counted_and_stops_nobody(tmp_path):
    """A driver's bug costs its own readings, and the ledger balances."""
    shape = a_shape()
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(shape), Sample(shape, 0, (1.0,)), a_sample(shape)], 7)
        ledger = await buffer.ledger()
        assert ledger.dropped == {"malformed": 1}
        assert ledger.problems() == []
        assert len(await take_all(buffer.lanes("city"))) == 2


async def test_time_is_corrected_for_all_rows_of_a_boot_when_the_clock_is_set(tmp_path):
    """A row that was stored under a wrong clock leaves with the right time, and is trusted, after the clock is set."""
    clock = ManualClock(now_s=100)
    async with open_buffer(some_settings(tmp_path), clock, [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        await buffer.store([a_sample(a_shape(), clock.now_ns)], 3)
        (row,) = await take_all(lanes)
        assert not row.trusted
        lanes.release([span(row)])
        clock.pass_s(50)
        clock.offset_ns, clock.trusted = 1_700_000_000_000_000_000, True
        await buffer.store((), 0)
    async with open_buffer(some_settings(tmp_path), ManualClock("c" * 32), [an_uplink()]) as buffer:
        (row,) = await take_all(buffer.lanes("city"))
        assert row.trusted
        assert row.time_ns == 1_700_000_100_000_000_000


async def test_when_full_the_oldest_of_the_least_precious_class_goes(tmp_path):
    """Events and billing outlive trend and health; every drop is counted for the uplink that misses it."""
    kinds = {each: a_shape(each.value, 50, each) for each in (Class.HEALTH, Class.TREND, Class.BILLING)}
    async with open_buffer(some_settings(tmp_path, size=2**20), ManualClock(), [an_uplink()]) as buffer:
        for turn in range(120):
            samples = [
                Sample(shape, turn, tuple(1 / (turn + index + 1) for index in range(50)))
                for shape in kinds.values()
            ] * 8
            await buffer.store(samples, 50 * len(samples))
            assert buffer.status()["bytes"] <= 2**20 * 1.1
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert ledger.uplinks["city"].dropped["full"] > 0
        left = {}
        for row in await take_all(buffer.lanes("city")):
            left.setdefault(row.sample.shape.device, []).append(row.sample.monotonic_ns)
        assert len(left.get("health", [])) < len(left.get("trend", [1])) or not left.get("trend")
        assert len(left["billing"]) == 960 or not left.get("trend"), "the precious ones go last"
        for moments in left.values():
            assert moments == list(range(moments[0], 120)) or max(moments) == 119


async def test_what_is_too_old_goes_by_time_since_boot(tmp_path):
    """Age counts from the moment a row was learnt, and is looked after every ten seconds."""
    clock = ManualClock()
    settings = some_settings(tmp_path, age=timedelta(hours=1))
    async with open_buffer(settings, clock, [an_uplink()]) as buffer:
        await buffer.store([a_sample(a_shape(), clock.now_ns)] * 700, 2100)
        clock.pass_s(1800)
        await buffer.store([a_sample(a_shape(), clock.now_ns)], 3)
        clock.pass_s(1801)
        await buffer.store((), 0)
        ledger = await buffer.ledger()
        assert ledger.uplinks["city"].dropped == {"age": 2100}
        assert ledger.problems() == []
        assert len(await take_all(buffer.lanes("city"))) == 1
        assert buffer.status()["oldest_s"] == 1801


async def test_a_young_row_between_old_ones_is_not_dropped(tmp_path):
    """Rows are stored nearly, not quite, in the order of their moments: only those that are too old go."""
    clock = ManualClock()
    async with open_buffer(some_settings(tmp_path, age=timedelta(hours=1)), clock, [an_uplink()]) as buffer:
        moments = [clock.now_ns - 10**9 * age_s for age_s in (3000, 3000, 0, 3000)]
        await buffer.store([a_sample(a_shape(), moment) for moment in moments], 12)
        clock.pass_s(700)
        await buffer.store((), 0)
        ledger = await buffer.ledger()
        assert ledger.uplinks["city"].dropped == {"age": 6}
        assert ledger.problems() == []
        rows = await take_all(buffer.lanes("city"))
        assert [row.sample.monotonic_ns for row in rows] == moments[2:]


async def test_age_of_an_earlier_boot_is_by_wall_time_only_where_it_can_be_trusted(tmp_path):
    """Without trusted time a row of an earlier boot is at least as old as this boot, and no more is known."""
    settings = some_settings(tmp_path, age=timedelta(days=1))
    clock = ManualClock(now_s=100)
    clock.offset_ns, clock.trusted = 10**18, True
    async with open_buffer(settings, clock, [an_uplink()]) as buffer:
        await buffer.store([a_sample(a_shape(), clock.now_ns)], 3)
    clock = ManualClock("c" * 32, now_s=50)
    async with open_buffer(settings, clock, [an_uplink()]) as buffer:
        assert buffer.lanes("city").waiting() == (0, 3), "the clock is not set yet: kept"
        clock.offset_ns, clock.trusted = 10**18 + 2 * 86400 * 10**9, True
        clock.pass_s(10)
        await buffer.store((), 0)
        assert buffer.lanes("city").waiting() == (0, 0)
        assert (await buffer.ledger()).problems() == []


async def test_a_damaged_row_is_dropped_alone(tmp_path):
    """A row whose bytes were changed is counted and passed over; its neighbours arrive."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(a_shape(), moment) for moment in range(5)], 15)
        await _run(buffer, "update row_2 set monotonic_ns = monotonic_ns + 1 where monotonic_ns = 1")
        await _run(buffer, "update row_2 set data = x'00' where monotonic_ns = 3")
        await _run(buffer, "update row_2 set shape = 99 where monotonic_ns = 4")
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        rows = await settle_all(buffer.lanes("city"))
        assert [row.sample.monotonic_ns for row in rows] == [0, 2]
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert ledger.uplinks["city"].dropped == {"damaged": 9}
        await buffer.store((), 0)
        assert await _rows_in_file(buffer) == 0


async def test_a_refused_row_is_on_the_refused_list_with_the_words(tmp_path):
    """What upstream will never take is named, with its words, for a person to look at."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        await buffer.store([a_sample(a_shape())] * 2, 6)
        lanes.begin()
        rows = await take_all(lanes)
        lanes.refuse([span(rows[0])], "payload format invalid")
        await buffer.store((), 0)
        found = await _run(buffer, "select uplink, low, high, words from refused")
        assert found == [("city", 0, 3, "payload format invalid")]
        assert (await buffer.ledger()).uplinks["city"].refused == 3


async def test_rows_older_than_the_window_are_read_back_in_order(tmp_path):
    """A forwarder that falls behind gets everything, oldest first, from disk and memory without a seam."""
    async with open_buffer(some_settings(tmp_path, size=2**25), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        shape = a_shape(points=100)
        for batch in range(8):
            await buffer.store([a_sample(shape, batch * 100 + moment) for moment in range(100)], 10_000)
        rows = await take_all(lanes, [Lane.LIVE])
        assert [row.sample.monotonic_ns for row in rows] == list(range(800))


async def test_the_ledger_is_of_one_moment_while_others_store_and_settle(tmp_path):
    """Counting looks at rows a step at a time; what comes and goes meanwhile is neither missed nor counted twice."""
    shapes = [a_shape("d1", 2, Class.EVENT), a_shape("d2", 3), a_shape("d3", 1, Class.HEALTH)]
    uplinks = [an_uplink("city"), an_uplink("owner", Filter(devices=("d1", "d3")))]
    async with open_buffer(some_settings(tmp_path, size=2**25), ManualClock(), uplinks) as buffer:
        for _ in range(5):
            await buffer.store([a_sample(shape) for shape in shapes] * 300, 1800)
        for _ in range(4):
            counting = asyncio.create_task(buffer.ledger())
            turns = 0
            while not counting.done():
                for lanes in (buffer.lanes("city"), buffer.lanes("owner")):
                    rows = await lanes.take(Lane.LIVE, 150)
                    lanes.settle([span(row) for row in rows[::-2]])
                    lanes.release([span(row) for row in rows[::2]])
                await buffer.store([a_sample(shape) for shape in shapes], 6)
                turns += 1
            ledger = await counting
            assert ledger.problems() == []
            assert turns > 2


async def test_the_event_loop_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    """While a commit hangs in the disk, everything else goes on; live rows of the last commit can be taken."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        await buffer.store([a_sample(a_shape())], 3)
        hanging = Hanging(monkeypatch)
        storing = asyncio.create_task(buffer.store([a_sample(a_shape())], 3))
        await hanging.reached()
        assert not storing.done()
        assert len(await lanes.take(Lane.LIVE, 100)) == 1
        buffer.status()
        hanging.let_go()
        await storing
        assert len(await lanes.take(Lane.LIVE, 100)) == 1


async def test_closing_does_not_wait_for_a_disk_that_hangs(tmp_path, monkeypatch):
    """The agent stops in time; what the disk still does is done by the thread that is left behind."""
    monkeypatch.setattr(buffer_module, "CLOSE_LIMIT_S", 0.1)
    opening = open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()])
    buffer = await opening.__aenter__()
    await buffer.store([a_sample(a_shape())], 3)
    hanging = Hanging(monkeypatch)
    with capture_logs() as logs:
        await opening.__aexit__(None, None, None)
    assert [entry["event"] for entry in logs] == ["buffer.stuck"]
    hanging.let_go()
    await asyncio.to_thread(buffer._storage.stores.thread._thread.join, 30)
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        assert buffer.durable
        assert len(await take_all(buffer.lanes("city"))) == 1


async def test_opening_takes_the_same_work_however_much_waits(tmp_path, monkeypatch):
    """No count, no least or greatest: what SQLite does at the opening does not grow with the backlog."""
    steps = []
    connect = sqlite3.connect

    def counting_connect(*arguments, **named):
        connection = connect(*arguments, **named)
        steps.append(0)

        def step() -> int:
            steps[-1] += 1
            return 0

        connection.set_progress_handler(step, 1)
        return connection

    monkeypatch.setattr(sqlite3, "connect", counting_connect)
    for _ in range(4):
        async with open_buffer(some_settings(tmp_path, size=2**25), ManualClock(), [an_uplink()]) as buffer:
            opened = steps[-1]
            await buffer.store([a_sample(a_shape())] * 5000, 15_000)
        steps[-1] = opened
    assert max(steps[1:]) <= steps[1] + 50, "steps of the virtual machine at each opening"


async def test_what_no_row_refers_to_is_forgotten(tmp_path):
    """Shapes, boots, stores and clock lines of the past do not pile up."""
    for boot in range(5):
        clock = ManualClock(f"{boot:032x}")
        clock.trusted = True
        async with open_buffer(some_settings(tmp_path), clock, [an_uplink()]) as buffer:
            await buffer.store([a_sample(a_shape(f"boot-{boot}", 2))], 2)
            if boot < 4:
                continue
            assert await _count(buffer, "shape") == 5
            assert len(await settle_all(buffer.lanes("city"))) == 5
            await buffer.store([a_sample(a_shape("boot-4", 2))], 2)
            clock.pass_s(3601)
            await buffer.store((), 0)
            assert [await _count(buffer, table) for table in ("shape", "boot", "store", "clock")] == [1] * 4
            assert len(await settle_all(buffer.lanes("city"))) == 1
    async with open_buffer(some_settings(tmp_path), clock, [an_uplink()]) as buffer:
        await buffer.store([a_sample(a_shape("boot-1", 2))], 2)
        (row,) = await take_all(buffer.lanes("city"))
        assert row.sample.shape.device == "boot-1"


async def test_free_pages_go_back_to_the_file_system(tmp_path):
    """After a backlog has left, the file shrinks, a step with each commit."""
    path = tmp_path / "buffer.sqlite"
    shape = a_shape(points=50)
    async with open_buffer(some_settings(tmp_path, size=2**25), ManualClock(), [an_uplink()]) as buffer:
        for moment in range(20):
            await buffer.store([a_sample(shape, moment, 1 / (moment + 3)) for _ in range(500)], 25_000)
        assert len(await settle_all(buffer.lanes("city"))) == 10_000
        large = path.stat().st_size
        for _ in range(12):
            await buffer.store((), 0)
    assert path.stat().st_size < large / 2


async def _count(buffer, table: str) -> int:
    return (await _run(buffer, f"select count(*) from {table}"))[0][0]


async def _run(buffer, statement: str) -> list:
    storage = buffer._storage
    return await storage.stores.thread.call(lambda: storage.stores.file._run(statement).fetchall())


async def _rows_in_file(buffer) -> int:
    counts = [await _run(buffer, f"select count(*) from row_{rank}") for rank in range(4)]
    return sum(count[0][0] for count in counts)
