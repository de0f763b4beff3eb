"""Emulated Modbus servers, the agent as its own process, a real mosquitto: what an operator relies on."""

import asyncio
import json

import pytest

from tests.emulators import modbus
from tests.emulators.agent import AgentProcess, until
from tests.emulators.broker import Broker
from tests.emulators.building import (
    ADDRESSES,
    UNITS,
    consumers,
    for_billing,
    merged,
    missing,
    server,
    settings,
)
from tests.emulators.proxy import Proxy


@pytest.mark.timeout(240)
async def test_a_building_through_every_kind_of_trouble(tmp_path):
    """Broker killed, agent killed, one device dead: every number arrives at both uplinks, and repeats say the same."""
    async with server() as devices, Broker(tmp_path / "broker") as broker:
        async with (
            Proxy(broker.port) as link,
            AgentProcess(tmp_path, settings(devices.port, link.port)) as agent,
        ):
            async with consumers(broker) as first:
                await agent.until(lambda: first[0].count > 200 and first[1].count > 20)
                link.refuses = True
                await broker.kill()
                await agent.until_logged("uplink.unavailable", 2)
                before = devices.requests[1]
                await agent.until(lambda: devices.requests[1] > before + 5)  # it goes on reading
                await agent.kill()
                await agent.start()
                await agent.until_logged("agent.ready", 2)
                before = devices.requests[1]
                await agent.until(lambda: devices.requests[1] > before + 5)
                await broker.start()
            async with consumers(broker) as second:
                link.refuses = False
                await agent.until(lambda: second[0].count > 200 and second[1].count > 20)
                assert await agent.stop() == 0
                ledger = {entry["uplink"]: entry for entry in agent.events("uplink.stopped")}
                total = agent.events("agent.stopped")[-1]
                await until(lambda: merged([first[0], second[0]]).count >= ledger["all"]["acknowledged"])
    everything, billing = (merged(lives) for lives in zip(first, second, strict=True))
    assert missing(everything) == {}
    assert missing(billing, for_billing(everything)) == {}
    assert agent.events("ledger.unbalanced") == []
    assert total["read"] == total["stored"] == everything.count
    assert (ledger["all"]["waiting"], ledger["billing"]["waiting"]) == (0, 0)
    assert ledger["billing"]["filtered"] == total["stored"] - billing.count
    assert "backlog" in second[0].lanes

    for name in ("good-1", "good-2"):
        for reading in everything.of(name):
            if reading["quality"] == "good":
                assert reading["value"] == modbus.register(UNITS[name], int(reading["point"][1:]))
            else:
                assert "value" not in reading
        assert sum(reading["quality"] == "good" for reading in everything.of(name)) > 200
    dead = everything.of("dead-9")
    assert {(reading["quality"], reading["reason"]) for reading in dead} == {("bad", "timeout")}
    assert [entry["event"] for entry in agent.events() if "faulty" in entry["event"]] == []


async def test_status_read_and_ledger_answer_while_it_runs(tmp_path):
    """The command line sees links, devices, last values, lanes and the store, and reads a device beside its schedule."""
    async with server() as devices, Broker(tmp_path / "broker") as broker:
        async with AgentProcess(tmp_path, settings(devices.port, broker.port)) as agent:
            await agent.until_logged("agent.ready")
            async with consumers(broker) as (everything, _):
                await agent.until(lambda: everything.count > 50)
            status = await agent.ask("status")
            (link,) = status["links"]
            good, _, dead = link["devices"]
            assert (link["state"], good["state"]) == ("working", "working")
            assert (good["answering"]["state"], dead["answering"]["state"]) == ("ok", "silent")
            assert good["points"][3]["value"] == modbus.register(1, 6)
            assert {point["reason"] for point in dead["points"]} == {"timeout"}
            assert [uplink["state"] for uplink in status["uplinks"]] == ["working", "working"]
            assert status["store"]["durable"] is True
            read = await agent.ask("read", device="good-2")
            assert [point["value"] for point in read["points"]] == [modbus.register(2, a) for a in ADDRESSES]
            ledger = await agent.ask("ledger")
            assert ledger["problems"] == []
            assert ledger["read"] == ledger["stored"] > 0


async def test_points_are_described_with_their_place(tmp_path):
    """A retained message says of each point what a consumer must know; places are within the gateway's."""
    place = {"site": "brukshuset", "building": "a"}
    async with server() as devices, Broker(tmp_path / "broker") as broker:
        gateway = {"id": "gw-1", "place": place}
        async with AgentProcess(tmp_path, settings(devices.port, broker.port, gateway=gateway)) as agent:
            await agent.until_logged("agent.ready")
            async with broker.subscriber("points/all/good-1") as seen, asyncio.timeout(30):
                description = json.loads((await seen.get()).payload)
    assert [point["place"] for point in description["points"]] == [place] * len(ADDRESSES)


async def test_polling_does_not_wait_for_the_broker(tmp_path):
    """Started without a broker it reads and stores from the first second; when the broker comes, all of it arrives."""
    async with server() as devices, Broker(tmp_path / "broker") as broker:
        async with Proxy(broker.port) as link:
            link.refuses = True
            async with AgentProcess(tmp_path, settings(devices.port, link.port)) as agent:
                await agent.until(lambda: devices.requests[2] > 5)
                async with consumers(broker) as (everything, _):
                    link.refuses = False
                    await agent.until(lambda: everything.count > 60)
                    (store,) = everything.readings
                    assert min(everything.readings[store]) == 0


async def test_it_stops_within_five_seconds_though_nothing_answers(tmp_path):
    """A dead broker, a dead line and a SIGTERM: everything is on the disk, the exit code is 0."""
    async with modbus.Server(default=modbus.nothing) as devices, Broker(tmp_path / "broker") as broker:
        async with (
            Proxy(broker.port) as link,
            AgentProcess(tmp_path, settings(devices.port, link.port)) as agent,
        ):
            await agent.until_logged("device.silent", 2)
            link.half_open()
            begun_s = asyncio.get_running_loop().time()
            assert await agent.stop() == 0
            # Five seconds are promised; what is on the way is given up after two, so a busy machine has room.
            assert asyncio.get_running_loop().time() - begun_s < 5
            total = agent.events("agent.stopped")[-1]
            assert total["read"] == total["stored"] > 0


async def test_a_removed_uplink_releases_its_backlog(tmp_path):
    """What waited for an uplink that is no longer configured is counted, said, and leaves the disk."""
    async with server() as devices, Broker(tmp_path / "broker") as broker:
        both = settings(devices.port, broker.port)
        async with Proxy(broker.port) as dead, AgentProcess(tmp_path, both) as agent:
            dead.refuses = True
            all_, billing = both["uplinks"]
            agent.configure({**both, "uplinks": [all_, {**billing, "port": dead.port}]})
            await agent.stop()
            await agent.start()
            before = devices.requests[1]
            await agent.until(lambda: devices.requests[1] > before + 10)
            assert await agent.stop() == 0
            waited = agent.events("uplink.stopped")[-1]
            assert (waited["uplink"], waited["waiting"] > 0) == ("billing", True)
            agent.configure({**both, "uplinks": [all_]})
            await agent.start()
            (removed,) = await agent.until_logged("buffer.uplink_removed")
            assert (removed["uplink"], removed["dropped"]) == ("billing", waited["waiting"])
            assert (await agent.ask("ledger"))["problems"] == []


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\0" + bytes(range(256)) * 64, b""])
async def test_a_store_file_of_garbage_does_not_stop_the_start(tmp_path, content):
    """It is set aside, said aloud, and a fresh store with a new id begins: its numbers are no repeats to anybody."""
    async with server() as devices, Broker(tmp_path / "broker") as broker:
        configured = settings(devices.port, broker.port)
        async with consumers(broker) as (everything, _), AgentProcess(tmp_path, configured) as agent:
            await agent.until(lambda: everything.count > 50)
            await agent.stop()
            (file,) = (tmp_path / "buffer").glob("*.sqlite")
            file.write_bytes(content)
            before = everything.count
            await agent.start()
            await agent.until(lambda: everything.count > before + 50)
            assert len(everything.readings) == 2
            assert (await agent.ask("status"))["store"]["durable"] is True
            if content:
                (said,) = agent.events("buffer.set_aside")
                assert said["path"] != str(file)


async def test_a_reload_is_a_difference(tmp_path):
    """A link is added, one changed, one removed: the untouched one stays open and misses nothing, and so does the store."""
    async with server() as devices, modbus.Server() as other, Broker(tmp_path / "broker") as broker:
        configured = settings(devices.port, broker.port)
        (line,) = configured["links"]
        late = {**line, "id": "late", "port": other.port, "devices": [{**line["devices"][0], "id": "new-1"}]}
        pretended = {
            "id": "pretended",
            "driver": "simulated",
            "devices": [{"id": "room", "model": "room", "interval": "200ms"}],
        }
        first = {**configured, "links": [line, pretended]}
        async with consumers(broker) as (everything, _), AgentProcess(tmp_path, first) as agent:
            await agent.until(lambda: everything.of("room") and everything.count > 50)
            agent.configure({**first, "links": [line, late]})
            agent.reload()
            (said,) = await agent.until_logged("agent.reloaded")
            assert said["links"] == "pretended, late"
            await agent.until(lambda: everything.of("new-1"))
            rooms = len(everything.of("room"))
            async with broker.subscriber("points/all/new-1") as seen, asyncio.timeout(30):
                await seen.get()  # consumers are told what the new points are
            status = await agent.ask("status")
            assert [link["id"] for link in status["links"]] == ["line", "late"]
            assert status["links"][0]["counts"]["missed_slots"] == 0
            assert (devices.connections, other.connections) == (1, 1)

            faster = {**late, "devices": [{**late["devices"][0], "interval": "100ms"}]}
            agent.configure({**first, "links": [line, faster]})
            agent.reload()
            assert (await agent.until_logged("agent.reloaded", 2))[-1]["links"] == "late"
            before = other.requests[1]
            await agent.until(lambda: other.requests[1] > before + 5)
            assert (devices.connections, other.connections) == (1, 2)
            assert len(everything.of("room")) == rooms

            assert await agent.stop() == 0
            stored = agent.events("agent.stopped")[-1]["stored"]
            await until(lambda: everything.count >= stored)
    assert len(everything.readings) == 1
    assert missing(everything) == {}
    assert agent.events("ledger.unbalanced") == []
    assert [event["event"] for event in agent.events() if event["event"].startswith("link.")] == []


async def test_a_reload_refuses_what_is_wrong_and_says_what_needs_a_restart(tmp_path):
    """A wrong configuration changes nothing; what only a start can take in is named, and the rest is taken in."""
    async with server() as devices, Broker(tmp_path / "broker") as broker:
        configured = settings(devices.port, broker.port)
        async with consumers(broker) as (everything, _), AgentProcess(tmp_path, configured) as agent:
            await agent.until(lambda: everything.count > 50)
            agent.configure({**configured, "links": [{**configured["links"][0], "driver": "modbis"}]})
            agent.reload()
            (refused,) = await agent.until_logged("agent.reload_refused")
            assert "did you mean modbus" in refused["error"]
            before = everything.count
            await agent.until(lambda: everything.count > before + 50)

            agent.configure(
                {**configured, "gateway": {"id": "gw-2"}, "uplinks": configured["uplinks"][:1], "links": []}
            )
            agent.reload()
            (needed,) = await agent.until_logged("agent.restart_needed")
            assert needed["changed"] == "gateway, uplinks"
            assert (await agent.until_logged("agent.reloaded"))[-1]["links"] == "line"
            status = await agent.ask("status")
            assert (status["gateway"], status["links"], len(status["uplinks"])) == ("gw-1", [], 2)
            assert await agent.stop() == 0
