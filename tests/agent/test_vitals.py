"""How links are, as readings: what is said of each, when, and what a consumer is told of it beforehand."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace

import pytest

from agent import plugins, vitals
from agent.fields import Place
from agent.health import Health
from agent.interfaces import DeviceBase, LinkBase
from agent.sample import Class, Reason, ValueType
from agent.supervisor import Condition, State
from agent.vitals import Vitals
from tests.emulators.virtual_time import VirtualClock, run

PLACE = Place(site="brukshuset")
LINK = LinkBase(
    id="roof", driver="modbus", devices=(DeviceBase(id="a"), DeviceBase(id="b"), DeviceBase(id="c"))
)


def gatherer(**differences):
    """A link that has been up for a while, with one silent device."""
    answering = {"a": {"state": "ok"}, "b": {"state": "silent"}}
    link = {
        "settings": LINK,
        "devices": ("a", "b", "c"),
        "totals": {"requests": 500, "timeouts": 7},
        "figures": {"utilisation": 0.25, "lateness_ms": 12.5},
        "answering": lambda device: answering.get(device, {}),
    }
    return SimpleNamespace(**{**link, **differences})


def health():
    states = {"a": State.WORKING, "b": State.WORKING, "c": State.OUT_OF_SERVICE}
    return Health(
        links={"roof": Condition(State.WORKING)},
        devices={name: Condition(state) for name, state in states.items()},
    )


def report(for_s, gatherers, interval_s=60):
    """What was put in so long, each with its moment."""

    async def reporting():
        put = []

        async def take(sample):
            put.append((asyncio.get_running_loop().time(), sample))

        said = Vitals(
            lambda: gatherers,
            place=PLACE,
            interval=timedelta(seconds=interval_s),
            clock=VirtualClock(),
            health=health(),
            put=take,
        )
        task = asyncio.create_task(said.run())
        await asyncio.sleep(for_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return put

    return run(reporting())


def cells(sample):
    return {point.name: value for point, value in zip(sample.shape.points, sample.values, strict=True)}


def test_once_an_interval_from_the_first_on():
    """Not at the start, when nothing is known yet; 0 is never. A link has one shape for good."""
    put = report(190, [gatherer()])
    assert [moment for moment, _ in put] == [60, 120, 180]
    assert len({sample.shape for _, sample in put}) == 1
    assert report(1000, [gatherer()], interval_s=0) == []


def test_what_is_said_of_a_link():
    """Its state, how many devices are silent that should not be, its totals and its figures; what never happened is 0."""
    [(_, sample)] = report(61, [gatherer()])
    assert sample.shape.device == "link-roof"
    assert cells(sample) == {
        "state": "working",
        "devices_silent": 1,
        **dict.fromkeys(
            ("answers", "exceptions", "malformed", "foreign", "late", "reconnects", "missed_slots"), 0
        ),
        "requests": 500,
        "timeouts": 7,
        "utilisation": 0.25,
        "lateness_ms": 12.5,
    }
    assert sample.reasons == b""


def test_a_link_that_is_not_open_has_totals_and_no_figures():
    """What cannot be measured is missing, and says why."""
    [(_, sample)] = report(61, [gatherer(figures={})])
    for point, value, reason in zip(sample.shape.points, sample.values, sample.reasons, strict=True):
        missing = point.name in {"utilisation", "lateness_ms"}
        assert (value is None, reason) == (missing, Reason.NOT_CONNECTED if missing else Reason.GOOD)


@pytest.mark.parametrize("driver", plugins.names("drivers"))
def test_what_a_consumer_is_told_beforehand(driver):
    """The points of a sample are those that were announced: of class health, at the gateway's place, of the type they have."""
    link = LinkBase(id="roof", driver=driver, devices=())
    announced = vitals.points(link, PLACE)
    [(_, sample)] = report(61, [gatherer(settings=link, devices=())])
    assert sample.shape.points == announced
    assert {(point.class_, point.place) for point in announced} == {(Class.HEALTH, PLACE)}
    types = {ValueType.TEXT: str, ValueType.INTEGER: int, ValueType.NUMBER: float}
    assert [types[point.type] for point in announced] == [type(value) for value in sample.values]
