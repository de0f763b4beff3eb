"""What one poll of 100 registers costs this process, from the schedule to the sample with 50 floats in it.

    python -m tests.benchmarks.bench_modbus

The servers run as a process of their own, which is not counted. The floor is a blocking loop that sends, receives and
unpacks: the least that Python can do about it. Beside it the loop that one writes with pymodbus' own client, which
decodes the same values, and has no schedule and no fence. Not a test: figures.
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
from typing import NamedTuple

import structlog
from pymodbus.client import AsyncModbusTcpClient

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
FLOATS = REGISTERS // 2
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


def settings(number: int, port: int, units: int, interval: timedelta, floats: int = FLOATS) -> LinkSettings:
    """A link with so many devices of so many floats each."""
    points = tuple(
        PointSettings(
            name=f"point-{place}", table=Table.HOLDING, address=2 * place, register_type=Type.FLOAT32
        )
        for place in range(floats)
    )
    devices = tuple(
        DeviceSettings(id=f"device-{number}-{unit}", unit_id=unit, points=points, interval=interval)
        for unit in range(1, units + 1)
    )
    return LinkSettings(id=f"link-{number}", driver="modbus", host="127.0.0.1", port=port, devices=devices)


class Cost(NamedTuple):
    """What a poll costs, and how many there were."""

    us: float
    """Of processor time."""
    rate: float
    """Polls a second."""


@contextmanager
def cost(polls: int) -> Iterator[list[Cost]]:
    """Measure what is done so many times in the block; put into the list that is yielded."""
    result: list[Cost] = []
    spent, began = time.process_time(), time.monotonic()
    yield result
    spent, took = time.process_time() - spent, time.monotonic() - began
    result.append(Cost(spent / polls * 1e6, polls / took))


def floor(port: int) -> Cost:
    """A blocking loop."""
    unpack = struct.Struct(f">{FLOATS}f").unpack
    with socket.create_connection(("127.0.0.1", port)) as connection, cost(POLLS) as result:
        for number in range(POLLS):
            connection.sendall(struct.pack(">HHHBBHH", number, 0, 6, 1, 3, 0, REGISTERS))
            unpack(connection.recv(512)[9:])
    return result[0]


async def pymodbus(port: int) -> Cost:
    """A loop round the client of pymodbus, as its examples have it."""
    polls = POLLS // 5
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    assert await client.connect()
    with cost(polls) as result:
        for _ in range(polls):
            answer = await client.read_holding_registers(0, count=REGISTERS, device_id=1)
            values = client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)
            assert len(values) == FLOATS
    client.close()
    return result[0]


async def line(port: int) -> Cost:
    """The same of questions on one line, one straight after the other, each made into a sample."""
    link = settings(0, port, 1, timedelta(seconds=1))
    clock = Clock()
    conversation = Conversation(Mbap(), quiet_ns=0)
    asker = Line(link, conversation, clock.monotonic_ns, lambda: None)
    [group] = device(Mbap(), link.devices[0], link, MemoryFile().part("line"), 0).groups
    [read] = group.reads
    with cost(POLLS) as result:
        for _ in range(POLLS):
            answer = await asker.ask(read.question, 1.0)
            assert isinstance(answer, bytes)
            group.sample([Heard(read, answer, clock.monotonic_ns())])
    asker.close()
    return result[0]


async def links(port: int, count: int, units: int, interval: timedelta, floats: int) -> Cost:
    """So many links with so many devices each, as the agent runs them."""
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
            link = settings(number, port, units, interval, floats)
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
    return Cost(spent / done * 1e6, done / took)


def main() -> None:
    """Print one line for each way of polling."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with servers() as port:
        least = min(floor(port) for _ in range(3))

        def show(name: str, cost: Cost) -> None:
            times = f"x{cost.us / least.us:.1f}"
            print(
                f"{name:52s} {cost.us:7.1f} us a poll {times:>7s} {cost.rate:8.0f} polls a second", flush=True
            )

        show("floor: blocking, send, receive, unpack", least)
        show("a loop round pymodbus' client", asyncio.run(pymodbus(port)))
        show("one line of ours, question after question", asyncio.run(line(port)))
        for count, units, interval, floats in (
            (1, 20, timedelta(milliseconds=100), FLOATS),
            (1, 50, timedelta(seconds=1), FLOATS),
            (1, 50, timedelta(seconds=1), 20),
            (50, 1, timedelta(seconds=1), 20),
            (1, 1, timedelta(seconds=1), FLOATS),
        ):
            ones, devices = (
                f"{number} {noun}{'s'[: number > 1]}" for number, noun in ((count, "link"), (units, "device"))
            )
            name = f"{ones} of {devices} of {floats} points, every {interval.total_seconds():g} s"
            show(name, asyncio.run(links(port, count, units, interval, floats)))


if __name__ == "__main__":
    main()
