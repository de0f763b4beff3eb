"""What the agent says of itself when asked."""

import asyncio
from types import SimpleNamespace

import pytest

from agent.health import Health
from agent.report import Report
from agent.supervisor import Condition, State

STATES = {
    "fine": State.WORKING,
    "new": State.STARTING,
    "wrong": State.MISCONFIGURED,
    "out": State.OUT_OF_SERVICE,
}


def states(link):
    """How the devices are said to be while their link is like this."""
    gatherer = SimpleNamespace(
        settings=SimpleNamespace(id="line", driver="modbus"),
        devices=tuple(STATES),
        counts={},
        figures={},
        answering=lambda _: {},
        points=lambda _: (),
    )

    async def asked():
        report = Report(
            gateway="gw-1",
            clock=SimpleNamespace(monotonic_ns=lambda: 5_000_000_000, synchronised=lambda: True),
            health=Health(
                links={"line": Condition(link, words="link line: refused")},
                devices={name: Condition(state, words=state.value) for name, state in STATES.items()},
            ),
            buffer=SimpleNamespace(store_id="ab", durable=True, status=dict),
            gatherers=(gatherer,),
            uplinks=(),
        )
        return (await report.status())["links"][0]

    said = asyncio.run(asked())
    assert said["error"] == "link line: refused"
    return {device["id"]: device["state"] for device in said["devices"]}


@pytest.mark.parametrize("link", [State.UNAVAILABLE, State.MISCONFIGURED, State.FAULTY])
def test_a_device_is_not_reached_while_its_link_is_down(link):
    """It does not work then, whatever it did before; trouble of its own is still said."""
    assert states(link) == {
        "fine": "not reached",
        "new": "not reached",
        "wrong": "misconfigured",
        "out": "out of service",
    }


def test_a_device_on_a_link_that_works_is_as_it_is():
    """Its own condition counts."""
    assert states(State.WORKING) == {name: state.value for name, state in STATES.items()}
