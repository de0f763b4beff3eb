"""The whole agent under faults that take their time."""

import asyncio
import os
import random
import subprocess
from contextlib import contextmanager

import pytest

from tests.emulators.agent import AgentProcess, until
from tests.emulators.broker import Broker
from tests.emulators.building import consumers, for_billing, merged, missing, server, settings
from tests.emulators.proxy import Proxy

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.mark.parametrize("seed", [1, 2])
async def test_killed_at_random_moments_with_a_link_that_is_cut_at_random_moments(tmp_path, seed):
    """Twenty lives: whatever number was ever stored below the last one arrives at both uplinks."""
    dice = random.Random(seed)
    async with (
        server() as devices,
        Broker(tmp_path / "broker") as broker,
        consumers(broker) as (everything, billing),
    ):
        async with (
            Proxy(broker.port) as link,
            AgentProcess(tmp_path, settings(devices.port, link.port)) as agent,
        ):
            for life in range(20):
                await agent.until_logged("agent.ready", life + 1)
                await asyncio.sleep(dice.uniform(0, 1.5))
                link.cut()
                await asyncio.sleep(dice.uniform(0, 0.5))
                await agent.kill()
                await agent.start()
            await agent.until_logged("agent.ready", 21)
            before = devices.requests[1]
            await agent.until(lambda: devices.requests[1] > before + 10)
            assert await agent.stop() == 0
            ledger = {entry["uplink"]: entry for entry in agent.events("uplink.stopped")}
            assert agent.events("ledger.unbalanced") == []
            assert {name: entry["waiting"] for name, entry in ledger.items()} == {"all": 0, "billing": 0}
            total = agent.events("agent.stopped")[-1]
            await until(lambda: everything.count >= total["stored"])
    assert len(everything.readings) == 1
    assert missing(everything) == {}
    assert missing(billing, for_billing(everything)) == {}
    assert everything.count == total["read"] == total["stored"]


@contextmanager
def small_disk(folder):
    """A file system of 12 MiB; fails where mounting is not permitted and CI is set, is skipped elsewhere."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "small", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"cannot mount a tmpfs: {mounted.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder):
    """Leave no byte free."""
    with (folder / "filler").open("ab", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass


def remount(folder, how):
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


@pytest.mark.parametrize("fault", ["full", "read-only"])
async def test_a_disk_that_cannot_be_written_stops_neither_polling_nor_live_delivery(tmp_path, fault):
    """The agent says "not durable", goes on from memory, returns to the disk by itself, and nothing is missing."""
    disk = tmp_path / "disk"
    with small_disk(disk):
        async with server() as devices, Broker(tmp_path / "broker") as broker, Proxy(broker.port) as link:
            buffer = {"folder": str(disk / "buffer"), "commit_interval": "200ms", "size": "4MiB"}
            configured = settings(devices.port, link.port, buffer=buffer)
            async with consumers(broker) as (everything, _), AgentProcess(tmp_path, configured) as agent:
                await agent.until(lambda: everything.count > 100)
                if fault == "full":
                    # While everything is acknowledged at once the store needs no new page: a backlog makes it grow.
                    link.refuses = True
                    link.cut()
                    # The agent gives up its reserve first; somebody else takes that too.
                    await agent.until(lambda: fill(disk) or agent.events("buffer.not_durable"))
                else:
                    # Found like this at the start, as after an ext4 error: a mount with open files cannot be changed.
                    assert await agent.stop() == 0
                    remount(disk, "ro")
                    await agent.start()
                    await agent.until_logged("agent.ready", 2)
                await agent.until_logged("buffer.not_durable")
                store = (await agent.ask("status"))["store"]
                assert store["durable"] is False
                assert store["why_not_durable"]
                link.refuses = False
                before = everything.count
                await agent.until(lambda: everything.count > before + 200)
                assert (await agent.ask("ledger"))["problems"] == []
                if fault == "full":
                    (disk / "filler").unlink()
                else:
                    remount(disk, "rw")
                await agent.until_logged("buffer.durable")
                assert (await agent.ask("status"))["store"]["durable"] is True
                before = everything.count
                await agent.until(lambda: everything.count > before + 100)
                assert await agent.stop() == 0
                stored = agent.events("agent.stopped")[-1]["stored"]
                await until(lambda: everything.count >= stored)
    assert missing(everything) == {}
    assert everything.count == stored
    assert agent.events("ledger.unbalanced") == []


async def test_a_broker_that_comes_and_goes(tmp_path):
    """Ten restarts of the broker, half of them by SIGKILL: live readings return within seconds, nothing is missing."""
    dice = random.Random(3)
    lives = []
    async with server() as devices, Broker(tmp_path / "broker") as broker:
        async with (
            Proxy(broker.port) as link,
            AgentProcess(tmp_path, settings(devices.port, link.port)) as agent,
        ):
            for life in range(10):
                async with consumers(broker) as consumer:
                    lives.append(consumer)
                    link.refuses = False
                    await agent.until(lambda: lives[-1][0].count > 60)
                    assert "live" in consumer[0].lanes or await agent.until(
                        lambda: "live" in lives[-1][0].lanes
                    )
                    await asyncio.sleep(dice.uniform(0, 0.5))
                    link.refuses = True
                    await (broker.kill() if life % 2 else broker.stop())
                await broker.start()
            async with consumers(broker) as consumer:
                lives.append(consumer)
                link.refuses = False
                await agent.until(lambda: lives[-1][0].count > 60)
                assert await agent.stop() == 0
                stored = agent.events("agent.stopped")[-1]["stored"]
                await until(lambda: merged(life[0] for life in lives).count >= stored)
    everything, billing = (merged(of) for of in zip(*lives, strict=True))
    assert missing(everything) == {}
    assert missing(billing, for_billing(everything)) == {}
    assert everything.count == stored
