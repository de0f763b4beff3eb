"""What one poll of 100 registers costs this process, from the schedule to the sample with 50 floats in it.

    python -m tests.benchmarks.bench_modbus

The servers run as a process of their own, which is not counted. The floor is a blocking loop that sends, receives and
unpacks: the least that Python can do about it. Not a test: figures.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from datetime import timedelta

import structlog

from agent.clock import Clock
from agent.interfaces import Context
from agent.memory import MemoryFile
from drivers.modbus.line.line import Line
from drivers.modbus.line.mbap import Mbap
from drivers.modbus.line.transaction import Conversation
from drivers.modbus.link import open_link
from drivers.modbus.point import PointSettings
from drivers.modbus.polling.device import Heard, device
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.values.registers import Table, Type

REGISTERS = 100
POLLS = 5_000
SECONDS = 6.0


@contextmanager
def servers() -> Iterator[int]:
    """A port where every unit answers, fast."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.emulators.modbus"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


def settings(number: int, port: int, units: int, interval: timedelta) -> LinkSettings:
    """A link with so many devices of 50 floats each."""
    points = tuple(
        PointSettings(
            name=f"point-{place}", table=Table.HOLDING, address=2 * place, register_type=Type.FLOAT32
        )
        for place in range(REGISTERS // 2)
    )
    devices = tuple(
        DeviceSettings(id=f"device-{number}-{unit}", unit_id=unit, points=points, interval=interval)
        for unit in range(1, units + 1)
    )
    return LinkSettings(id=f"link-{number}", driver="modbus", host="127.0.0.1", port=port, devices=devices)


def floor(port: int) -> float:
    """CPU in us for each poll of a blocking loop."""
    unpack = struct.Struct(f">{REGISTERS // 2}f").unpack
    with socket.create_connection(("127.0.0.1", port)) as connection:
        begun = time.process_time()
        for number in range(POLLS):
            connection.sendall(struct.pack(">HHHBBHH", number, 0, 6, 1, 3, 0, REGISTERS))
            unpack(connection.recv(512)[9:])
        return (time.process_time() - begun) / POLLS * 1e6


async def line(port: int) -> float:
    """The same of questions on one line, one straight after the other, each made into a sample."""
    link = settings(0, port, 1, timedelta(seconds=1))
    clock = Clock()
    conversation = Conversation(Mbap(), quiet_ns=0)
    asker = Line(link, conversation, clock.monotonic_ns, lambda: None)
    [group] = device(Mbap(), link.devices[0], link, MemoryFile().part("line"), 0).groups
    [read] = group.reads
    begun = time.process_time()
    for _ in range(POLLS):
        answer = await asker.ask(read.question, 1.0)
        assert isinstance(answer, bytes)
        group.sample([Heard(read, answer, clock.monotonic_ns())])
    asker.close()
    return (time.process_time() - begun) / POLLS * 1e6


async def links(port: int, count: int, units: int, interval: timedelta) -> tuple[float, float]:
    """CPU for each poll, and polls a second, of so many links with so many devices each, as the agent runs them."""
    polls = 0

    async def take(here: object, name: str) -> None:
        nonlocal polls
        async with aclosing(here.source(name)) as source:
            async for _ in source:
                polls += 1

    async with AsyncExitStack() as stack:
        group = asyncio.TaskGroup()
        tasks = []
        await stack.enter_async_context(group)
        for number in range(count):
            link = settings(number, port, units, interval)
            here = await stack.enter_async_context(
                open_link(link, Context(Clock(), MemoryFile().part("test")))
            )
            tasks += [group.create_task(take(here, each.id)) for each in link.devices]
        await asyncio.sleep(1.0)  # the first polls come all at once
        polls, begun, began = 0, time.process_time(), time.monotonic()
        await asyncio.sleep(SECONDS)
        spent, took, done = time.process_time() - begun, time.monotonic() - began, polls
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return spent / done * 1e6, done / took


def main() -> None:
    """Print one line for each way of polling."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with servers() as port:
        least = min(floor(port) for _ in range(3))
        print(f"{'floor: blocking, send, receive, unpack':44s} {least:6.1f} us a poll")
        each = asyncio.run(line(port))
        print(f"{'one line, question after question':44s} {each:6.1f} us a poll   x{each / least:.1f}")
        for count, units, interval in (
            (1, 20, timedelta(milliseconds=100)),
            (1, 50, timedelta(seconds=1)),
            (50, 1, timedelta(seconds=1)),
            (1, 1, timedelta(seconds=1)),
        ):
            each, rate = asyncio.run(links(port, count, units, interval))
            name = f"{count} link{'s'[: count > 1]} of {units} device{'s'[: units > 1]}, every {interval.total_seconds():g} s"
            print(f"{name:44s} {each:6.1f} us a poll   x{each / least:.1f}   {rate:.0f} polls a second")


if __name__ == "__main__":
    main()
