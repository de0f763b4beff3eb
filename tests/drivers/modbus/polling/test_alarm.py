"""Sleeping until a moment, or until something happens before."""

from __future__ import annotations

import asyncio

from agent.clock import Clock
from drivers.modbus.polling.alarm import Alarm


async def test_until_a_moment():
    """It wakes by itself, and never before the moment that was asked for, whatever the timer does."""
    now_ns = Clock().monotonic_ns
    until_ns = now_ns() + 20_000_000
    assert await Alarm(now_ns).sleep(until_ns) >= until_ns
    assert await Alarm(lambda: 5).sleep(6) == 6


async def test_stirred():
    """Something that happens wakes it, and also where nothing else would; what happens while it is awake does not count."""
    alarm = Alarm(lambda: 5)
    alarm.stir()
    for until_ns in (None, 3_600_000_000_000):
        sleeper = asyncio.ensure_future(alarm.sleep(until_ns))
        await asyncio.sleep(0)
        assert not sleeper.done()
        alarm.stir()
        alarm.stir()
        assert await sleeper == 5
