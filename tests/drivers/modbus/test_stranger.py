"""A device that is another one than its profile says: on real sockets."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from agent.interfaces import Misconfigured
from agent.sample import Reason
from drivers.modbus.identity import Identity, Sign
from drivers.modbus.point import PointSettings
from drivers.modbus.profile import Profile
from drivers.modbus.settings import DeviceSettings
from drivers.modbus.values.registers import Table, Type
from tests.drivers.modbus.test_link import LIMIT_S, OFTEN, SOON, is_right, opened, taking
from tests.emulators.modbus import Behaviour, Request, Server, data, good, nothing, refuses, register

UNIT, OTHER = 5, 9
SIGN = Sign(table=Table.HOLDING, address=7, values=(register(UNIT, 7),))


def meter(identity: Identity = Identity.DEMANDED, **arguments) -> DeviceSettings:
    """A device whose profile knows it by what unit 5 holds at address 7, and reads address 100."""
    point = PointSettings(name="at-100", table=Table.HOLDING, address=100, register_type=Type.UINT16)
    profile = Profile(
        manufacturer="Maker",
        model="M1",
        source=("a document",),
        verified="not at all",
        unverified=arguments.pop("unverified", None),
        identity=(SIGN,),
        points=(point,),
    )
    settings = {"interval": OFTEN, "timeout": timedelta(seconds=LIMIT_S)} | arguments
    return DeviceSettings(id=f"unit-{UNIT}", unit_id=UNIT, profile=profile, identity=identity, **settings)


async def another(request: Request) -> None:
    """Answer as another device would that has this unit id."""
    payload = data(OTHER, request.function, request.address, request.count)
    request.send(request.frame(bytes([request.function, len(payload)]) + payload))


def noted(asked: list[Request], *behaviours: Behaviour) -> list[Behaviour]:
    """The same behaviours, and every request in the list."""

    def noting(behaviour: Behaviour) -> Behaviour:
        async def note(request: Request) -> None:
            asked.append(request)
            await behaviour(request)

        return note

    return [noting(behaviour) for behaviour in behaviours]


async def test_what_shows_the_sign_is_read():
    """It is asked once, and then for its readings."""
    asked: list[Request] = []
    async with (
        Server({UNIT: noted(asked, good)}) as server,
        opened(server, meter()) as here,
        taking(here, UNIT) as [taker],
    ):
        assert all(is_right(sample, UNIT) for sample in await taker.next(3))
    addresses = [request.address for request in asked]
    assert addresses[0] == 7
    assert set(addresses[1:]) == {100}


async def test_a_strangers_values_are_bad_until_it_is_the_right_one():
    """It is said once with what was expected and found, asked again at the interval, and nothing is read of it."""
    with capture_logs() as logs:
        async with (
            Server({UNIT: [another, another, another, good]}) as server,
            opened(server, meter()) as here,
            taking(here, UNIT) as [taker],
        ):
            for sample in await taker.next(3):
                assert sample.values == (None,)
                assert sample.reasons == bytes([Reason.CONFIGURATION_ERROR])
            assert here.devices["unit-5"]["state"] == "ok"
            sample = await taker.until(Reason.GOOD)
            assert is_right(sample, UNIT)
            assert "stranger" not in here.devices["unit-5"]
    said = [entry for entry in logs if entry["event"].endswith("_the_profile")]
    assert [entry["event"] for entry in said] == ["device.not_the_profile", "device.is_the_profile"]
    assert said[0]["expected"] == f"{register(UNIT, 7)} at holding 7"
    assert said[0]["found"] == str(register(OTHER, 7))


async def test_status_shows_what_a_stranger_is_not():
    """What was expected and what was found, for as long as it is so."""
    async with (
        Server({UNIT: [another]}) as server,
        opened(server, meter()) as here,
        taking(here, UNIT) as [taker],
    ):
        await taker.next(2)
        words = f"expected {register(UNIT, 7)} at holding 7, found {register(OTHER, 7)}"
        assert here.devices["unit-5"]["stranger"] == words


async def test_a_device_without_such_a_register_is_a_stranger():
    """An exception is an answer: it has not what its profile is known by."""
    async with (
        Server({UNIT: [refuses(0x02)]}) as server,
        opened(server, meter()) as here,
        taking(here, UNIT) as [taker],
    ):
        await taker.next(2)
        assert here.devices["unit-5"]["stranger"].endswith("found no such register")


async def test_a_device_that_lives_and_never_answers_for_its_sign_is_a_stranger():
    """Its readings say so, and not that nobody is there; it is asked no more often than one that is silent."""

    async def all_but_the_sign(request: Request) -> None:
        if request.address != 7:
            await good(request)

    async with (
        Server({UNIT: [all_but_the_sign]}) as server,
        opened(server, meter(timeout=SOON), quiet=SOON) as here,
        taking(here, UNIT) as [taker],
    ):
        assert (await taker.next())[0].reasons == bytes([Reason.TIMEOUT])
        here.refresh("unit-5")
        [sample] = await taker.next()
        assert sample.reasons == bytes([Reason.CONFIGURATION_ERROR])
        assert here.devices["unit-5"]["stranger"] == "expected an answer at holding 7, found none"
        assert here.devices["unit-5"]["state"] == "silent"


async def test_a_busy_device_is_not_taken_for_a_stranger():
    """It is asked again at the next slot."""
    with capture_logs() as logs:
        async with (
            Server({UNIT: [refuses(0x06), good]}) as server,
            opened(server, meter()) as here,
            taking(here, UNIT) as [taker],
        ):
            first, second = await taker.next(2)
            assert first.reasons == bytes([Reason.DEVICE_BUSY])
            assert is_right(second, UNIT)
    assert not [entry for entry in logs if entry["event"] == "device.not_the_profile"]


async def test_what_was_silent_is_asked_again_what_it_is():
    """In between somebody may have put another device in its place."""
    async with (
        Server({UNIT: [good, good, nothing, another]}) as server,
        opened(server, meter(timeout=timedelta(milliseconds=60))) as here,
        taking(here, UNIT) as [taker],
    ):
        await taker.until(Reason.TIMEOUT)
        here.refresh("unit-5")
        await taker.until(Reason.CONFIGURATION_ERROR)
        assert "stranger" in here.devices["unit-5"]


@pytest.mark.parametrize(("identity", "questions"), [(Identity.NOTED, {7, 100}), (Identity.IGNORED, {100})])
async def test_what_is_known_to_be_alike_can_be_read_all_the_same(identity, questions):
    """`noted` asks once and says it; `ignored` does not even ask."""
    asked: list[Request] = []
    with capture_logs() as logs:
        async with (
            Server({UNIT: noted(asked, another)}) as server,
            opened(server, meter(identity)) as here,
            taking(here, UNIT) as [taker],
        ):
            assert all(is_right(sample, OTHER) for sample in await taker.next(2))
    addresses = [request.address for request in asked]
    assert set(addresses) == questions
    assert addresses.count(7) <= 1
    said = [entry for entry in logs if entry["event"] == "device.not_the_profile"]
    assert len(said) == (identity is Identity.NOTED)


async def test_nothing_is_written_to_a_stranger():
    """Not even before the first poll: it is asked first."""
    asked: list[Request] = []
    async with Server({UNIT: noted(asked, another)}) as server, opened(server, meter()) as here:
        with pytest.raises(Misconfigured, match="device unit-5: another than its profile says: expected"):
            await here.current("unit-5", "at-100")
        with pytest.raises(ValueError, match="nothing was written to unit-5: expected"):
            await here.write("unit-5", "at-100", 1, until_ns=10**30)
    assert {request.function for request in asked} == {3}
