"""The buffer when its disk fails: every way, injected at the one place where SQLite is called."""

from __future__ import annotations

import shutil
import sqlite3

import pytest
from structlog.testing import capture_logs

from agent.buffer import open_buffer, opening, storage
from agent.sample import Class, Lane
from agent.upstream import Filter, StartFrom
from tests.emulators.disk_faults import DiskFaults, sqlite_error
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

CODES = {
    "disk full": sqlite3.SQLITE_FULL,
    "read-only": sqlite3.SQLITE_READONLY,
    "input or output error": sqlite3.SQLITE_IOERR,
    "cannot be opened": sqlite3.SQLITE_CANTOPEN,
    "in use": sqlite3.SQLITE_BUSY,
    "permission": sqlite3.SQLITE_PERM,
}


@pytest.fixture
def faults(monkeypatch) -> DiskFaults:
    """What the disk does wrong."""
    return DiskFaults(monkeypatch)


async def back_on_disk(buffer) -> None:
    """Have the buffer try to get back at once, and say whether it did."""
    buffer._storage._next_try_s = 0.0
    await buffer.store((), 0)
    assert buffer.durable


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
@pytest.mark.parametrize("where", ["begin", "insert into row", "commit"])
async def test_a_disk_that_cannot_be_written_stops_neither_storing_nor_delivery(
    tmp_path, faults, code, where
):
    """`store` returns, live rows go on, status and log say why; back on the disk nothing is lost, no number repeats."""
    shape = a_shape()
    seen = []
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        await buffer.store([a_sample(shape, 1)], 3)
        before = buffer.store_id
        with faults.of(sqlite_error(code), where), capture_logs() as logs:
            for moment in (2, 3, 4):
                await buffer.store([a_sample(shape, moment)], 3)
            assert not buffer.durable
            assert buffer.status()["why_not_durable"] == "injected (INJECTED)"
            assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == [
                "buffer.not_durable"
            ]
            assert buffer.store_id != before
            rows = await lanes.take(Lane.LIVE, 6)
            assert [row.sample.monotonic_ns for row in rows] == [1, 2]
            lanes.settle([span(row) for row in rows])
            seen += rows
            await buffer.store([a_sample(shape, 5)], 3)
            assert (await buffer.ledger()).problems() == []
        await back_on_disk(buffer)
        assert buffer.store_id != before, "numbers go on where they were given last"
        await buffer.store([a_sample(shape, 6)], 3)
        assert (await buffer.ledger()).problems() == []
        numbers = lanes.waiting()
    assert numbers == (12, 0)
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        rows = await settle_all(buffer.lanes("city"))
        assert [row.sample.monotonic_ns for row in rows] == [3, 4, 5, 6]
        seen += rows
        assert len({(row.store, row.number) for row in seen}) == 6
        await buffer.store((), 0)
        assert (await buffer.ledger()).problems() == []


async def test_what_the_failing_disk_holds_is_read_from_it_meanwhile(tmp_path, faults):
    """Rows stored before the failure stay due, go out while the disk can be read, and do not return afterwards."""
    shape = a_shape()
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(shape, moment) for moment in range(10)], 30)
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        with faults.of(sqlite_error(sqlite3.SQLITE_READONLY), "begin"):
            await buffer.store([a_sample(shape, 10)], 3)
            assert not buffer.durable
            rows = await lanes.take(Lane.BACKLOG, 15)
            assert [row.sample.monotonic_ns for row in rows] == [0, 1, 2, 3, 4]
            lanes.settle([span(row) for row in rows])
            await buffer.store((), 0)
        await back_on_disk(buffer)
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        rows = await settle_all(buffer.lanes("city"))
        assert [row.sample.monotonic_ns for row in rows] == [5, 6, 7, 8, 9, 10]
        assert (await buffer.ledger()).problems() == []


async def test_a_commit_that_failed_but_reached_the_medium_does_not_come_twice(tmp_path, faults):
    """After an error in COMMIT nobody knows whether it is on the medium; its rows go out once, by their new numbers."""
    shape = a_shape()
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        await buffer.store([a_sample(shape, 1)], 3)
        storage = buffer._storage
        commit = storage.stores.file.commit

        def landing(change):
            commit(change)
            raise sqlite_error(sqlite3.SQLITE_IOERR)

        storage.stores.file.commit = landing
        await buffer.store([a_sample(shape, 2)], 3)
        assert not buffer.durable
        await back_on_disk(buffer)
        await buffer.store((), 0)
        assert (await buffer.ledger()).problems() == []
        assert [row.sample.monotonic_ns for row in await take_all(lanes)] == [1, 2]
        assert len(buffer._storage.stores.file.oldest(Class.TREND.rank, 10)) == 2
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        assert [row.sample.monotonic_ns for row in await take_all(buffer.lanes("city"))] == [1, 2]


async def test_the_store_in_memory_is_bounded(tmp_path, faults):
    """While the disk fails, the oldest of the least precious readings go when memory is full, and are counted."""
    shape = a_shape(points=50)
    async with open_buffer(some_settings(tmp_path, memory=2**19), ManualClock(), [an_uplink()]) as buffer:
        with faults.of(sqlite_error(sqlite3.SQLITE_IOERR), "begin"):
            for turn in range(200):
                samples = [a_sample(shape, turn, 1 / (turn + 3)) for _ in range(20)]
                await buffer.store(samples, 1000)
                assert buffer.status()["bytes"] <= 2**19 * 1.1
            ledger = await buffer.ledger()
            assert ledger.uplinks["city"].dropped["full"] > 0
            assert ledger.problems() == []
        while not buffer.durable:
            buffer._storage._next_try_s = 0.0
            await buffer.store((), 0)
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        rows = await settle_all(buffer.lanes("city"))
        assert sum(len(row.sample.values) for row in rows) == ledger.uplinks["city"].waiting


async def test_a_batch_larger_than_memory_is_dropped_and_counted(tmp_path, faults):
    """Only what not even an empty store in memory can hold is lost, and the ledger says so."""
    shape = a_shape(points=50)
    async with open_buffer(some_settings(tmp_path, memory=2**18), ManualClock(), [an_uplink()]) as buffer:
        with faults.of(sqlite_error(sqlite3.SQLITE_IOERR), "begin"):
            await buffer.store([a_sample(shape, turn, 1 / (turn + 3)) for turn in range(2000)], 100_000)
            await buffer.store([a_sample(shape)], 50)
            ledger = await buffer.ledger()
            assert ledger.uplinks["city"].dropped == {"full": 100_000}
            assert ledger.problems() == []


async def test_a_store_that_cannot_be_opened_at_the_start_is_joined_later(tmp_path, faults):
    """What was gathered blind goes behind what the file holds: nothing lost, places, counts and filters joined."""
    shape, other = a_shape(), a_shape("meter-2", 2)
    uplinks = [an_uplink(), an_uplink("owner", Filter(devices=("meter-2",)))]
    async with open_buffer(some_settings(tmp_path), ManualClock(), uplinks) as buffer:
        await buffer.store([a_sample(shape, 1), a_sample(other, 2)], 5)
        old = buffer.store_id
    more = [*uplinks, an_uplink("heir", start=StartFrom.OLDEST)]
    with faults.of(sqlite_error(sqlite3.SQLITE_CANTOPEN), "select name"):
        clock = ManualClock("c" * 32)
        async with open_buffer(some_settings(tmp_path), clock, more) as buffer:
            assert not buffer.durable
            lanes = buffer.lanes("city")
            lanes.begin()
            await buffer.store([a_sample(shape, 3), a_sample(other, 4)], 5)
            on_the_way = await take_all(lanes)
            assert [row.sample.monotonic_ns for row in on_the_way] == [3, 4]
            assert (await buffer.ledger()).problems() == []
            faults.heal()
            await back_on_disk(buffer)
            assert lanes.waiting() == (5, 5)
            lanes.settle([span(row) for row in on_the_way])
            await buffer.store([a_sample(shape, 5)], 3)
            ledger = await buffer.ledger()
            assert ledger.problems() == []
            assert (ledger.read, ledger.stored) == (13, 13)
            assert ledger.uplinks["heir"].waiting == 13
            rows = await settle_all(lanes)
            assert [row.sample.monotonic_ns for row in rows] == [5, 1, 2]
            assert rows[1].store == old
            assert [row.sample.monotonic_ns for row in await settle_all(buffer.lanes("owner"))] == [4, 2]
            await buffer.store((), 0)
            assert (await buffer.ledger()).problems() == []
    async with open_buffer(some_settings(tmp_path), ManualClock("c" * 32), more) as buffer:
        assert [row.sample.monotonic_ns for row in await settle_all(buffer.lanes("heir"))] == [1, 2, 3, 4, 5]
        assert (await buffer.ledger()).problems() == []


@pytest.mark.parametrize(
    "content", [b"garbage " * 4000, b"SQLite format 3\0" + b"\xff" * 8000], ids=["text", "torn"]
)
async def test_a_file_that_is_not_a_store_is_set_aside_whole(tmp_path, content):
    """The agent starts with a fresh store, says it aloud, and the file is kept as it was."""
    (tmp_path / "buffer.sqlite").write_bytes(content)
    with capture_logs() as logs:
        async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
            await buffer.store([a_sample(a_shape())], 3)
            assert buffer.durable
    (entry,) = [entry for entry in logs if entry["event"] == "buffer.set_aside"]
    assert entry["log_level"] == "error"
    (aside,) = tmp_path.glob("set-aside-*.sqlite")
    assert entry["path"] == str(aside)
    assert aside.read_bytes() == content


async def test_a_store_of_a_newer_agent_is_not_touched(tmp_path):
    """A file with a higher schema version is set aside unread, for the day the newer agent returns."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(a_shape())], 3)
        old = buffer.store_id
    connection = sqlite3.connect(tmp_path / "buffer.sqlite")
    connection.execute("pragma user_version = 99")
    connection.close()
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        assert buffer.store_id != old
        assert buffer.lanes("city").waiting() == (0, 0)
    (aside,) = tmp_path.glob("set-aside-*.sqlite")
    connection = sqlite3.connect(aside)
    assert connection.execute("select count(*) from row_2").fetchone() == (1,)
    connection.close()


async def test_a_truncated_file_is_set_aside(tmp_path):
    """A file that is shorter than it says of itself is found at the opening, not months later."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(a_shape(points=50), 1, index / 7) for index in range(200)], 10_000)
    path = tmp_path / "buffer.sqlite"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        assert buffer.durable
        assert buffer.lanes("city").waiting() == (0, 0)
    assert list(tmp_path.glob("set-aside-*.sqlite"))


async def test_a_book_that_was_changed_is_found(tmp_path):
    """Counts and runs are under a checksum as the rows are."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(a_shape())], 3)
    connection = sqlite3.connect(tmp_path / "buffer.sqlite", isolation_level=None)
    connection.execute("update state set value = replace(value, '\"stored\":3', '\"stored\":4')")
    connection.close()
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        assert (await buffer.ledger()).problems() == []
    assert list(tmp_path.glob("set-aside-*.sqlite"))


async def test_set_aside_files_are_few(tmp_path):
    """However often a card breaks its file, three of them are kept."""
    for turn in range(6):
        (tmp_path / "buffer.sqlite").write_bytes(b"%d" % turn * 5000)
        async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]):
            pass
    assert len(list(tmp_path.glob("set-aside-*.sqlite"))) == 3


@pytest.mark.parametrize("reading", [True, False], ids=["while reading", "while writing"])
async def test_damage_in_mid_run_costs_only_what_is_not_in_memory(tmp_path, faults, reading):
    """The file is set aside, the newest rows are saved from memory, and the loss is counted and said."""
    shape = a_shape()
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(shape, moment) for moment in range(10)], 30)
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        await buffer.store([a_sample(shape, 10)], 3)
        old = buffer.store_id
        with capture_logs() as logs:
            with faults.of(
                sqlite_error(sqlite3.SQLITE_CORRUPT), "select *, 0" if reading else "insert into row"
            ):
                if reading:
                    assert await lanes.take(Lane.BACKLOG, 100) == []
                await buffer.store([a_sample(shape, 11)], 3)
            buffer._storage._next_try_s = 0.0
            await buffer.store([a_sample(shape, 12)], 3)
        assert buffer.durable
        assert buffer.store_id != old
        (entry,) = [entry for entry in logs if entry["event"] == "buffer.set_aside"]
        assert entry["lost"] == {"city": 30}
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert ledger.uplinks["city"].dropped == {"damaged": 30}
        assert [row.sample.monotonic_ns for row in await take_all(lanes)] == [10, 11, 12]
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        rows = await settle_all(buffer.lanes("city"))
        assert [row.sample.monotonic_ns for row in rows] == [10, 11, 12]
        assert rows[0].store == old
        assert (await buffer.ledger()).problems() == []


async def test_a_read_that_fails_once_costs_nothing(tmp_path, faults):
    """After an input or output error the file is opened anew, and the backlog goes on."""
    shape = a_shape()
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(shape, moment) for moment in range(3)], 9)
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        with faults.of(sqlite_error(sqlite3.SQLITE_IOERR), "select *, 0"):
            assert await lanes.take(Lane.BACKLOG, 100) == []
        await buffer.store((), 0)
        assert buffer.durable
        assert len(await take_all(lanes)) == 3
        assert (await buffer.ledger()).problems() == []


async def test_a_file_that_can_never_be_read_is_set_aside(tmp_path, faults):
    """A sector that fails each time must not hold up the backlog for ever."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(a_shape())], 3)
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        with faults.of(sqlite_error(sqlite3.SQLITE_IOERR), "select *, 0"):
            for _ in range(5):
                assert await lanes.take(Lane.BACKLOG, 100) == []
                buffer._storage._next_try_s = 0.0
                await buffer.store((), 0)
        assert list(tmp_path.glob("set-aside-*.sqlite"))
        await back_on_disk(buffer)
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert lanes.waiting() == (0, 0)


async def test_a_file_that_vanishes_is_noticed_at_the_next_commit(tmp_path):
    """A store that was unlinked would take commits and lose them all: the buffer looks, and begins a new file."""
    shape = a_shape()
    async with open_buffer(some_settings(tmp_path / "b"), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        lanes.begin()
        await buffer.store([a_sample(shape, 1)], 3)
        for path in (tmp_path / "b").iterdir():
            path.unlink()
        (tmp_path / "b").rmdir()
        await buffer.store([a_sample(shape, 2)], 3)
        assert not buffer.durable
        await back_on_disk(buffer)
        assert (await buffer.ledger()).problems() == []
        assert [row.sample.monotonic_ns for row in await take_all(lanes)] == [1, 2]
    async with open_buffer(some_settings(tmp_path / "b"), ManualClock(), [an_uplink()]) as buffer:
        assert [row.sample.monotonic_ns for row in await take_all(buffer.lanes("city"))] == [1, 2]


async def test_another_store_in_the_place_of_ours_is_not_written(tmp_path, faults):
    """A card that comes back as another one keeps its store, whole, beside ours."""
    for name in ("ours", "theirs"):
        async with open_buffer(some_settings(tmp_path / name), ManualClock(), [an_uplink()]) as buffer:
            await buffer.store([a_sample(a_shape(name))], 3)
    async with open_buffer(some_settings(tmp_path / "ours"), ManualClock(), [an_uplink()]) as buffer:
        lanes = buffer.lanes("city")
        await buffer.store([a_sample(a_shape("new"))], 3)
        with faults.of(sqlite_error(sqlite3.SQLITE_IOERR), "begin"):
            await buffer.store((), 0)
            (tmp_path / "ours").rename(tmp_path / "away")
            (tmp_path / "theirs").rename(tmp_path / "ours")
        for _ in range(2):
            buffer._storage._next_try_s = 0.0
            await buffer.store((), 0)
        assert buffer.durable
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert [row.sample.shape.device for row in await take_all(lanes)] == ["new"]
    (aside,) = (tmp_path / "ours").glob("set-aside-*.sqlite")
    connection = sqlite3.connect(aside)
    assert connection.execute("select count(*) from row_2").fetchone() == (1,)
    connection.close()


async def test_what_memory_holds_at_the_end_is_counted_and_said(tmp_path, faults):
    """An agent that stops without a disk says what that costs; the file is as it was before the failure."""
    with capture_logs() as logs:
        async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
            await buffer.store([a_sample(a_shape(), 1)], 3)
            faults.fail(sqlite_error(sqlite3.SQLITE_IOERR), "begin")
            await buffer.store([a_sample(a_shape(), 2)], 3)
    faults.heal()
    (entry,) = [entry for entry in logs if entry["event"] == "buffer.lost"]
    assert entry["lost"] == {"city": 3}
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        assert [row.sample.monotonic_ns for row in await take_all(buffer.lanes("city"))] == [1]
        assert (await buffer.ledger()).problems() == []


async def test_at_the_end_a_disk_that_works_again_gets_everything(tmp_path, faults):
    """Stopping while memory stands in tries the disk once more, whatever the back-off says."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        with faults.of(sqlite_error(sqlite3.SQLITE_IOERR), "begin"):
            await buffer.store([a_sample(a_shape(), moment) for moment in range(5000)], 15_000)
            assert not buffer.durable
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        assert len(await take_all(buffer.lanes("city"))) == 5000
        assert (await buffer.ledger()).problems() == []


async def test_tries_to_get_back_are_spread_out(tmp_path, faults):
    """A disk that stays away is not opened at every commit."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        with faults.of(sqlite_error(sqlite3.SQLITE_IOERR), "begin"):
            for _ in range(50):
                await buffer.store([a_sample(a_shape())], 3)
        assert faults.calls <= 3


async def test_a_second_agent_on_the_same_folder_does_not_touch_the_store(tmp_path, monkeypatch):
    """Two writers would give one number twice: the second is not durable, and says why, until the first has gone."""
    monkeypatch.setattr(opening, "_BUSY_SECONDS", 0.1)
    first = open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()])
    buffer = await first.__aenter__()
    await buffer.store([a_sample(a_shape(), 1)], 3)
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as second:
        assert not second.durable
        assert "locked" in second.status()["why_not_durable"]
        await second.store([a_sample(a_shape(), 2)], 3)
        await first.__aexit__(None, None, None)
        await back_on_disk(second)
        rows = await take_all(second.lanes("city"))
        assert {row.sample.monotonic_ns for row in rows} == {1, 2}
        assert len({(row.store, row.number) for row in rows}) == 2
        assert (await second.ledger()).problems() == []


async def test_killed_on_the_way_back_the_rest_is_missed_and_counted(tmp_path, faults, monkeypatch):
    """Rows move a step at a time; what had not moved yet is lost with the process, and the ledger says how much."""
    monkeypatch.setattr(storage, "STEPS_AT_ONCE", 1)
    settings = some_settings(tmp_path / "b", memory=2**22)
    async with open_buffer(settings, ManualClock(), [an_uplink()]) as buffer:
        with faults.of(sqlite_error(sqlite3.SQLITE_IOERR), "begin"):
            await buffer.store([a_sample(a_shape(), moment) for moment in range(1200)], 3600)
        buffer._storage._next_try_s = 0.0
        await buffer.store((), 0)
        assert not buffer.durable
        rows = await take_all(buffer.lanes("city"))
        assert [row.sample.monotonic_ns for row in rows] == list(range(1200)), "from both, without a seam"
        assert (await buffer.ledger()).problems() == []
        shutil.copytree(tmp_path / "b", tmp_path / "killed")
    killed = some_settings(tmp_path / "killed")
    async with open_buffer(killed, ManualClock(), [an_uplink()]) as buffer:
        ledger = await buffer.ledger()
        assert ledger.problems() == []
        assert ledger.uplinks["city"].dropped == {"damaged": 2100}
        assert len(await settle_all(buffer.lanes("city"))) == 500
        assert buffer.lanes("city").waiting() == (0, 0)
        await buffer.store((), 0)
        assert (await buffer.ledger()).problems() == []


async def test_the_ledger_balances_while_the_file_is_out_of_reach(tmp_path, faults):
    """Rows that cannot be looked at are taken as counted."""
    async with open_buffer(some_settings(tmp_path), ManualClock(), [an_uplink()]) as buffer:
        await buffer.store([a_sample(a_shape(), 1)], 3)
        with faults.of(sqlite_error(sqlite3.SQLITE_IOERR), "begin", "select name"):
            for _ in range(3):
                await buffer.store([a_sample(a_shape(), 2)], 3)
                buffer._storage._next_try_s = 0.0
                ledger = await buffer.ledger()
                assert ledger.problems() == []
            assert ledger.uplinks["city"].waiting == 12
        await back_on_disk(buffer)
        assert (await buffer.ledger()).problems() == []


@pytest.mark.parametrize("code", [sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL])
async def test_a_drop_that_could_not_be_written_is_counted_once(tmp_path, faults, monkeypatch, code):
    """Rows that were chosen to be dropped when the disk failed are dropped once, and leave when it is back."""
    monkeypatch.setattr(storage, "WORTH_TRIMMING", 0)
    shape = a_shape(points=50)
    async with open_buffer(some_settings(tmp_path, size=2**19), ManualClock(), [an_uplink()]) as buffer:
        while buffer.status()["bytes"] <= 2**19:
            await buffer.store([a_sample(shape, 0, 1 / 3)] * 20, 1000)
        with faults.of(sqlite_error(code), "begin"):
            for _ in range(3):
                await buffer.store([a_sample(shape)], 50)
            buffer.lanes("city").begin()
            rows = await settle_all(buffer.lanes("city"))
            ledger = await buffer.ledger()
            assert ledger.problems() == []
            assert ledger.uplinks["city"].dropped["full"] > 0
        await back_on_disk(buffer)
        assert (await buffer.ledger()).problems() == []
        rows += await settle_all(buffer.lanes("city"))
        assert 50 * len(rows) + sum(ledger.uplinks["city"].dropped.values()) == ledger.stored
        await buffer.store((), 0)
        assert (await buffer.ledger()).problems() == []
