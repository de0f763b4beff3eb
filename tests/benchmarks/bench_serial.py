"""How much of a serial line's time the agent makes use of, and what dead devices on it cost the others.

    python -m tests.benchmarks.bench_serial

The line is a pseudo-terminal whose bytes take as long as they would on a wire (`simulate`, baud-true), in a process of
its own. As much is asked as goes through. The floor is what the wire itself needs for what was answered: the
characters of question and answer, a silence of three and a half after each, and the time that the devices think.
Not a test: figures.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from agent.clock import Clock
from agent.interfaces import Context
from agent.memory import MemoryFile
from drivers.modbus.line.ends import Parity, Serial
from drivers.modbus.line.rtu import Rtu
from drivers.modbus.link import open_link
from drivers.modbus.point import PointSettings
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.values.registers import Table, Type

THINKS = timedelta(milliseconds=5)
"""How long an emulated device needs until it begins to answer."""
TIMEOUT = timedelta(milliseconds=300)
QUESTION = 8
"""Characters of a question that reads."""
SECONDS = 10.0
DEAD_SECONDS = 90.0
"""With dead devices on the line: a probe of one comes every fifteen seconds or so, and takes half a second."""
WARM_UP_S = 3.0
DEAD_WARM_UP_S = 20.0
"""Until the dead ones are found out, and what was saved up for probes is spent."""


@dataclass(frozen=True)
class Case:
    speed: int
    registers: int
    healthy: int = 10
    dead: int = 0


def link(case: Case, port: Path) -> LinkSettings:
    """So many devices that are asked as often as it goes."""
    points = tuple(
        PointSettings(name=f"at-{place}", table=Table.HOLDING, address=place, register_type=Type.UINT16)
        for place in range(case.registers)
    )
    devices = tuple(
        DeviceSettings(id=f"device-{unit}", unit_id=unit, points=points, interval=timedelta(milliseconds=100))
        for unit in range(1, case.healthy + case.dead + 1)
    )
    serial = Serial(port=port, speed=case.speed, parity=Parity.EVEN)
    return LinkSettings(id="line", driver="modbus", serial=serial, timeout=TIMEOUT, devices=devices)


@contextmanager
def emulated(case: Case, folder: Path) -> Iterator[Path]:
    """The port of a line with these devices; the last ones are dead."""
    port = folder / "line"
    devices: list[dict[str, Any]] = [
        {
            "id": f"device-{unit}",
            "unit_id": unit,
            "interval": "60s",
            "points": [
                {"name": f"at-{place}", "table": "holding", "address": place, "type": "uint16"}
                for place in range(case.registers)
            ],
        }
        for unit in range(1, case.healthy + case.dead + 1)
    ]
    serial = {"port": str(port), "speed": case.speed, "parity": "even"}
    links = [{"id": "line", "driver": "modbus", "serial": serial, "devices": devices}]
    (folder / "gateway.yaml").write_text(json.dumps({"gateway": {"id": "bench"}, "links": links}))
    faults = [f"line=baud-true:{THINKS // timedelta(milliseconds=1)}ms"]
    faults += [f"device-{unit}=silent" for unit in range(case.healthy + 1, case.healthy + case.dead + 1)]
    command = [sys.executable, "-m", "agent", "simulate", "--config", str(folder / "gateway.yaml")]
    command += [word for fault in faults for word in ("--fault", fault)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        while "serving until" not in process.stdout.readline():
            assert process.poll() is None
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=10)


async def polls(settings: LinkSettings, healthy: int, seconds: float) -> tuple[float, float]:
    """Polls that brought values, a second; and the processor's time for each, in us."""
    good = 0

    async def take(here: Any, name: str) -> None:
        nonlocal good
        async with aclosing(here.source(name)) as source:
            async for sample in source:
                good += not sample.reasons

    async with (
        open_link(settings, Context(Clock(), MemoryFile().part("bench"))) as here,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(take(here, each.id)) for each in settings.devices]
        await asyncio.sleep(WARM_UP_S if healthy == len(settings.devices) else DEAD_WARM_UP_S)
        good, spent, began = 0, time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        rate = good / (time.monotonic() - began)
        each = (time.process_time() - spent) / max(good, 1) * 1e6
        for task in tasks:
            task.cancel()
    return rate, each


def measured(case: Case, seconds: float = SECONDS) -> tuple[float, float, float]:
    """The share of the line that brought values, polls a second, and us of processor time for each."""
    with tempfile.TemporaryDirectory() as folder, emulated(case, Path(folder)) as port:
        settings = link(case, port)
        rate, each = asyncio.run(polls(settings, case.healthy, seconds))
    line = settings.line_time
    assert line
    answer = Rtu().length(2 + 2 * case.registers)
    exchange_ns = (
        line.of(QUESTION + answer) + 2 * line.silence_ns + THINKS // timedelta(microseconds=1) * 1000
    )
    return rate * exchange_ns / 1e9, rate, each


def main() -> None:
    """Print a line for each speed and size, and what two dead devices take from ten healthy ones."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    for speed in (9600, 19200):
        for registers in (2, 20, 60):
            share, rate, each = measured(Case(speed, registers))
            print(
                f"{speed} baud, 10 devices of {registers:2d} registers: {share:6.1%} of the line   "
                f"{rate:5.1f} polls a second   {each:5.0f} us of processor time a poll",
                flush=True,
            )
        _, alone, _ = measured(Case(speed, 20))
        _, beside, _ = measured(Case(speed, 20, dead=2), DEAD_SECONDS)
        print(f"{speed} baud, 2 dead beside the 10: {1 - beside / alone:6.1%} lost", flush=True)


if __name__ == "__main__":
    main()
