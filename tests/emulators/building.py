"""Two good devices and a dead one on one Modbus gateway, and two uplinks with different filters: for whole-agent tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from tests.emulators import modbus
from tests.emulators.agent import Consumer
from tests.emulators.broker import Broker

ADDRESSES = range(0, 20, 2)
"""Of the registers that are points; the first is for billing."""

UNITS = {"good-1": 1, "good-2": 2, "dead-9": 9}


def server() -> modbus.Server:
    """The Modbus gateway."""
    return modbus.Server({UNITS["dead-9"]: [modbus.nothing]})


def device(name: str, **more: Any) -> dict[str, Any]:
    """Ten registers each."""
    points = [
        {
            "name": f"r{address}",
            "table": "holding",
            "address": address,
            "type": "uint16",
            "class": "billing" if address == ADDRESSES[0] else "trend",
        }
        for address in ADDRESSES
    ]
    return {"id": name, "unit_id": UNITS[name], "interval": "200ms", "gap": 2, "points": points, **more}


def settings(modbus_port: int, broker_port: int, **more: Any) -> dict[str, Any]:
    """Everything goes to the topic `all`, what is for billing to the topic `billing`."""
    link = {"id": "line", "driver": "modbus", "host": "127.0.0.1", "port": modbus_port, "timeout": "200ms"}
    return {
        "gateway": {"id": "gw-1", "health_interval": "0s"},
        "links": [{**link, "devices": [device(name) for name in UNITS]}],
        "uplinks": [
            uplink("all", broker_port),
            uplink("billing", broker_port, filter={"classes": ["billing"]}),
        ],
        **more,
    }


def uplink(name: str, broker_port: int, **more: Any) -> dict[str, Any]:
    """An uplink with topics of its own."""
    topics = {"topic": name, "status_topic": f"status/{name}", "points_topic": f"points/{name}/{{device}}"}
    return {
        "id": name,
        "kind": "mqtt",
        "host": "127.0.0.1",
        "port": broker_port,
        "client_id": name,
        "from": "oldest",
        "format": {"kind": "json", **topics},
        **more,
    }


@asynccontextmanager
async def consumers(broker: Broker) -> AsyncIterator[tuple[Consumer, Consumer]]:
    """One of each uplink's topic, listening before anything can be sent; until the broker goes or the block ends."""
    everything, billing = Consumer(), Consumer()
    async with broker.subscriber("all") as of_all, broker.subscriber("billing") as of_billing:
        tasks = [
            asyncio.create_task(everything.listen(of_all)),
            asyncio.create_task(billing.listen(of_billing)),
        ]
        try:
            yield everything, billing
        finally:
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(result, asyncio.CancelledError), result


def merged(parts: Iterable[Consumer]) -> Consumer:
    """What was booked by one consumer in all of its lives."""
    whole = Consumer()
    for part in parts:
        whole.repeats += part.repeats
        whole.lanes |= part.lanes
        for store, booked in part.readings.items():
            whole.repeats += len(whole.readings[store].keys() & booked.keys())
            whole.readings[store] |= booked
    return whole


def missing(consumer: Consumer, wanted: Callable[[int], bool] = lambda _: True) -> dict[str, list[int]]:
    """The numbers up to the last, of those that are wanted, that never arrived, by store."""
    gone = {}
    for store, booked in consumer.readings.items():
        if absent := {number for number in range(max(booked) + 1) if wanted(number)} - booked.keys():
            gone[store] = sorted(absent)
    return gone


def for_billing(everything: Consumer) -> Callable[[int], bool]:
    """Which numbers are of billing points, as the consumer of everything knows; all are of one store."""
    (booked,) = everything.readings.values()
    numbers = {number for number, reading in booked.items() if reading["point"] == f"r{ADDRESSES[0]}"}
    return numbers.__contains__
