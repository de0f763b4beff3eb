"""The whole chain, Modbus TCP to PUBACK: processor time, memory, first reading; beside a floor in the same run.

Each contestant polls the same emulated devices once a second (one block of float32 points each, every device at a port
of its own), keeps every reading durably on disk, and publishes at QoS 1 to the same mosquitto. The agent is run as it
is installed; the floor is tests/benchmarks/floor.py, the shortest Python that does the same work. Processor time is
user and system of the process from /proc, over the same seconds in which the readings were counted at the broker.

The start is measured apart, as the median of three, with `commit_interval: 0s`: at the default of a second the first
reading waits for the end of its second.

Usage: python -m tests.benchmarks.bench_chain [DEVICESxPOINTS...]
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.emulators.broker import Broker

SIZES = ((1, 50), (50, 20), (50, 50))
"""Idle; the peak load that is promised for (1,000 points each second); and two and a half times that."""
WARM_UP_S = 3.0
MEASURED_S = 15.0
LIMIT_S = 30.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def configuration(
    folder: Path, modbus_ports: list[int], broker_port: int, points: int, commit_interval: str
) -> Path:
    """One link for each device; the points, one by one, in a profile."""
    profile = {
        "manufacturer": "Invented",
        "model": "bench",
        "revision": "1",
        "source": ["tests/emulators/modbus.py"],
        "verified": "by construction",
        "points": [
            {"name": f"p{index}", "table": "holding", "address": 2 * index, "type": "float32"}
            for index in range(points)
        ],
    }
    (folder / "bench.yaml").write_text(json.dumps(profile))
    links = [
        {
            "id": f"link-{number}",
            "driver": "modbus",
            "host": "127.0.0.1",
            "port": port,
            "devices": [{"id": f"meter-{number}", "interval": "1s", "profile": "bench"}],
        }
        for number, port in enumerate(modbus_ports)
    ]
    file = folder / "gateway.yaml"
    file.write_text(
        json.dumps(
            {
                "gateway": {"id": "bench-01"},
                "log": {"form": "json"},
                "buffer": {"folder": "buffer", "commit_interval": commit_interval},
                "links": links,
                "uplinks": [
                    {"id": "city", "kind": "mqtt", "host": "127.0.0.1", "port": broker_port, "format": "json"}
                ],
            }
        )
    )
    return file


def cpu_s(process: int) -> float:
    """User and system time of a process so far, its threads included (proc(5), stat fields 14 and 15)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_rss_mb(process: int) -> float:
    """The most memory that a process has had (proc(5), VmHWM), in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def written(process: int) -> int:
    """Bytes that a process has had sent to the disk (proc(5), io: write_bytes)."""
    return int(Path(f"/proc/{process}/io").read_text().partition("\nwrite_bytes:")[2].split()[0])


def of_either(payload: bytes) -> int:
    """Good readings in a message; the floor writes them as the agent does."""
    return payload.count(b'"quality":"good"')


class Contestant(NamedTuple):
    """A program, and where its readings arrive."""

    name: str
    command: list[str]
    topic: str


async def start_s(who: Contestant, broker: Broker) -> float:
    """Seconds from the start of the process to its first good reading at the broker."""
    async with broker.subscriber(who.topic) as seen:
        begun_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(*who.command, stderr=asyncio.subprocess.DEVNULL)
        try:
            async with asyncio.timeout(LIMIT_S):
                while not of_either((await seen.get()).payload):
                    pass
            return time.monotonic() - begun_s
        finally:
            process.terminate()
            await process.wait()


async def measure(who: Contestant, broker: Broker) -> tuple[float, float]:
    """Run one for a while; its CPU us per reading, and peak RSS in MB."""
    async with broker.subscriber(who.topic) as seen:
        process = await asyncio.create_subprocess_exec(*who.command, stderr=asyncio.subprocess.DEVNULL)
        try:
            async with asyncio.timeout(LIMIT_S):
                while not of_either((await seen.get()).payload):
                    pass
            await asyncio.sleep(WARM_UP_S)
            while not seen.empty():
                seen.get_nowait()
            cpu, disk, since_s = cpu_s(process.pid), written(process.pid), time.monotonic()
            await asyncio.sleep(MEASURED_S)
            cpu, disk, lasted_s = (
                cpu_s(process.pid) - cpu,
                written(process.pid) - disk,
                time.monotonic() - since_s,
            )
            rss = peak_rss_mb(process.pid)
            readings = 0
            while not seen.empty():
                readings += of_either(seen.get_nowait().payload)
        finally:
            process.terminate()
            await process.wait()
    each_us = cpu / readings * 1e6
    print(
        f"  {who.name:<7} {readings / lasted_s:6.0f} readings/s  {each_us:7.2f} us CPU each  "
        f"{1e6 / each_us:9.0f} readings per CPU-second  {100 * cpu / lasted_s:5.2f} % of a core  "
        f"peak RSS {rss:5.1f} MB  to disk {disk / readings:6.1f} B each"
    )
    return each_us, rss


async def compare(folder: Path, devices: int, points: int) -> None:
    """The agent and the floor, one after the other, on the same devices and broker."""
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.emulators.modbus", str(devices), stdin=pipe, stdout=pipe
    )
    assert server.stdout is not None
    ports = [int(port) for port in (await server.stdout.readline()).split()]
    agent = [sys.executable, "-m", "agent", "run", "--socket", str(folder / "socket"), "--config"]
    floor = [sys.executable, "-m", "tests.benchmarks.floor", str(folder)]
    try:
        async with Broker(folder / "broker") as broker:
            floor += [str(broker.port), str(2 * points), *map(str, ports)]
            shortest = Contestant("floor", floor, "floor/#")
            file = configuration(folder, ports, broker.port, points, "1s")
            both = (Contestant("agent", [*agent, str(file)], "diaccess/#"), shortest)
            results = [await measure(who, broker) for who in both]
            configuration(folder, ports, broker.port, points, "0s")
            starts = [statistics.median([await start_s(who, broker) for _ in range(3)]) for who in both]
    finally:
        server.terminate()
        await server.wait()
    print(
        f"  first reading: agent {starts[0]:.2f} s, floor {starts[1]:.2f} s\n"
        f"  agent / floor: CPU {results[0][0] / results[1][0]:.2f}, memory {results[0][1] / results[1][1]:.2f}, "
        f"first reading {starts[0] / starts[1]:.1f}"
    )


async def main(sizes: Sequence[tuple[int, int]]) -> None:
    """Measure each size."""
    for devices, points in sizes:
        print(f"{devices} devices of {points} points, once a second:", flush=True)
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
            await compare(Path(name), devices, points)


if __name__ == "__main__":
    given = [tuple(map(int, size.split("x"))) for size in sys.argv[1:]]
    asyncio.run(main([(devices, points) for devices, points in given] or SIZES))
