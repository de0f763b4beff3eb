"""The driver contract: every driver that can be named in a configuration is found, opened and held to the seam.

A driver is opened with the links of `drivers/<name>.yaml` in this folder, `$PORT` in it replaced by a free port, and
against its own `emulate` where it has one.
"""

from __future__ import annotations

import asyncio
import math
import re
import socket
import typing
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent import plugins, settings
from agent.clock import Clock
from agent.fields import ID_PATTERN
from agent.interfaces import Context, DeviceBase, Driver, Link, LinkBase, Unavailable
from agent.memory import MemoryFile
from agent.recording import Frame
from agent.sample import Point, Quality, Reason, Sample, ValueType

FOLDER = Path(__file__).parent / "drivers"
LIMIT_S = 30.0
"""For what takes milliseconds on a machine that is not busy."""

PYTHON_TYPES = {
    ValueType.BOOLEAN: bool,
    ValueType.INTEGER: int,
    ValueType.NUMBER: float,
    ValueType.DECIMAL: Decimal,
    ValueType.TEXT: str,
}


class Case(NamedTuple):
    driver: Driver
    link: Any


def links(name: str, folder: Path) -> list[Any]:
    """The links of the driver's own configuration, read as an operator's would be."""
    example = FOLDER / f"{name}.yaml"
    assert example.is_file(), f"the driver {name} has no configuration to be tried with: write {example.name}"
    text = example.read_text(encoding="utf-8")
    written = re.sub(r"\$PORT", lambda _: str(free_port()), text)
    (folder / "gateway.yaml").write_text(written, encoding="utf-8")
    return list(settings.load(folder / "gateway.yaml").links)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(params=plugins.names("drivers"))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    return Case(plugins.driver(request.param), links(request.param, tmp_path)[0])


@asynccontextmanager
async def opened(case: Case) -> AsyncIterator[Link]:
    """The open link, with its devices emulated where the driver can."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        if hasattr(case.driver, "emulate"):
            await stack.enter_async_context(case.driver.emulate(case.link, clock))
        async with asyncio.timeout(LIMIT_S):
            link = await stack.enter_async_context(
                case.driver.open(case.link, Context(clock, MemoryFile().part("test")))
            )
        yield link


async def some(link: Link, device: str, count: int) -> list[Sample]:
    """The next few samples of a fresh source."""
    samples: list[Sample] = []
    async with asyncio.timeout(LIMIT_S), aclosing(link.source(device)) as source:
        async for sample in source:
            samples.append(sample)
            if len(samples) == count:
                break
    return samples


async def drain(link: Link, device: str, begun: asyncio.Event) -> None:
    """Take samples for ever; `begun` is set at the first."""
    async with aclosing(link.source(device)) as source:
        async for _ in source:
            begun.set()


def assert_sound(sample: Sample, device: str, points: tuple[Point, ...]) -> None:
    """Hold a sample to what `agent.sample` says of one."""
    assert sample.shape.device == device
    assert sample.shape.points == points
    assert len(sample.values) == len(points)
    assert len(sample.reasons) in {0, len(points)}
    assert len(sample.ages_ms) in {0, len(points)}
    assert all(isinstance(age, int) and age >= 0 for age in sample.ages_ms)
    for index, (point, value) in enumerate(zip(points, sample.values, strict=True)):
        reason = Reason(sample.reasons[index]) if sample.reasons else Reason.GOOD
        assert (value is None) == (reason.quality is Quality.BAD), f"{point.name}: {value!r} is {reason.word}"
        if value is not None:
            assert type(value) is PYTHON_TYPES[point.type], (
                f"{point.name}: {value!r} is no {point.type.value}"
            )
        if isinstance(value, float | Decimal):
            assert math.isfinite(value), f"{point.name}: {value!r} is not finite"


def test_settings(case):
    """A driver's settings derive from those of every link and device, and the link's devices are its own."""
    assert issubclass(case.driver.LinkSettings, LinkBase)
    assert issubclass(case.driver.DeviceSettings, DeviceBase)
    hints = typing.get_type_hints(case.driver.LinkSettings)
    assert hints["devices"] == tuple[case.driver.DeviceSettings, ...]
    assert isinstance(case.link, case.driver.LinkSettings)


def test_points(case):
    """The points of a device are always the same, have names that are ids, and lie within the device's place."""
    for device in case.link.devices:
        points = case.driver.points(device)
        assert points
        assert case.driver.points(device) == points
        names = [point.name for point in points]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(ID_PATTERN, name) for name in names)
        assert all(point.place == point.place.within(device.place) for point in points)


def test_intervals(case):
    """Where a driver says how often points come, it says so of each."""
    if not hasattr(case.driver, "intervals"):
        pytest.skip("nobody listens for points that come at no interval")
    for device in case.link.devices:
        intervals = case.driver.intervals(device)
        assert len(intervals) == len(case.driver.points(device))
        assert all(interval > timedelta(0) for interval in intervals)


async def test_samples(case):
    """Every device gives sound samples, one after another, whose shape is the same object each time."""
    began_ns = Clock().monotonic_ns()
    async with opened(case) as link:
        for device in case.link.devices:
            samples = await some(link, device.id, 3)
            for sample in samples:
                assert_sound(sample, device.id, case.driver.points(device))
            times = [began_ns, *(sample.monotonic_ns for sample in samples), Clock().monotonic_ns()]
            assert times == sorted(times)
            assert len({id(sample.shape) for sample in samples}) == 1


async def test_something_is_good(case):
    """Where nothing is wrong, samples have values: at least one device gives a sample that is good throughout."""
    async with opened(case) as link:
        for device in case.link.devices:
            if any(not any(sample.reasons) for sample in await some(link, device.id, 3)):
                return
    pytest.fail("no sample of any device was good")


async def test_a_source_may_be_asked_for_again(case):
    """After a source was closed, or left waiting, another one of the same device goes on."""
    device = case.link.devices[0].id
    async with opened(case) as link:
        for _ in range(3):
            assert len(await some(link, device, 1)) == 1
        async with aclosing(link.source(device)):
            pass  # closed before its first sample
        assert len(await some(link, device, 1)) == 1


async def test_all_devices_at_once(case):
    """Sources of one link run side by side, one task each."""
    async with opened(case) as link:
        samples = await asyncio.gather(*(some(link, device.id, 2) for device in case.link.devices))
    for device, theirs in zip(case.link.devices, samples, strict=True):
        assert [sample.shape.device for sample in theirs] == [device.id, device.id]


async def test_cancels_promptly(case):
    """A task that waits for a sample ends at once when it is cancelled, and the link goes on."""
    async with opened(case) as link:
        for device in case.link.devices:
            begun = asyncio.Event()
            task = asyncio.create_task(drain(link, device.id, begun))
            await asyncio.wait_for(begun.wait(), LIMIT_S)
            task.cancel()
            await asyncio.wait([task], timeout=LIMIT_S)
            assert task.cancelled()
            assert len(await some(link, device.id, 1)) == 1


async def test_leaves_no_task_behind(case):
    """When the link is closed, by itself or by a cancellation, nothing of it runs on."""
    async with opened(case) as link:
        await some(link, case.link.devices[0].id, 1)
    assert asyncio.all_tasks() == {asyncio.current_task()}

    begun = {device.id: asyncio.Event() for device in case.link.devices}

    async def gather() -> None:
        async with opened(case) as link, asyncio.TaskGroup() as group:
            for device, event in begun.items():
                group.create_task(drain(link, device, event))

    task = asyncio.create_task(gather())
    for event in begun.values():
        await asyncio.wait_for(event.wait(), LIMIT_S)
    task.cancel()
    await asyncio.wait([task], timeout=LIMIT_S)
    assert task.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_refresh_and_counts(case):
    """A sample may be asked for at any time, and what happened on the link is counted in whole numbers."""
    async with opened(case) as link:
        for device in case.link.devices:
            link.refresh(device.id)
            await some(link, device.id, 1)
        assert isinstance(link.counts, Mapping)
        assert all(isinstance(name, str) and isinstance(count, int) for name, count in link.counts.items())
        assert any(link.counts.values())


async def test_nobody_there(case):
    """Where nothing answers, opening or reading raises `Unavailable`, or the samples are bad; nothing else happens."""
    if not hasattr(case.driver, "emulate"):
        return  # there is always somebody there
    try:
        async with (
            asyncio.timeout(LIMIT_S),
            case.driver.open(case.link, Context(Clock(), MemoryFile().part("test"))) as link,
        ):
            [sample] = await some(link, case.link.devices[0].id, 1)
    except Unavailable:
        return
    assert_sound(sample, case.link.devices[0].id, case.driver.points(case.link.devices[0]))
    assert all(value is None for value in sample.values)


async def test_what_a_technician_can_do(case):
    """Where a driver offers it: a device read raw is as sound as its source's samples, and what passed can be replayed."""
    if not hasattr(case.driver, "commissioning"):
        pytest.skip("the driver offers nothing for in front of the device")
    tool, device = case.driver.commissioning(), case.link.devices[0]
    frames: list[Frame] = []
    async with opened(case) as link:
        sample, raw = await tool.raw(device, link, Clock().monotonic_ns)
        link.tap = lambda direction, data, ns: frames.append(Frame(ns, direction, data))
        await some(link, device.id, 1)
        link.tap = None
    assert_sound(sample, device.id, case.driver.points(device))
    assert len(raw) == len(sample.values)
    assert all(of for of, value in zip(raw, sample.values, strict=True) if value is not None)
    context = Context(Clock(), MemoryFile().part("replay"))
    async with tool.replay(case.link, frames, context) as replay:
        assert device.id in replay.devices
        assert_sound((await some(replay.link, device.id, 1))[0], device.id, case.driver.points(device))
