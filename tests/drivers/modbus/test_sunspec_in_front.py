"""A technician in front of a SunSpec device: found by a search, and read by the chain, on real sockets."""

from datetime import timedelta

import pytest

from agent.sample import Reason
from drivers.modbus.settings import LinkSettings
from drivers.modbus.technician.raw import read_raw
from tests.contracts.test_sunspec_models import held
from tests.drivers.modbus.technician.test_search import Told, search, visit
from tests.drivers.modbus.test_sunspec import KOSTAL, SOLAREDGE, holding, inverter
from tests.emulators.modbus import Server, nothing


@pytest.mark.parametrize(
    ("name", "what", "sunspec"),
    [
        (
            SOLAREDGE,
            "SolarEdge SE10K-RWS48BEN4 of SunSpec (models 1, 103, 1, 203)",
            {"models": [1, 103, 1, 203]},
        ),
        (
            KOSTAL,
            "KOSTAL PLENTICORE plus8 of SunSpec (models 1, 103, 113, 120, 123, 160)",
            {"models": [1, 103, 113, 160], "repeats": {160: 3}},
        ),
    ],
)
async def test_a_search_tells_a_sunspec_device_and_proposes_its_models(name, what, sunspec):
    """By its own words, and with the models of which there is a file."""
    async with Server({5: [holding(held(name))]}) as server:
        told = Told()
        await search(server.port, (5,), told=told)
    assert told.found_first.what == what
    assert told.found_first.ready
    assert told.found_first.device == {"id": "unit-5", "unit_id": 5, "sunspec": sunspec}


def place(port):
    """The line of the server, as a guest sees it."""
    limit = timedelta(milliseconds=200)
    return LinkSettings(id="g", driver="modbus", host="127.0.0.1", port=port, timeout=limit, devices=())


async def test_a_device_read_once_is_read_where_its_chain_says():
    """What it does not have is bad, and what is shown beside each value is where it was found."""
    device = inverter(1, 103, 701, only=("active_power_total", "der_active_power_total"))
    async with Server({5: [holding(held(SOLAREDGE))]}) as server, visit(place(server.port)) as guest:
        sample, raw = await read_raw(device, guest, lambda: 0)
    assert sample.values == (5520.0, None)
    assert sample.reasons == bytes([Reason.GOOD, Reason.CONFIGURATION_ERROR])
    assert raw == ["holding 40083: 1590 0000", ""]


async def test_what_lies_between_a_number_and_its_scale_factor_is_not_shown():
    """Registers of other points would hide the two that the value was made of."""
    device = inverter(1, 103, only=("current_l1", "voltage_l1_l2", "active_power_total"))
    async with Server({5: [holding(held(SOLAREDGE))]}) as server, visit(place(server.port)) as guest:
        _, raw = await read_raw(device, guest, lambda: 0)
    assert raw == [
        "holding 40072: 030d, 40075: fffe",
        "holding 40076: 0fae, 40082: ffff",
        "holding 40083: 1590 0000",
    ]


async def test_a_silent_device_has_no_chain_and_no_values():
    """It is not taken for one that has nothing of what is expected."""
    device = inverter(1, 103)
    async with Server({5: [nothing]}) as server, visit(place(server.port)) as guest:
        sample, _ = await read_raw(device, guest, lambda: 0)
    assert sample.reasons == bytes([Reason.TIMEOUT])
