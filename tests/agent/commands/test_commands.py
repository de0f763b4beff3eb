"""A command is carried out once, by the rules, and what became of it is said as it is."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from agent.command import CommandState
from agent.commands import Audit
from agent.commands import records as remembering
from agent.sample import Reason, ValueType
from tests.emulators import virtual_time
from tests.emulators.writable import BEGIN, Clock, a_building, a_point, use_fake_driver

APPLIED, REJECTED = CommandState.APPLIED, CommandState.REJECTED
FAILED, EXPIRED = CommandState.FAILED, CommandState.EXPIRED
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    use_fake_driver(monkeypatch)


def once(building, value, **what):
    """The outcome of one command, in virtual time."""

    async def run():
        async with building.commands() as commands:
            return await commands.execute(building.ask(value, **what))

    return virtual_time.run(run())


def test_written_and_read_back():
    """What it was, and what it is now."""
    building = a_building()
    outcome = once(building, 21.5)
    assert (outcome.state, outcome.before, outcome.found) == (APPLIED, 20.0, 21.5)
    assert building.values["setpoint"] == 21.5


def test_only_on_change():
    """What is so already is not written again."""
    building = a_building()
    outcome = once(building, 20.0)
    assert (outcome.state, outcome.found) == (APPLIED, 20.0)
    assert "nothing was written" in outcome.detail
    assert building.writes == []


NEVER = [
    ("another device", {"device": "vent-2"}, 21, {}, "device vent-2: not in the configuration; did you mean vent-1?"),
    ("another point", {"point": "setpont"}, 21, {}, "has none of this name; did you mean setpoint?"),
    ("below", {}, 17.9, {}, "expected 18 to 24 Cel, found 17.9"),
    ("above", {}, 24.1, {}, "expected 18 to 24 Cel, found 24.1"),
    ("between steps", {}, 20.2, {"step": 0.5}, "expected a multiple of 0.5 Cel, found 20.2"),
    ("finer than the device", {}, 20.25, {}, "expected a multiple of 0.1, found 20.25"),
    ("text", {}, "warm", {}, "expected a number, found 'warm'"),
    ("true", {}, True, {}, "expected a number, found True"),
    ("not a number", {}, float("nan"), {}, "expected a number"),
    ("too far", {}, 23, {"most_change": 2}, "expected a change of at most 2 Cel from 20.0, found 3"),
    ("no fallback", {"lease": HOUR}, 21, {}, "this point has no fallback"),
    ("too long", {"lease": 25 * HOUR}, 21, {"fallback": "20"}, "lease: expected at most 1d"),
    ("no time at all", {"lease": timedelta(0)}, 21, {"fallback": "20", "lease": None}, "lease: expected"),
    ("a plan", {"expires_at": BEGIN + 49 * HOUR}, 21, {}, "expected to expire within 1d"),
    (
        "from the future",
        {"requested_at": BEGIN + HOUR, "expires_at": BEGIN + 2 * HOUR},
        21,
        {},
        "from the future: one of the clocks is wrong",
    ),
    ("endless id", {"id": "x" * 1000}, 21, {}, "id: expected at most 256 characters"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "value", "write", "words"), [case[1:] for case in NEVER], ids=[c[0] for c in NEVER]
)
def test_rejected(what, value, write, words):
    """What may not be is said in words, and nothing is written."""
    building = a_building(a_point(**{key: limit for key, limit in write.items() if limit is not None}))
    outcome = once(building, value, **what)
    assert outcome.state is REJECTED
    assert words in outcome.detail
    assert building.writes == []


def test_read_only_by_default():
    """A point without a `write` section may only be read; so may a number without a range."""
    building = a_building(a_point(write=None))
    assert "may only be read" in once(building, 21).detail
    building = a_building(a_point(minimum=None))
    assert "expected a minimum and a maximum" in once(building, 21).detail
    assert building.writes == []


def test_expired():
    """One that comes too late is not done; nor is one whose turn comes too late."""
    building = a_building()
    outcome = once(building, 21, requested_at=BEGIN - HOUR, expires_at=BEGIN - HOUR / 2)
    assert outcome.state is EXPIRED

    async def run():
        await building._line.acquire()  # somebody else keeps the line busy
        async with building.commands() as commands:
            command = building.ask(22)
            command = building.ask(22, expires_at=command.requested_at + timedelta(seconds=2))
            waiting = asyncio.create_task(commands.execute(command))
            await asyncio.sleep(3)
            building._line.release()
            return await waiting

    assert virtual_time.run(run()).state is EXPIRED
    assert building.writes == []


def test_rate():
    """No point is written more often than its settings say; nor after a restart."""
    building = a_building(a_point(every=timedelta(minutes=10)))

    async def run():
        async with building.commands() as commands:
            first = await commands.execute(building.ask(21))
            await asyncio.sleep(300)
            second = await commands.execute(building.ask(22))
        async with building.commands() as commands:
            await asyncio.sleep(100)
            third = await commands.execute(building.ask(22))
            await asyncio.sleep(200)
            fourth = await commands.execute(building.ask(22))
        return [first, second, third, fourth]

    outcomes = virtual_time.run(run())
    assert [outcome.state for outcome in outcomes] == [APPLIED, REJECTED, REJECTED, APPLIED]
    assert "written less than 10min ago, which is its `every`: again in 300 s" in outcomes[1].detail
    assert len(building.writes) == 2


def test_to_try_it_and_then_to_do_it():
    """What was only tried keeps nobody from writing; what was written says at once for how long it does."""
    building = a_building(a_point(every=timedelta(minutes=10)))

    async def run():
        async with building.commands() as commands:
            tried = await commands.try_out(building.ask(21))
            again = await commands.try_out(building.ask(21))
            done = await commands.execute(building.ask(21))
            return tried, again, done, await commands.execute(building.ask(22))

    tried, again, done, second = virtual_time.run(run())
    assert (tried.state, done.state) == (CommandState.ACCEPTED, APPLIED)
    assert again.detail == "it was asked for less than a second ago"
    assert "written less than 10min ago, which is its `every`" in second.detail


def test_rate_after_another_boot_whose_clock_nobody_set():
    """Where nobody can tell how long it is, it counts from the start."""
    building = a_building(a_point(every=timedelta(minutes=10)))

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(21))
        building.clock = Clock(boot="2" * 32, trusted=False)
        async with building.commands() as commands:
            await asyncio.sleep(590)
            early = await commands.execute(building.ask(22))
            await asyncio.sleep(11)
            return early, await commands.execute(building.ask(22))

    assert [outcome.state for outcome in virtual_time.run(run())] == [REJECTED, APPLIED]


def test_a_repeat_gets_the_same_answer():
    """Not a second write: at once, later, after a restart; and another command cannot have its id."""
    building = a_building(a_point(every=timedelta(0)))

    async def run():
        command = building.ask(21.5)
        async with building.commands() as commands:
            both = await asyncio.gather(commands.execute(command), commands.execute(command))
            building.values["setpoint"] = 19.0  # somebody turned it at the device
            await asyncio.sleep(5)
            both.append(await commands.execute(command))
            other = await commands.execute(building.ask(22, id=command.id))
        async with building.commands() as commands:
            both.append(await commands.execute(command))
        return both, other

    outcomes, other = virtual_time.run(run())
    assert outcomes == [outcomes[0]] * 4
    assert outcomes[0].state is APPLIED
    assert (other.state, other.detail) == (REJECTED, "another command had this id")
    assert len(building.writes) == 1


def test_what_is_rejected_once_stays_rejected():
    """A repeat of a command that was refused is refused, though it might be allowed by now."""
    building = a_building()

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(21))
            await asyncio.sleep(2)
            command = building.ask(22)
            early = await commands.execute(command)
            await asyncio.sleep(15)
            return early, await commands.execute(command)

    early, late = virtual_time.run(run())
    assert early.state is REJECTED
    assert late == early


def test_remembered_without_bound_on_none(monkeypatch):
    """Ids are forgotten when they expire, and those of rejected commands when there are many; never those of writes."""
    monkeypatch.setattr(remembering, "REMEMBERED", 3)
    building = a_building(a_point(every=timedelta(0)))

    async def run():
        async with building.commands() as commands:
            done = []
            for value in (19, 21, 22, 23):
                done.append(await commands.execute(building.ask(value)))
                await asyncio.sleep(2)
            await asyncio.sleep(60)
            done.append(await commands.execute(building.ask(24)))
            return done

    outcomes = virtual_time.run(run())
    assert [outcome.state for outcome in outcomes] == [APPLIED, APPLIED, APPLIED, REJECTED, APPLIED]


def test_two_at_once():
    """Two commands for one point are carried out one after the other, and the second by the rules."""
    building = a_building()

    async def run():
        async with building.commands() as commands:
            return await asyncio.gather(
                commands.execute(building.ask(21)), commands.execute(building.ask(22, source="user bo"))
            )

    outcomes = virtual_time.run(run())
    assert [outcome.state for outcome in outcomes] == [APPLIED, REJECTED]
    assert len(building.writes) == 1


def test_not_too_many_at_once():
    """What cannot be taken on is rejected, not queued."""
    building = a_building(*(a_point(f"p{number}") for number in range(40)))

    async def run():
        async with building.commands() as commands:
            return await asyncio.gather(
                *(commands.execute(building.ask(21, point=f"p{number}")) for number in range(40))
            )

    states = [outcome.state for outcome in virtual_time.run(run())]
    assert (states.count(APPLIED), states.count(REJECTED)) == (32, 8)


def test_a_device_that_clamps():
    """A device that takes something else without a word is found out."""
    building = a_building(takes=lambda _, value: min(value, 22.0))
    outcome = once(building, 23.5)
    assert (outcome.state, outcome.found) == (FAILED, 22.0)
    assert "took something else: expected 23.5, found 22.0" in outcome.detail


def test_a_device_that_refuses():
    """Its own words are passed on."""
    building = a_building(takes=lambda *_: None)
    outcome = once(building, 23.5)
    assert (outcome.state, outcome.found) == (FAILED, 20.0)
    assert (
        outcome.detail == "the device did not take it: expected 23.5, it is still 20.0 (illegal data value)"
    )


def test_not_written_blindly():
    """A point that cannot be read is not written; nor is one behind a link that is not open."""
    building = a_building(values={"setpoint": Reason.TIMEOUT})
    assert once(building, 21).detail == "what it is now could not be read: timeout"
    building = a_building(lost="link plant is not open: refused")
    outcome = once(building, 21)
    assert (outcome.state, outcome.detail) == (REJECTED, "link plant is not open: refused")
    assert outcome.unavailable
    assert building.writes == []


def test_nothing_is_written_to_what_is_out_of_service():
    """Somebody may have their hands in it."""
    building = a_building(replace(a_point(), out_of_service="damper is being oiled"))
    outcome = once(building, 21)
    assert (outcome.state, outcome.detail) == (REJECTED, "setpoint is out of service: damper is being oiled")
    assert not outcome.unavailable
    assert building.writes == []


@pytest.mark.parametrize(
    ("after_s", "narrower", "words"),
    [
        (0.5, {"maximum": 21}, "expected 18 to 21 Cel, found 22"),
        (1.5, {"maximum": 21}, "expected 18 to 21 Cel, found 22"),
        (0.5, None, "setpoint is out of service: damper is being oiled"),
        (1.5, None, "setpoint is out of service: damper is being oiled"),
    ],
)
def test_what_the_configuration_forbids_meanwhile_is_not_written(after_s, narrower, words):
    """A reload counts at once, for a command that waits for another one, and for one that reads the point."""
    building = a_building(latency_s=1)
    point = a_point(**narrower) if narrower else replace(a_point(), out_of_service="damper is being oiled")

    async def run():
        async with building.commands() as commands:
            lock = commands._carrying.locks["vent-1", "setpoint"]
            await lock.acquire()
            waiting = asyncio.create_task(commands.execute(building.ask(22)))
            asyncio.get_running_loop().call_later(1, lock.release)
            await asyncio.sleep(after_s)
            building.points = (point,)
            return await waiting

    outcome = virtual_time.run(run())
    assert (outcome.state, outcome.detail) == (REJECTED, words)
    assert building.writes == []


def test_lost_in_the_middle():
    """What happened to a write that was on its way when the link was lost, nobody knows: that is what is said."""
    building = a_building(latency_s=1)

    async def run():
        async with building.commands() as commands:
            command = building.ask(21)
            waiting = asyncio.create_task(commands.execute(command))
            await asyncio.sleep(1.5)
            building.lost = "link plant: closed by the peer"
            return await waiting

    outcome = virtual_time.run(run())
    assert outcome.state is FAILED
    assert "nobody knows" in outcome.detail
    assert "closed by the peer" in outcome.detail


def test_whoever_asked_need_not_wait():
    """A command is carried out to its end though nobody waits for the answer any more; a repeat gets it."""
    building = a_building(latency_s=1)

    async def run():
        async with building.commands() as commands:
            command = building.ask(21)
            asking = asyncio.create_task(commands.execute(command))
            await asyncio.sleep(0.5)
            asking.cancel()
            return await commands.execute(command)

    assert virtual_time.run(run()).state is APPLIED
    assert len(building.writes) == 1


def test_what_cannot_be_written_down_is_not_done():
    """With a full disk, say: after a restart nobody would know of it."""
    building = a_building(keeps=False)
    outcome = once(building, 21)
    assert outcome.state is REJECTED
    assert "is the disk full?" in outcome.detail
    assert building.writes == []


def test_killed_in_the_middle():
    """After a restart it is known that nobody knows, and the command is not done a second time."""
    building = a_building(latency_s=1)

    async def run():
        command = building.ask(21)
        async with building.commands() as commands:
            asking = asyncio.create_task(commands.execute(command))
            await asyncio.sleep(1.5)
        with pytest.raises(asyncio.CancelledError):
            await asking
        with capture_logs() as logs:
            async with building.commands() as commands:
                outcome = await commands.execute(command)
        return outcome, logs

    outcome, logs = virtual_time.run(run())
    assert outcome.state is FAILED
    assert "the agent ended while it was carried out" in outcome.detail
    assert [entry["event"] for entry in logs] == ["command.interrupted"]
    assert building.writes == []


def test_try_out():
    """Everything is checked and the point is read, but nothing is written, remembered or held."""
    building = a_building(a_point(fallback="20"))

    async def run():
        async with building.commands() as commands:
            fine = await commands.try_out(building.ask(21, lease=HOUR))
            await asyncio.sleep(2)
            same = await commands.try_out(building.ask(20))
            return fine, same, await commands.try_out(building.ask(30)), commands.leases()

    fine, same, bad, leases = virtual_time.run(run())
    assert (fine.state, fine.before) == (CommandState.ACCEPTED, 20.0)
    assert same.detail == "it is so already: nothing would be written"
    assert bad.state is REJECTED
    assert (building.writes, leases, building.memory.content) == ([], [], {})


def test_booleans():
    """A switch is on or off, and no number."""
    building = a_building(a_point("pump", ValueType.BOOLEAN))
    assert once(building, value=True, point="pump").state is APPLIED
    assert once(building, value=1, point="pump").state is REJECTED


async def test_every_command_is_on_record(tmp_path, monkeypatch):
    """Who asked for what, and what became of it, one line each; also of what was rejected."""
    audit = Audit(tmp_path / "commands.ndjson")
    building = a_building(a_point(every=timedelta(0)), clock=Clock())
    async with building.commands(audit) as commands:
        await commands.execute(building.ask(21.5))
        await commands.execute(building.ask(99))
    first, second = map(json.loads, (tmp_path / "commands.ndjson").read_text().splitlines())
    assert first["source"] == "user anna"
    assert (first["value"], first["before"], first["found"], first["state"]) == (
        "21.5",
        "20.0",
        "21.5",
        "applied",
    )
    assert (second["state"], second["detail"]) == ("rejected", "expected 18 to 24 Cel, found 99")


async def test_a_bug_is_an_answer(monkeypatch):
    """It ends the command, with its traceback in the log, and nothing else."""
    building = a_building(clock=Clock())
    async with building.commands() as commands:
        monkeypatch.setattr(building, "current", None)
        with capture_logs() as logs:
            outcome = await commands.execute(building.ask(21))
    assert outcome.state is FAILED
    assert "a bug" in outcome.detail
    assert [entry["event"] for entry in logs] == ["command.faulty", "command.failed"]
