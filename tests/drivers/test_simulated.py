"""The pretended building: plausible, the same each time, and late like the real one."""

from __future__ import annotations

import asyncio
import math
import random
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.fields import Place
from agent.interfaces import Context
from agent.memory import MemoryFile
from agent.sample import Class, Reason, Sample
from drivers import simulated
from drivers.simulated import DeviceSettings, LinkSettings, Model, presence, values
from tests.emulators import virtual_time
from tests.emulators.virtual_time import VirtualClock

WEDNESDAY = datetime(2026, 11, 25, tzinfo=UTC)
SATURDAY = datetime(2026, 11, 28, tzinfo=UTC)


def at(day: datetime, hours: float) -> float:
    return (day + timedelta(hours=hours)).timestamp()


def quiet() -> random.Random:
    return random.Random("no noise in particular")


class Clock(VirtualClock):
    """Virtual time, beginning on a Wednesday morning."""

    def wall_ns(self) -> int:
        return int(at(WEDNESDAY, 8) * 1e9) + self.monotonic_ns()


def link(**device) -> LinkSettings:
    return LinkSettings(id="building", driver="simulated", devices=(DeviceSettings(id="d", **device),))


async def first(settings_: LinkSettings, count: int) -> list[Sample]:
    samples = []
    async with (
        simulated.open(settings_, Context(Clock(), MemoryFile().part("test"))) as opened,
        aclosing(opened.source(settings_.devices[0].id)) as source,
    ):
        async for sample in source:
            samples.append(sample)
            if len(samples) == count:
                break
    return samples


@pytest.mark.parametrize("lag_s", [60, 1800, 7200])
def test_presence_follows_the_people(lag_s):
    """What follows the people is away at night and at the weekend, rises in the morning and falls in the evening."""
    assert presence(at(WEDNESDAY, 7.9), lag_s) == 0
    morning = [presence(at(WEDNESDAY, 8 + hours / 10), lag_s) for hours in range(90)]
    assert all(earlier <= later for earlier, later in pairwise(morning))
    evening = [presence(at(WEDNESDAY, 17 + hours / 10), lag_s) for hours in range(69)]
    assert all(earlier >= later for earlier, later in pairwise(evening))
    assert morning[-1] > 0.9
    assert all(presence(at(SATURDAY, hours), lag_s) == 0 for hours in range(24))


def test_a_room_has_stale_air_when_people_are_in_it():
    """CO2, temperature and humidity are higher at work than at night, and in the range of a real room."""
    night, day = (values(Model.ROOM, at(WEDNESDAY, hour), quiet()) for hour in (3, 15))
    assert 400 < night[1] < 450
    assert 800 < day[1] < 1100
    assert 19 < night[0] < day[0] < 24
    assert night[3] == 0
    assert day[3] == 12


@given(st.floats(at(WEDNESDAY, 0), at(WEDNESDAY, 24 * 365)), st.floats(60, 86400))
def test_energy_is_the_integral_of_power(begin_s, length_s):
    """The meter's counter never falls, and rises by the mean power times the time."""
    steps = 500
    powers = [
        values(Model.METER, begin_s + length_s * (step + 0.5) / steps, quiet())[0] for step in range(steps)
    ]
    before, after = (values(Model.METER, moment_s, quiet())[1] for moment_s in (begin_s, begin_s + length_s))
    assert isinstance(before, Decimal)
    assert isinstance(after, Decimal)
    assert after >= before
    risen_wh = float((after - before) * 1000)
    assert math.isclose(risen_wh, sum(powers) / steps * length_s / 3600, rel_tol=0.001, abs_tol=1.5)


def test_ventilation_runs_by_the_clock():
    """The fans are fast and the mode is comfort while people are there."""
    assert values(Model.VENTILATION, at(WEDNESDAY, 3), quiet())[1:3] == (25.0, "reduced")
    assert values(Model.VENTILATION, at(WEDNESDAY, 12), quiet())[1:3] == (70.0, "comfort")


def test_the_filter_alarm_comes_and_goes():
    """One week of ninety days the filter is dirty."""
    alarms = [values(Model.VENTILATION, at(WEDNESDAY, 24 * day), quiet())[3] for day in range(90)]
    assert sum(alarms) == 7


def test_points_carry_what_a_consumer_needs():
    """Energy is for billing, the alarm is an event, and each point is where its device is."""
    place = Place(room="204")
    by_name = {
        point.name: point
        for model in Model
        for point in simulated.points(DeviceSettings(id="d", model=model, place=place))
    }
    assert by_name["active_energy"].class_ is Class.BILLING
    assert by_name["filter_alarm"].class_ is Class.EVENT
    assert all(point.place == place for point in by_name.values())


def test_the_same_seed_says_the_same():
    """Two runs at the same time agree to the last digit; another seed is another building."""
    runs = [
        [sample.values for sample in virtual_time.run(first(link(model=Model.ROOM, seed=seed), 20))]
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_samples_come_at_the_interval():
    """The first sample comes at once, the others an interval apart, whatever the consumer does in between."""
    samples = virtual_time.run(first(link(model=Model.METER, interval=timedelta(seconds=10)), 5))
    times_s = [sample.monotonic_ns // 1_000_000_000 for sample in samples]
    assert times_s == [0, 10, 20, 30, 40]


def test_a_slow_consumer_misses_slots_and_they_are_counted():
    """What was due while the consumer was busy is skipped and counted, not queued; the phase is kept."""

    async def slow() -> tuple[list[int], int]:
        times_s = []
        settings_ = link(model=Model.METER, interval=timedelta(seconds=10))
        async with (
            simulated.open(settings_, Context(Clock(), MemoryFile().part("test"))) as opened,
            aclosing(opened.source("d")) as source,
        ):
            async for sample in source:
                times_s.append(sample.monotonic_ns // 1_000_000_000)
                if len(times_s) == 4:
                    break
                await asyncio.sleep(25)
        return times_s, opened.counts["missed"]

    times_s, missed = virtual_time.run(slow())
    assert times_s == [0, 30, 60, 90]
    assert missed == 6


def test_refresh_comes_between():
    """A sample that was asked for comes at once, and the schedule goes on as if it had not been."""

    async def refreshed() -> list[int]:
        times_s: list[int] = []
        settings_ = link(model=Model.METER, interval=timedelta(seconds=10))
        async with simulated.open(settings_, Context(Clock(), MemoryFile().part("test"))) as opened:
            asyncio.get_running_loop().call_later(13, opened.refresh, "d")
            async with aclosing(opened.source("d")) as source:
                async for sample in source:
                    times_s.append(sample.monotonic_ns // 1_000_000_000)
                    if len(times_s) == 5:
                        return times_s
        return []

    assert virtual_time.run(refreshed()) == [0, 10, 13, 20, 30]


@settings(deadline=None, max_examples=10)
@given(st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_silence_is_a_bad_sample(share):
    """The share of polls that stay unanswered gives samples without values, and is counted."""
    samples = virtual_time.run(first(link(model=Model.ROOM, silent_share=share), 400))
    silent = [sample for sample in samples if sample.values == (None,) * 4]
    assert all(set(sample.reasons) == {Reason.TIMEOUT} for sample in silent)
    assert abs(len(silent) / 400 - share) < 0.1
