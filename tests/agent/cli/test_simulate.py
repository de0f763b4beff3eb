"""`diaccess-agent simulate` as an operator has it: serial lines, other addresses, faults from the start and typed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulators.ports import free_port
from tests.emulators.simulated import Simulated

ROOT = Path(__file__).parents[3]
LIMIT_S = 60


@pytest.fixture
def config(tmp_path):
    """A serial line with two meters, and a controller on the network."""
    serial = {"port": str(tmp_path / "line-1"), "speed": 19_200}
    meters = [{"id": f"meter-{unit}", "profile": "eastron-sdm120", "unit_id": unit} for unit in (1, 2)]
    controller = {"id": "ahu-1", "profile": "systemair-save", "unit_id": 1}
    links = [
        {"id": "line-1", "driver": "modbus", "timeout": "500ms", "serial": serial, "devices": meters},
        {
            "id": "lan-1",
            "driver": "modbus",
            "host": "127.0.0.1",
            "port": free_port(),
            "devices": [controller],
        },
    ]
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps({"gateway": {"id": "gw-1"}, "links": links}))
    return file


async def agent(*words: object) -> subprocess.CompletedProcess[str]:
    """Another command of ours, until it ends."""
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "agent", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "DIACCESS_SOCKET": "/nonexistent/control"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


async def quality(config: Path, device: str) -> set[str]:
    """What `read` says of a device's points."""
    shown = await agent("read", device, "--json", "--config", config)
    return {point.get("reason") or point["quality"] for point in json.loads(shown.stdout)["points"]}


async def test_a_serial_line_is_served_where_its_port_will_be(config, tmp_path):
    """A fault from the start, one that is typed, one taken back; Ctrl-C leaves nothing behind."""
    async with Simulated(config, "--link", "line-1", "--fault", "meter-2=silent") as simulated:
        assert simulated.said == [
            f"link line-1: {tmp_path}/line-1 serves meter-1, meter-2",
            "meter-2: silent",
            "serving until Ctrl-C; type help to see what can go wrong",
        ]
        assert await quality(config, "meter-1") == {"good"}
        assert await quality(config, "meter-2") == {"timeout"}
        assert await simulated.told("meter-1 exception 4") == "meter-1: exception:4"
        assert await quality(config, "meter-1") == {"device_failure"}
        assert await simulated.told("meter-2 good") == "meter-2: good"
        assert await quality(config, "meter-2") == {"good"}
        assert "expected one of silent, late" in await simulated.told("meter-2 fine")
        assert await simulated.stop() == 0
    assert not (tmp_path / "line-1").is_symlink()


async def test_links_listen_elsewhere_and_the_configuration_stays_as_it_is(config, tmp_path):
    """A serial line over TCP, where another machine can reach it; a controller at another port."""
    line, lan = free_port(), free_port()
    listen = (f"line-1=127.0.0.1:{line}", f"lan-1=127.0.0.1:{lan}")
    async with Simulated(config, *(word for each in listen for word in ("--listen", each))) as simulated:
        assert simulated.said[:2] == [
            f"link line-1: 127.0.0.1:{line} serves meter-1, meter-2",
            f"link lan-1: 127.0.0.1:{lan} serves ahu-1",
        ]
        document = json.loads(config.read_text())
        document["links"][0] |= {"host": "127.0.0.1", "port": line, "framing": "rtu"}
        del document["links"][0]["serial"]
        document["links"][1]["port"] = lan
        copy = tmp_path / "copy.yaml"
        copy.write_text(json.dumps(document))
        for device in ("meter-2", "ahu-1"):
            assert await quality(copy, device) == {"good"}
        assert await simulated.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--listen", "line-9=/tmp/x"], 2, "no link line-9"),
        (["--listen", "line-1"], 69, "line-1: expected HOST:PORT or a path, found ''"),
        (["--listen", "lan-1=/tmp/x"], 69, "lan-1: expected HOST:PORT for a link with the framing tcp"),
        (["--listen", "line-1=/nowhere/x"], 69, "there is no folder /nowhere"),
        (["--fault", "meter-9=silent"], 2, "there is no meter-9 here; there are meter-1, meter-2"),
        (["--fault", "meter-1=sleepy"], 2, "found 'sleepy'"),
        (["--fault", "meter-1=no-id"], 2, "link line-1 has no transaction ids"),
    ],
)
async def test_what_cannot_be_served_is_one_line_with_the_remedy(config, words, code, said):
    """No traceback, and nothing is left running."""
    result = await agent("simulate", "--config", config, *words)
    assert result.returncode == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    if code == 69:
        assert "--listen LINK=PATH" in result.stderr


async def test_orders_may_come_from_a_file(config, tmp_path):
    """All at once at the beginning; and it serves on when there are no more."""
    orders = tmp_path / "orders"
    orders.write_text("meter-1 silent\nlist\n")
    with orders.open() as stdin:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "agent", "simulate", "--config", str(config), "--link", "line-1"),
            cwd=ROOT,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    async with asyncio.timeout(LIMIT_S):
        lines = [(await process.stdout.readline()).decode().rstrip() for _ in range(4)]
        assert lines[2:] == ["meter-1: silent", "meter-1: silent"]
        assert await quality(config, "meter-1") == {"timeout"}
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
