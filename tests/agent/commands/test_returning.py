"""What is held for a while returns, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from agent.command import CommandState
from agent.sample import Reason
from tests.emulators import virtual_time
from tests.emulators.writable import BEGIN, Clock, a_building, a_point, use_fake_driver

APPLIED, REJECTED, FAILED = CommandState.APPLIED, CommandState.REJECTED, CommandState.FAILED
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    use_fake_driver(monkeypatch)


def leased(**write):
    """A building whose setpoint falls back to 20."""
    return a_building(a_point(**{"fallback": "20", "every": timedelta(0), **write}))


def events(logs, prefix="lease."):
    return [entry["event"] for entry in logs if entry["event"].startswith(prefix)]


def test_the_fallback_returns():
    """When the lease ends, and not before."""
    building = leased()

    async def run():
        async with building.commands() as commands:
            outcome = await commands.execute(building.ask(22, lease=HOUR))
            held = commands.leases()
            await asyncio.sleep(3599)
            before = building.values["setpoint"]
            await asyncio.sleep(2)
            return outcome, held, before, commands.leases()

    with capture_logs() as logs:
        outcome, held, before, after = virtual_time.run(run())
    assert outcome.holds_until - BEGIN == pytest.approx(HOUR, abs=timedelta(seconds=1))
    assert [(lease["value"], lease["fallback"], lease["source"]) for lease in held] == [
        ("22", "20", "user anna")
    ]
    assert (before, building.values["setpoint"], after) == (22.0, 20.0, [])
    assert events(logs) == ["lease.returned"]


def test_the_lease_of_the_settings():
    """A command that says nothing of a lease gets the configured one; the fall-back value needs none."""
    building = leased(lease=timedelta(minutes=30))

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(22))
            held = len(commands.leases())
            await asyncio.sleep(2)
            await commands.execute(building.ask(20))
            return held, len(commands.leases())

    assert virtual_time.run(run()) == (1, 0)


def test_renewed_by_its_source():
    """Its source renews it, also without a write; another source is told who holds it, and may take over on purpose."""
    building = leased()

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(22, lease=HOUR))
            await asyncio.sleep(1800)
            renewed = await commands.execute(building.ask(22, lease=HOUR))
            await asyncio.sleep(1900)
            held = building.values["setpoint"]
            other = await commands.execute(building.ask(23, lease=HOUR, source="city"))
            taken = await commands.execute(building.ask(23, lease=HOUR, source="user bo", takes_over=True))
            return renewed, held, other, taken, commands.leases()

    renewed, held, other, taken, leases = virtual_time.run(run())
    assert (renewed.state, held) == (APPLIED, 22.0)
    assert other.state is REJECTED
    assert other.detail.startswith("user anna holds it at 22 until 2026-11-18 09:30")
    assert taken.state is APPLIED
    assert [lease["source"] for lease in leases] == ["user bo"]


def test_for_good_ends_a_lease():
    """A value without a lease stays, also where one was held before."""
    building = leased()

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(22, lease=HOUR))
            await asyncio.sleep(2)
            await commands.execute(building.ask(23))
            await asyncio.sleep(7200)

    virtual_time.run(run())
    assert building.values["setpoint"] == 23.0


KILLS = [
    ("held still", 600, {}, 22.0),
    ("over meanwhile", 4000, {}, 20.0),
    ("another boot, held still", 600, {"boot": "2" * 32}, 22.0),
    ("another boot, over meanwhile", 4000, {"boot": "2" * 32}, 20.0),
    ("another boot, and nobody knows how long it took", 600, {"boot": "2" * 32, "trusted": False}, 20.0),
]


@pytest.mark.parametrize(
    ("seconds", "clock", "value"), [case[1:] for case in KILLS], ids=[c[0] for c in KILLS]
)
def test_killed_meanwhile(seconds, clock, value):
    """A lease outlives the agent: one that ended while it was down falls back at the start, another goes on."""
    building = leased()

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(22, lease=HOUR))
        await asyncio.sleep(seconds)
        if clock:
            building.clock = Clock(**clock)
        async with building.commands():
            await asyncio.sleep(1)
            found = building.values["setpoint"]
            await asyncio.sleep(3600)
            return found

    assert virtual_time.run(run()) == value
    assert building.values["setpoint"] == 20.0


def test_killed_between_the_write_and_its_answer():
    """The lease is known before anything is written."""
    building = leased()
    building.latency_s = 1

    async def run():
        async with building.commands() as commands:
            asking = asyncio.create_task(commands.execute(building.ask(22, lease=HOUR)))
            await asyncio.sleep(2.5)
        await asyncio.gather(asking, return_exceptions=True)
        held = building.values["setpoint"]
        async with building.commands():
            await asyncio.sleep(3610)
        return held

    assert virtual_time.run(run()) == 22.0
    assert building.values["setpoint"] == 20.0


def test_the_link_is_down_when_it_ends():
    """It is tried until it is done, said aloud once, and said when it is done."""
    building = leased()

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(22, lease=timedelta(minutes=1)))
            building.lost = "link plant is not open: refused"
            await asyncio.sleep(7200)
            (lease,) = commands.leases()
            building.lost = ""
            await asyncio.sleep(90)
            return lease

    with capture_logs() as logs:
        lease = virtual_time.run(run())
    assert lease["error"] == "link plant is not open: refused"
    assert building.values["setpoint"] == 20.0
    loud = [entry["event"] for entry in logs if entry["log_level"] in {"warning", "error"}]
    assert loud == ["lease.unavailable", "lease.not_returned"]
    assert events(logs)[-2:] == ["lease.recovered", "lease.returned"]
    assert len(building.writes) == 2


def test_what_is_out_of_service_when_its_lease_ends():
    """The fall-back is written when it is back in service, and not before."""
    building = leased()
    in_service = building.points

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(22, lease=timedelta(minutes=1)))
            building.points = (replace(in_service[0], out_of_service="damper is being oiled"),)
            await asyncio.sleep(3600)
            assert building.values["setpoint"] == 22.0
            building.points = in_service
            await asyncio.sleep(90)

    virtual_time.run(run())
    assert building.values["setpoint"] == 20.0


def test_a_silent_device_is_not_written_blindly():
    """The fall-back is written when the device answers again."""
    building = leased()

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(22, lease=timedelta(minutes=1)))
            building.values["setpoint"] = Reason.TIMEOUT
            await asyncio.sleep(3600)
            building.values["setpoint"] = 22.0
            await asyncio.sleep(90)

    virtual_time.run(run())
    assert building.values["setpoint"] == 20.0
    assert len(building.writes) == 2


def test_a_device_that_never_takes_the_fallback():
    """It is not worn out: after three writes a person must act, and is told so."""
    building = leased()

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(22, lease=timedelta(minutes=1)))
            building.takes = lambda *_: None
            await asyncio.sleep(7200)
            return commands.leases()

    with capture_logs() as logs:
        assert virtual_time.run(run()) == []
    assert len(building.writes) == 1 + 3
    assert events(logs)[-1] == "lease.abandoned"


@pytest.mark.parametrize("points", [(), (a_point(write=None),), (a_point(minimum=21),)])
def test_no_longer_allowed(points):
    """Where the configuration of now does not allow the fall-back, it is not written, and a person is told."""
    building = leased()

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(22, lease=timedelta(minutes=1)))
            building.points = points
            await asyncio.sleep(70)

    with capture_logs() as logs:
        virtual_time.run(run())
    assert len(building.writes) == 1
    assert events(logs) == ["lease.abandoned"]


def test_a_new_command_while_the_fallback_cannot_be_written():
    """It takes the place of the fall-back, which is not written behind its back."""
    building = leased()

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(22, lease=timedelta(minutes=1)))
            building.lost = "link plant is not open: refused"
            await asyncio.sleep(70)
            building.lost = ""
            outcome = await commands.execute(building.ask(23, lease=HOUR))
            await asyncio.sleep(1800)
            return outcome, building.values["setpoint"]

    outcome, value = virtual_time.run(run())
    assert (outcome.state, value) == (APPLIED, 23.0)


def test_not_taken():
    """A lease for a value that the device refused changes nothing about the one that is held."""
    building = leased()

    async def run():
        async with building.commands() as commands:
            await commands.execute(building.ask(22, lease=HOUR))
            await asyncio.sleep(2)
            building.takes = lambda *_: None
            outcome = await commands.execute(building.ask(23, lease=2 * HOUR))
            return outcome, commands.leases()

    outcome, (lease,) = virtual_time.run(run())
    assert outcome.state is FAILED
    assert (lease["value"], round(lease["left_s"])) == ("22", 3598)


def test_clamped():
    """A device that took something else falls back like one that took it."""
    building = leased()
    building.takes = lambda _, value: min(value, 22.0)

    async def run():
        async with building.commands() as commands:
            outcome = await commands.execute(building.ask(24, lease=HOUR))
            held = building.values["setpoint"]
            await asyncio.sleep(3610)
            return outcome, held

    outcome, held = virtual_time.run(run())
    assert (outcome.state, held) == (FAILED, 22.0)
    assert outcome.holds_until is not None
    assert building.values["setpoint"] == 20.0


def test_without_an_agent():
    """Where nobody stays, nothing is held."""
    building = leased()

    async def run():
        async with building.commands(holds=False) as commands:
            outcome = await commands.execute(building.ask(22, lease=HOUR))
            await asyncio.sleep(2)
            return outcome, await commands.execute(building.ask(21))

    held, for_good = virtual_time.run(run())
    assert (held.state, for_good.state) == (REJECTED, APPLIED)
    assert "no agent is running" in held.detail
