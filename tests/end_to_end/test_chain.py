"""Emulated Modbus servers, the agent as its own process, a real mosquitto: what an operator relies on."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.emulators import modbus
from tests.emulators.agent import AgentProcess, Consumer
from tests.emulators.broker import Broker
from tests.emulators.proxy import Proxy

ADDRESSES = range(0, 20, 2)


def device(name, unit, **more):
    """Ten registers, the first of them for billing."""
    points = [
        {
            "name": f"r{address}",
            "table": "holding",
            "address": address,
            "type": "uint16",
            "class": "billing" if address == 0 else "trend",
        }
        for address in ADDRESSES
    ]
    return {"id": name, "unit_id": unit, "interval": "200ms", "points": points, "gap": 2, **more}


def settings(server, broker_port, **more):
    """Two good devices and a silent one on one link; two uplinks with different filters."""
    devices = [device("good-1", 1), device("good-2", 2), device("dead-9", 9)]
    uplink = {"kind": "mqtt", "host": "127.0.0.1", "port": broker_port, "from": "oldest"}
    return {
        "links": [
            {
                "id": "line",
                "driver": "modbus",
                "host": "127.0.0.1",
                "port": server.port,
                "timeout": "200ms",
                "devices": devices,
            }
        ],
        "uplinks": [
            {**uplink, "id": "all", "client_id": "all", "format": {"kind": "json", "topic": "all"}},
            {
                **uplink,
                "id": "billing",
                "client_id": "billing",
                "format": {
                    "kind": "json",
                    "topic": "billing",
                    "status_topic": "status/b",
                    "points_topic": "points/b/{device}",
                },
                "filter": {"classes": ["billing"]},
            },
        ],
        **more,
    }


@asynccontextmanager
async def listening(broker):
    """A consumer of each uplink's topic; they listen before the agent can send."""
    everything, billing = Consumer(), Consumer()
    async with broker.subscriber("all") as of_all, broker.subscriber("billing") as of_billing:
        tasks = [
            asyncio.create_task(everything.listen(of_all)),
            asyncio.create_task(billing.listen(of_billing)),
        ]
        try:
            yield everything, billing
        finally:
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(result, asyncio.CancelledError | asyncio.IncompleteReadError), result


def merged(consumers):
    """What was booked by one consumer before and after its broker's restart."""
    whole = Consumer()
    for consumer in consumers:
        for store, booked in consumer.readings.items():
            whole.repeats += consumer.repeats + len(whole.readings[store].keys() & booked.keys())
            whole.readings[store] |= booked
    return whole


def missing(consumer, wanted):
    """The numbers, of those that are wanted, that never arrived, by store."""
    gone = {}
    for store, booked in consumer.readings.items():
        numbers = {number for number in range(max(booked) + 1) if wanted(number)}
        if absent := numbers - booked.keys():
            gone[store] = sorted(absent)
    return gone


@pytest.mark.timeout(240)
async def test_a_building_through_every_kind_of_trouble(tmp_path):
    """Broker killed, agent killed, one device dead: every number arrives at both uplinks, and repeats say the same."""
    async with modbus.Server({9: [modbus.nothing]}) as server, Broker(tmp_path / "broker") as broker:
        async with Proxy(broker.port) as link, AgentProcess(tmp_path, settings(server, link.port)) as agent:
            async with listening(broker) as first:
                await agent.until(lambda: first[0].count > 200 and first[1].count > 20)
                link.refuses = True
                await broker.kill()
                await agent.until_logged("uplink.unavailable", 2)
                before = server.requests[1]
                await agent.until(lambda: server.requests[1] > before + 5)  # it goes on reading
                await agent.kill()
                await agent.start()
                await agent.until_logged("agent.ready", 2)
                before = server.requests[1]
                await agent.until(lambda: server.requests[1] > before + 5)
                await broker.start()
            async with listening(broker) as second:
                link.refuses = False
                await agent.until(lambda: second[0].count > 200 and second[1].count > 20)
                assert await agent.stop() == 0
                ledger = {entry["uplink"]: entry for entry in agent.events("uplink.stopped")}
                total = agent.events("agent.stopped")[-1]
                everything, billing = merged([first[0], second[0]]), merged([first[1], second[1]])
                async with asyncio.timeout(20):
                    while everything.count < ledger["all"]["acknowledged"]:
                        await asyncio.sleep(0.02)
                        everything = merged([first[0], second[0]])
                billing = merged([first[1], second[1]])

    assert missing(everything, lambda _: True) == {}
    assert missing(billing, lambda number: number % len(ADDRESSES) == 0) == {}
    assert agent.events("ledger.unbalanced") == []
    assert total["read"] == total["stored"] == everything.count
    assert (ledger["all"]["waiting"], ledger["billing"]["waiting"]) == (0, 0)
    assert ledger["billing"]["filtered"] == total["stored"] - billing.count
    assert "backlog" in second[0].lanes

    for name, unit in (("good-1", 1), ("good-2", 2)):
        for reading in everything.of(name):
            if reading["quality"] == "good":
                assert reading["value"] == modbus.register(unit, int(reading["point"][1:]))
            else:
                assert "value" not in reading
        assert sum(reading["quality"] == "good" for reading in everything.of(name)) > 200
    dead = everything.of("dead-9")
    assert {(reading["quality"], reading["reason"]) for reading in dead} == {("bad", "timeout")}
    assert [entry["event"] for entry in agent.events() if "faulty" in entry["event"]] == []


async def test_status_read_and_ledger_answer_while_it_runs(tmp_path):
    """The command line sees links, devices, last values, lanes and the store, and reads a device beside its schedule."""
    async with modbus.Server({9: [modbus.nothing]}) as server, Broker(tmp_path / "broker") as broker:
        async with AgentProcess(tmp_path, settings(server, broker.port)) as agent:
            await agent.until_logged("agent.ready")
            async with listening(broker) as (everything, _):
                await agent.until(lambda: everything.count > 50)
            status = await agent.ask("status")
            (link,) = status["links"]
            good, _, dead = link["devices"]
            assert (link["state"], good["state"]) == ("working", "working")
            assert good["points"][3]["value"] == modbus.register(1, 6)
            assert {point["reason"] for point in dead["points"]} == {"timeout"}
            assert [uplink["state"] for uplink in status["uplinks"]] == ["working", "working"]
            assert status["store"]["durable"] is True
            read = await agent.ask("read", device="good-2")
            assert [point["value"] for point in read["points"]] == [modbus.register(2, a) for a in ADDRESSES]
            ledger = await agent.ask("ledger")
            assert ledger["problems"] == []
            assert ledger["read"] == ledger["stored"] > 0


async def test_polling_does_not_wait_for_the_broker(tmp_path):
    """Started without a broker it reads and stores from the first second; when the broker comes, all of it arrives."""
    async with modbus.Server({9: [modbus.nothing]}) as server, Broker(tmp_path / "broker") as broker:
        async with Proxy(broker.port) as link:
            link.refuses = True
            async with AgentProcess(tmp_path, settings(server, link.port)) as agent:
                await agent.until(lambda: server.requests[2] > 5)
                async with listening(broker) as (everything, _):
                    link.refuses = False
                    await agent.until(lambda: everything.count > 60)
                    (store,) = everything.readings
                    assert min(everything.readings[store]) == 0


async def test_it_stops_within_five_seconds_though_nothing_answers(tmp_path):
    """A dead broker, a dead line and a SIGTERM: everything is on the disk, the exit code is 0."""
    async with modbus.Server(default=modbus.nothing) as server, Broker(tmp_path / "broker") as broker:
        async with Proxy(broker.port) as link, AgentProcess(tmp_path, settings(server, link.port)) as agent:
            await agent.until_logged("device.silent", 2)
            link.half_open()
            begun_s = asyncio.get_running_loop().time()
            assert await agent.stop() == 0
            took_s = asyncio.get_running_loop().time() - begun_s
            assert took_s < 5  # promised; it takes what is on the way two seconds to be given up
            total = agent.events("agent.stopped")[-1]
            assert total["read"] == total["stored"] > 0
