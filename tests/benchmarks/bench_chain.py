"""The whole chain, Modbus TCP to PUBACK: processor time, memory, first reading; beside a floor in the same run.

Each contestant polls the same emulated devices once a second (one block of 100 registers, 50 float32 points each),
keeps every reading durably on disk, and publishes at QoS 1 to the same mosquitto. The agent is run as it is installed;
the floor is tests/benchmarks/floor.py, the shortest Python that does the same work. Processor time is user and system
of the process from /proc, over the same seconds in which the readings were counted at the broker.

Usage: python -m tests.benchmarks.bench_chain [DEVICES...]
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.emulators.broker import Broker

POINTS = 50
WARM_UP_S = 3.0
MEASURED_S = 15.0
LIMIT_S = 30.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def configuration(folder: Path, modbus_ports: list[int], broker_port: int) -> Path:
    """One link for each device; points written one by one."""
    points = [
        {"name": f"p{index}", "table": "holding", "address": 2 * index, "type": "float32"}
        for index in range(POINTS)
    ]
    links = [
        {
            "id": f"link-{number}",
            "driver": "modbus",
            "host": "127.0.0.1",
            "port": port,
            "devices": [{"id": f"meter-{number}", "interval": "1s", "points": points}],
        }
        for number, port in enumerate(modbus_ports)
    ]
    file = folder / "gateway.yaml"
    file.write_text(
        json.dumps(
            {
                "gateway": {"id": "bench-01"},
                "log": {"form": "json"},
                "buffer": {"folder": "buffer"},
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


async def contestant(
    name: str, command: list[str], broker: Broker, topic: str, count: Callable[[bytes], int]
) -> tuple[float, float, float]:
    """Run one; its CPU us per reading, peak RSS in MB, and seconds from start to the first reading at the broker."""
    async with broker.subscriber(topic) as seen:
        begun_s = time.monotonic()
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        try:
            async with asyncio.timeout(LIMIT_S):
                while not count((await seen.get()).payload):
                    pass
            first_s = time.monotonic() - begun_s
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
                readings += count(seen.get_nowait().payload)
        finally:
            process.terminate()
            await process.wait()
    per_reading_us = cpu / readings * 1e6
    print(
        f"  {name:<7} {readings / lasted_s:8.0f} readings/s  {per_reading_us:7.2f} us CPU each  "
        f"{1e6 / per_reading_us:9.0f} readings per CPU-second  {100 * cpu / lasted_s:6.2f} % of a core  "
        f"RSS {rss:5.1f} MB  first reading {first_s:5.2f} s  to disk {disk / readings:6.1f} B each"
    )
    return per_reading_us, rss, first_s


def of_the_agent(payload: bytes) -> int:
    """Good readings in a message of the agent."""
    return payload.count(b'"quality":"good"')


async def main(sizes: list[int]) -> None:
    """Measure each number of devices."""
    for devices in sizes:
        print(f"{devices} devices, {POINTS} points each, once a second:")
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
            folder = Path(name)
            async with Broker(folder / "broker") as broker:
                pipe = asyncio.subprocess.PIPE
                server = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "tests.emulators.modbus", str(devices), stdin=pipe, stdout=pipe
                )
                assert server.stdout is not None
                ports = [int(port) for port in (await server.stdout.readline()).split()]
                try:
                    file = configuration(folder, ports, broker.port)
                    agent = [
                        sys.executable,
                        "-m",
                        "agent",
                        "run",
                        "--config",
                        str(file),
                        "--socket",
                        str(folder / "socket"),
                    ]
                    own = await contestant("agent", agent, broker, "diaccess/#", of_the_agent)
                    shortest = [sys.executable, "-m", "tests.benchmarks.floor"]
                    shortest += [str(folder), str(broker.port), str(2 * POINTS), *map(str, ports)]
                    floor = await contestant("floor", shortest, broker, "floor/#", of_the_agent)
                finally:
                    server.terminate()
                    await server.wait()
        print(
            f"  agent / floor: CPU {own[0] / floor[0]:.2f}, memory {own[1] / floor[1]:.2f}, start {own[2] / floor[2]:.2f}"
        )


if __name__ == "__main__":
    asyncio.run(main([int(size) for size in sys.argv[1:]] or [1, 50]))
