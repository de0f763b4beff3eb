"""Silence over all links: who is listened for, and what consumers and the log are told."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from agent import listening, plugins
from agent.fields import Place
from agent.health import Health
from agent.listening import Listening
from agent.sample import Class, Reason, Sample, Shape, nothing_learnt
from drivers import simulated
from drivers.modbus.point import PointSettings
from drivers.modbus.settings import DeviceSettings as ModbusDevice
from drivers.modbus.values.registers import Table, Type
from tests.emulators.virtual_time import VirtualClock, run

PLACE = Place(site="brukshuset")
ROOM = simulated.DeviceSettings(id="room", model=simulated.Model.ROOM, interval=timedelta(seconds=5))
METER = simulated.DeviceSettings(id="meter", model=simulated.Model.METER, interval=timedelta(seconds=5))
LINK = simulated.LinkSettings(id="roof", driver="simulated", devices=(ROOM, METER))
SHAPES = {device.id: Shape(device.id, simulated.points(device)) for device in LINK.devices}


def good(device):
    return Sample(SHAPES[device], 1, (1.0,) * len(SHAPES[device].points))


def listen(minutes):
    """What was put, with its second, and logged; each of `minutes` is the link's settings and what comes each second of it."""

    async def listened():
        health, put, now = Health(), [], SimpleNamespace(link=LINK)

        async def take(sample):
            put.append((asyncio.get_running_loop().time(), sample))

        task = asyncio.create_task(
            Listening(
                lambda: [SimpleNamespace(settings=now.link)],
                place=PLACE,
                clock=VirtualClock(),
                health=health,
                put=take,
            ).run()
        )
        for link, samples in minutes:
            now.link = link
            for _ in range(60):
                for sample in samples:
                    health.learnt(sample)
                await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return put

    with capture_logs() as logs:
        put = run(listened())
    said = [(at, sample.shape.points[0].name, *sample.values) for at, sample in put]
    return SimpleNamespace(put=put, said=said, logs=logs)


def test_one_falls_silent_and_answers():
    """Consumers hear of it once, at once, of class event, as it was announced; the log has a warning, then an info."""
    both = [good("room"), good("meter")]
    heard = listen([(LINK, both), (LINK, [good("room")]), (LINK, [good("room")]), (LINK, both)])
    assert heard.said == [(75, "device_silent", "meter"), (180, "device_answers", "meter")]
    announced = listening.points(LINK, PLACE)
    for _, sample in heard.put:
        assert sample.shape.device == "link-roof"
        assert set(sample.shape.points) <= set(announced)
        assert sample.shape.points[0].class_ is Class.EVENT
    assert [
        (entry["event"], entry["log_level"], entry["device"], entry["points"]) for entry in heard.logs
    ] == [
        ("silence.began", "warning", "meter", "all"),
        ("silence.ended", "info", "meter", "all"),
    ]


def test_points_of_a_device_that_speaks():
    """Each point has a reading of its own; the log names them together."""
    shape = SHAPES["room"]
    some = Sample(shape, 1, (None, None, 1.0, 1), bytes([Reason.CONFIGURATION_ERROR] * 2 + [Reason.GOOD] * 2))
    heard = listen([(LINK, [good("room"), good("meter")]), (LINK, [some, good("meter")])])
    assert heard.said == [(75, "device_silent", "room/temperature"), (75, "device_silent", "room/co2")]
    assert [entry["points"] for entry in heard.logs] == ["temperature, co2"]


def test_out_of_service_is_never_silent():
    """Neither before nor after: who is put back has three intervals from then. Others are as silent as they were."""
    nothing = nothing_learnt(SHAPES["room"], 1, Reason.OUT_OF_SERVICE)
    out = replace(LINK, devices=(replace(ROOM, out_of_service="painted"), METER))
    heard = listen([(out, [nothing]), (LINK, [nothing])])
    assert heard.said == [(16, "device_silent", "meter"), (76, "device_silent", "room")]


def test_points_that_are_out_of_service_or_have_an_interval_of_their_own():
    """The former are not listened for; the latter by that interval."""
    where = {"table": Table.HOLDING, "register_type": Type.UINT16}
    points = [
        {"name": "a"},
        {"name": "b", "interval": timedelta(minutes=15)},
        {"name": "c", "out_of_service": "broken"},
    ]
    device = ModbusDevice(
        id="meter",
        unit_id=1,
        points=tuple(PointSettings(address=at, **where, **point) for at, point in enumerate(points)),
    )
    assert listening.intervals(plugins.driver("modbus"), device) == {
        "a": timedelta(seconds=10),
        "b": timedelta(minutes=15),
    }


def test_a_driver_that_does_not_say_how_often_its_points_come():
    """Nobody listens for its devices, and no events are announced."""
    assert listening.intervals(SimpleNamespace(points=simulated.points), ROOM) == {}


@pytest.mark.parametrize("driver", plugins.names("drivers"))
def test_a_link_announces_events_if_its_driver_says_how_often_points_come(driver):
    """Whatever the interval of its health."""
    announced = listening.points(replace(LINK, driver=driver), PLACE)
    assert bool(announced) is hasattr(plugins.driver(driver), "intervals")
