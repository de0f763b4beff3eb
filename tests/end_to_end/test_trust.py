"""What makes values trustworthy, through the whole agent: a meter that is reset, exchanged, doubted, and taken out."""

import json
import struct

from tests.emulators import modbus
from tests.emulators.agent import AgentProcess, until
from tests.emulators.broker import Broker
from tests.emulators.building import consumers, missing, settings

POINTS = [
    {"name": "energy", "table": "holding", "address": 0, "type": "uint16", "class": "billing", "counter": {}},
    {"name": "temperature", "table": "holding", "address": 1, "type": "int16", "maximum": 100},
    {"name": "flow", "table": "holding", "address": 2, "type": "uint16"},
    {"name": "status", "table": "holding", "address": 3, "type": "uint16", "interval": "300ms"},
]
POINTS[2]["quality_from"] = {"point": "status", "good": ["working"]}
POINTS[3]["labels"] = {0: "working", 1: "cable break"}


class Meter:
    """Answers with these registers."""

    def __init__(self):
        self.registers = [5000, 60, 12, 0]
        self.silent = False

    async def __call__(self, request):
        if self.silent:
            return
        held = self.registers[request.address : request.address + request.count]
        pdu = struct.pack(f">BB{len(held)}H", request.function, 2 * len(held), *held)
        request.send(request.frame(pdu))


def configured(modbus_port, broker_port, **of_device):
    base = settings(modbus_port, broker_port, gateway={"id": "gw-1", "health_interval": "1s"})
    (line,) = base["links"]
    device = {"id": "meter", "unit_id": 1, "interval": "100ms", "points": POINTS, **of_device}
    other = {"id": "other", "unit_id": 2, "interval": "100ms", "points": POINTS[1:2]}
    return {**base, "links": [{**line, "devices": [device, other]}]}


def of(consumer, point, device="meter"):
    """The readings of one point so far."""
    return [reading for reading in consumer.of(device) if reading["point"] == point]


def last(consumer, point):
    """What was last said of a point: its value or, where there is a doubt, the reason."""
    readings = of(consumer, point)
    return (readings[-1].get("reason") or readings[-1]["value"]) if readings else None


def events(consumer):
    return [reading["value"] for reading in of(consumer, "energy_event")]


async def test_a_counter_through_kills_and_stops(tmp_path):
    """Reset while it is read, exchanged while nobody looks: consumers hear of each, once, whatever becomes of the agent."""
    meter = Meter()
    async with modbus.Server({1: [meter]}) as line, Broker(tmp_path / "broker") as broker:
        async with (
            consumers(broker) as (seen, billing),
            AgentProcess(tmp_path, configured(line.port, broker.port)) as agent,
        ):
            async with broker.subscriber("points/all/meter") as described:
                announced = json.loads((await described.get()).payload)["points"][-1]
            assert (announced["point"], announced["class"]) == ("energy_event", "event")

            await agent.until(lambda: last(seen, "energy") == 5000)
            meter.registers[0] = 7
            await agent.until(lambda: last(seen, "energy") == 7)
            assert "unconfirmed" in {reading.get("reason") for reading in of(seen, "energy")}
            await agent.until(lambda: events(seen) == ["reset"] and remembered(tmp_path) == "7")
            await agent.kill()
            await agent.start()
            await agent.until_logged("agent.ready", 2)
            meter.registers[0] = 6000
            # One reading alone is no proof of where it stood.
            await agent.until(lambda: [each.get("value") for each in of(seen, "energy")].count(6000) > 1)
            await agent.stop()

            meter.registers[0] = 3000
            await agent.start()
            await agent.until(lambda: last(seen, "energy") == 3000)
            assert await agent.stop() == 0
            stored = agent.events("uplink.stopped")[-2]["stored"]
            await until(lambda: seen.count >= stored)
    assert events(seen) == ["reset", "swap"]
    assert missing(seen) == {}
    assert agent.events("ledger.unbalanced") == []
    # The consumer of what is billed gets the counter, and not its events.
    assert {reading["point"] for reading in billing.of("meter")} == {"energy"}


async def test_doubts_what_is_taken_out_and_how_the_link_is(tmp_path):
    """Marked and not hidden; taken out and put back by a reload; and the link reports how it is meanwhile."""
    meter = Meter()
    async with modbus.Server({1: [meter]}) as line, Broker(tmp_path / "broker") as broker:
        before = configured(line.port, broker.port)
        async with consumers(broker) as (seen, _), AgentProcess(tmp_path, before) as agent:
            await agent.until(lambda: last(seen, "flow") == 12)
            meter.registers[1:4] = [101, 12, 1]
            await agent.until(lambda: last(seen, "flow") == "sensor_failure")
            assert last(seen, "temperature") == "outside_limits"
            assert of(seen, "temperature")[-1]["value"] == 101
            assert "value" not in of(seen, "flow")[-1]
            status = (await agent.ask("read", device="meter"))["points"][3]
            assert (status["point"], status["value"], status["label"]) == ("status", 1, "cable break")
            meter.registers[1:4] = [60, 12, 0]

            agent.configure(configured(line.port, broker.port, out_of_service="being exchanged"))
            agent.reload()
            await agent.until(lambda: last(seen, "energy") == "out_of_service")
            device, _ = (await agent.ask("status"))["links"][0]["devices"]
            assert (device["state"], device["error"]) == ("out of service", "being exchanged")
            agent.configure(before)
            agent.reload()
            await agent.until(lambda: (last(seen, "energy"), last(seen, "flow")) == (5000, 12))
            assert line.connections == 1  # a line that others are on stays open

            health = len(of(seen, "requests", "link-line"))
            await agent.until(lambda: len(of(seen, "requests", "link-line")) > health + 1)
            said = {
                point: of(seen, point, "link-line")[-1]["value"]
                for point in ("state", "requests", "utilisation")
            }
            assert said["state"] == "working"
            assert said["requests"] > 0
            assert 0 < said["utilisation"] < 1
            assert await agent.stop() == 0
    assert agent.events("ledger.unbalanced") == []
    assert [entry["event"] for entry in agent.events() if "faulty" in entry["event"]] == []


async def test_a_device_that_falls_silent(tmp_path):
    """Consumers hear of it as an event of its link, also where links do not report their health, and when it answers again."""
    meter = Meter()
    async with modbus.Server({1: [meter]}) as line, Broker(tmp_path / "broker") as broker:
        before = configured(line.port, broker.port)
        meters, other = before["links"][0]["devices"]
        devices = [{**meters, "points": POINTS[:2]}, {**other, "interval": "1h"}]
        # A short time limit: a silent device is asked again the sooner, the less that costs.
        links = [{**before["links"][0], "timeout": "50ms", "devices": devices}]
        before = {**before, "gateway": {"id": "gw-1", "health_interval": "0s"}, "links": links}
        async with consumers(broker) as (seen, _), AgentProcess(tmp_path, before) as agent:
            async with broker.subscriber("points/all/link-line") as described:
                announced = json.loads((await described.get()).payload)["points"]
            assert [(each["point"], each["class"]) for each in announced] == [
                ("device_silent", "event"),
                ("device_answers", "event"),
            ]
            await agent.until(lambda: last(seen, "energy") == 5000)
            meter.silent = True
            await agent.until(lambda: of(seen, "device_silent", "link-line"))
            meter.silent = False
            await agent.until(lambda: of(seen, "device_answers", "link-line"))
            assert await agent.stop() == 0
            stored = agent.events("agent.stopped")[-1]["stored"]
            await until(lambda: seen.count >= stored)
    said = [(each["point"], each["value"]) for each in seen.of("link-line")]
    assert said[:2] == [("device_silent", "meter"), ("device_answers", "meter")]
    assert [entry["event"] for entry in agent.events() if entry["event"].startswith("silence.")][:2] == [
        "silence.began",
        "silence.ended",
    ]
    assert missing(seen) == {}
    assert agent.events("ledger.unbalanced") == []


def remembered(folder):
    """Where the counter stands on disk."""
    try:
        learnt = json.loads((folder / "buffer" / "learnt.json").read_text(encoding="utf-8"))
        return learnt["link line"]["counters meter"]["energy"]["value"]
    except (OSError, KeyError):
        return None
