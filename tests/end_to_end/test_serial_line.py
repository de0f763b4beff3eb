"""A serial line that is not there yet: `simulate` and the agent on two ends of it, a real mosquitto behind."""

from __future__ import annotations

import asyncio

from tests.emulators.agent import AgentProcess, Consumer
from tests.emulators.broker import Broker
from tests.emulators.building import uplink
from tests.emulators.simulated import Simulated

METER, ROOM, PANEL = "meter-1", "room-1", "panel-1"


async def test_a_serial_line_with_three_known_device_types_is_tried_before_it_is_there(tmp_path):
    """The configuration as it will be: its readings arrive; a device that is told to fall silent does, and comes back."""
    devices = [
        {"id": METER, "profile": "eastron-sdm120", "unit_id": 1},
        {"id": ROOM, "profile": "epluse-ee850", "unit_id": 2},
        {"id": PANEL, "profile": "schneider-iem3155", "unit_id": 3},
    ]
    serial = {"port": str(tmp_path / "line-1"), "speed": 38_400, "parity": "even"}
    link = {"id": "line-1", "driver": "modbus", "serial": serial, "timeout": "500ms", "devices": devices}
    consumer = Consumer()

    def reasons(device: str) -> list[str]:
        return [reading.get("reason", "good") for reading in consumer.of(device)]

    async with Broker(tmp_path / "broker") as broker, broker.subscriber("all") as seen:
        settings = {
            "gateway": {"id": "gw-1", "health_interval": "0s"},
            "links": [{**link, "devices": [{**device, "interval": "2s"} for device in devices]}],
            "uplinks": [uplink("all", broker.port)],
        }
        agent = AgentProcess(tmp_path, settings)
        async with (
            Simulated(tmp_path / "gateway.yaml", "--fault", "line-1=baud-true:5ms") as simulated,
            agent,
            asyncio.TaskGroup() as group,
        ):
            assert simulated.said[0] == f"link line-1: {tmp_path}/line-1 serves meter-1, room-1, panel-1"
            listening = group.create_task(consumer.listen(seen))
            await agent.until(lambda: all(len(reasons(each["id"])) > 8 for each in devices))
            for each in devices:
                assert set(reasons(each["id"])) == {"good"}
            voltages = [each["value"] for each in consumer.of(METER) if each["point"] == "voltage"]
            assert voltages
            assert all(220 < voltage < 240 for voltage in voltages)

            assert await simulated.told("room-1 silent") == "room-1: silent"
            await agent.until(lambda: "timeout" in reasons(ROOM))
            assert await simulated.told("room-1 good") == "room-1: good"
            before = reasons(METER).count("good")
            await agent.until(lambda: reasons(ROOM)[-1] == "good")
            await agent.until(lambda: reasons(METER).count("good") > before)
            assert await agent.stop() == 0
            assert await simulated.stop() == 0
            listening.cancel()
    assert not (tmp_path / "line-1").is_symlink()
