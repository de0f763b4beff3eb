"""SunSpec: the chain is walked, and points are read where it says; whatever a device answers, the walk ends."""

from __future__ import annotations

from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.clock import Clock
from agent.interfaces import Context
from agent.memory import MemoryFile
from agent.recording import Frame
from agent.sample import Reason
from drivers import modbus
from drivers.modbus.identity import Identity
from drivers.modbus.line.mbap import Mbap
from drivers.modbus.point import PointSettings
from drivers.modbus.polling import refusals
from drivers.modbus.polling.device import device
from drivers.modbus.polling.introduction import Introduced, introduction
from drivers.modbus.settings import DeviceSettings
from drivers.modbus.sunspec import BASES, MAGIC, MOST_MODELS, Entry, Model, Repeated, SunSpec, proposed, walk
from drivers.modbus.technician.replaying import open_replay
from drivers.modbus.technician.shelf import models, profiles
from drivers.modbus.values.plan import Span
from drivers.modbus.values.registers import ADDRESSES, Table, Type
from tests.contracts.test_sunspec_models import data, held
from tests.drivers.modbus.test_link import OFTEN, SOON, link, opened, reasons, taking
from tests.emulators.modbus import Behaviour, Request, Server, nothing
from tests.emulators.ports import free_port
from tests.emulators.walking import walked

COMMON, INVERTER, TRACKERS, METER = (models()[number] for number in (1, 103, 160, 203))


def chain_of(*numbers_and_lengths: tuple[int, int], base: int = 40000) -> tuple[Entry, ...]:
    """A chain of models with these ids and lengths."""
    entries: list[Entry] = []
    for number, length in numbers_and_lengths:
        entries.append(Entry(number, entries[-1].end if entries else base + 2, length))
    return tuple(entries)


def answers(chain, base=40000):
    """How a device with this chain answers whoever walks it; elsewhere it refuses."""
    held = {base: MAGIC}
    held |= {entry.address: entry.number.to_bytes(2) + entry.length.to_bytes(2) for entry in chain}
    held[chain[-1].end] = b"\xff\xff\x00\x00"
    return lambda span: held.get(span.address)


# --- the walk --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", BASES)
def test_the_chain_is_found_at_each_of_the_three_places(base):
    """And followed to the end that it says."""
    chain = chain_of((1, 65), (103, 50), (64001, 4), base=base)
    assert walked(walk(BASES), answers(chain, base)) == (chain, True)


def test_a_device_without_the_magic_has_no_chain():
    """Three questions tell."""
    asked: list[Span] = []
    assert walked(walk(BASES), asked.append) == ((), False)
    assert [span.address for span in asked] == list(BASES)


def test_what_is_refused_ends_the_chain():
    """Some devices have nothing behind their last model; but that may be one that starts up, so it is not called whole."""
    chain = chain_of((1, 66), (103, 50))
    answer = answers(chain)
    refusing = walked(walk((40000,)), lambda span: None if span.address == chain[1].address else answer(span))
    assert refusing == (chain[:1], False)


@settings(deadline=None)
@given(st.data())
def test_whatever_a_device_answers_the_walk_ends_and_asks_only_for_registers_that_can_be(data):
    """Lengths of nothing, circles that cannot be, the last address: no more questions than there may be models."""
    asked: list[Span] = []

    def answer(span: Span) -> bytes | None:
        asked.append(span)
        return data.draw(
            st.one_of(st.just(MAGIC), st.none(), st.binary(min_size=4, max_size=4), st.just(b"\0\1\0\0"))
        )

    chain, _ = walked(walk(BASES), answer)
    assert len(chain) <= MOST_MODELS
    assert len(asked) <= len(BASES) + MOST_MODELS + 1
    assert all(0 <= span.address < span.end <= ADDRESSES for span in asked)
    assert [entry.address for entry in chain] == sorted({entry.address for entry in chain})


def test_models_without_registers_come_to_an_end():
    """A device that answers `model 1 of length 0` at every address has no chain as long as its registers."""
    chain, ended = walked(walk((0,)), lambda span: b"\0\1\0\0" if span.address else MAGIC)
    assert (len(chain), ended) == (MOST_MODELS, False)


def test_an_introduction_says_what_it_looked_for():
    """In words for the log."""
    found = walked(introduction((), (40000, 0)), lambda _: None)
    assert found == Introduced("SunS at holding 40000 or 0, and models behind it", "none")


# --- where points lie ------------------------------------------------------------------------------------------


def test_points_move_with_their_model_and_their_scale_factor():
    """A common model that is one register longer shifts all behind it."""
    sunspec = SunSpec(models=(COMMON, INVERTER))
    before = next(point for point in sunspec.points if point.name == "active_power_total")
    after = sunspec.located(chain_of((1, 65), (64001, 10), (103, 50)))["active_power_total"]
    assert after.address == before.address - 1 + 12
    assert after.scale_factor == before.scale_factor - 1 + 12


def test_without_a_chain_the_models_lie_one_after_another():
    """As an emulated device shows them: walking what it shows gives just that."""
    sunspec = SunSpec(models=(COMMON, INVERTER, TRACKERS, METER), repeats={160: 3}, base=50000)
    shown = dict(sunspec.frame)
    chain, ended = walked(walk(sunspec.bases), shown.get)
    assert ended
    assert chain == tuple(part.entry for part in sunspec.parts)
    assert list(sunspec.located(chain).values()) == list(sunspec.points)


def test_the_second_of_two_equal_models_is_the_second_in_the_device():
    """And its points have names of their own."""
    sunspec = SunSpec(models=(METER, METER))
    names = [point.name for point in sunspec.points]
    assert len(set(names)) == len(names)
    found = sunspec.located(chain_of((203, 105), (1, 65), (203, 105)))
    first, second = found["meter_frequency"], found["meter_2_frequency"]
    assert second.address - first.address == 107 + 67


def test_what_a_device_does_not_have_is_nowhere():
    """A model that is missing, modules beyond those that there are, a model that is too short."""
    sunspec = SunSpec(models=(INVERTER, TRACKERS, METER), repeats={160: 3})
    found = sunspec.located(chain_of((103, 20), (160, 8 + 2 * 20)))
    assert found["current_total"] is not None
    assert found["frequency"] is not None  # its scale factor is the last register
    assert found["active_energy_total"] is None
    assert found["mppt_module_2_dc_power"] is not None
    assert found["mppt_module_3_dc_power"] is None
    assert found["meter_frequency"] is None
    assert sunspec.missing(chain_of((103, 20), (160, 48))) == (203,)
    assert sunspec.beyond(chain_of((1, 66), (103, 50), (103, 50), (160, 8))) == (1, 103)


def test_a_point_written_out_stays_where_it_is_written():
    """It takes the place of the model's, wholly."""
    own = PointSettings(name="frequency", table=Table.HOLDING, address=7, register_type=Type.UINT16)
    device = DeviceSettings(id="d", sunspec=SunSpec(models=(INVERTER,)), points=(own,), only=("frequency",))
    (codec,) = device.located(())
    assert codec.address == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": (COMMON,), "repeats": {160: 2}}, "repeats: 160 is none of the models"),
        ({"models": (COMMON,), "repeats": {1: 2}}, "repeats: 1 is none of the models"),
        ({"models": (COMMON,), "base": 65500}, "base: expected room"),
    ],
)
def test_what_cannot_be_is_refused(arguments, words):
    """In words that begin with the setting."""
    with pytest.raises(ValueError, match=words):
        SunSpec(**arguments)


def test_as_many_trackers_as_can_be_read_with_their_scale_factors():
    """One request reads a value together with its scale factor, however far away that is."""
    device = DeviceSettings(id="d", sunspec=SunSpec(models=(TRACKERS,), repeats={160: 6}))
    assert max(block.count for block in device.blocks) <= 125


def test_what_is_found_is_proposed_as_settings():
    """Models of which there is a file, in order, with how often they repeat."""
    chain = chain_of((1, 66), (103, 50), (120, 26), (160, 8 + 3 * 20), (203, 105))
    assert proposed(chain, models()) == {"models": [1, 103, 160, 203], "repeats": {160: 3}}
    assert proposed(chain_of((1, 66)), models()) == {"models": [1]}


def test_a_model_of_ones_own_serves_as_well():
    """With what it repeats counted from 1."""
    point = PointSettings(name="level", table=Table.HOLDING, address=2, register_type=Type.UINT16)
    tank = Model(
        number=64001,
        name="Tank",
        word="tank",
        length=1,
        points=(point,),
        repeated=Repeated(word="valve", length=1, points=(point,)),
    )
    sunspec = SunSpec(models=(tank,), repeats={64001: 2})
    assert [point.name for point in sunspec.points] == ["level", "valve_1_level", "valve_2_level"]


# --- on a link -------------------------------------------------------------------------------------------------


def holding(registers: dict[int, str]) -> Behaviour:
    """A device that holds these registers and refuses all others."""

    async def answer(request: Request) -> None:
        found = data(registers, Span(Table.HOLDING, request.address, request.address + request.count))
        pdu = (
            bytes([request.function | 0x80, 2])
            if found is None
            else bytes([request.function, len(found)]) + found
        )
        request.send(request.frame(pdu))

    return answer


SOLAREDGE = "solaredge-inverter-and-meter"
KOSTAL = "kostal-plenticore"


def inverter(*numbers: int, **arguments) -> DeviceSettings:
    """A SunSpec device of which only the AC power of each model is read."""
    sunspec = SunSpec(models=tuple(models()[number] for number in numbers))
    settings = {"interval": OFTEN, "only": ("active_power_total",)} | arguments
    return DeviceSettings(id="unit-5", unit_id=5, sunspec=sunspec, **settings)


async def test_a_device_is_read_where_its_chain_says():
    """The chain is walked once; what nobody reads is said."""
    with capture_logs() as logs:
        async with (
            Server({5: [holding(held(SOLAREDGE))]}) as server,
            opened(server, inverter(1, 103)) as here,
            taking(here, 5) as [taker],
        ):
            assert [sample.values for sample in await taker.next(2)] == [(5520.0,)] * 2
    [said] = [entry for entry in logs if entry["event"] == "sunspec.models"]
    assert (said["found"], said["unread"]) == ([1, 103, 1, 203], [1, 203])


def test_a_chain_that_moved_is_asked_for_what_it_refused_elsewhere():
    """Refusals are of addresses, and hold over restarts: behind another chain other points lie at them."""
    memory, settings = MemoryFile().part("test"), inverter(1, 103)

    def made(*chain):
        here = device(Mbap(), settings, link(502, settings), memory, 0)
        here.locate(chain_of(*chain), 0)
        return here

    here = made((1, 66), (103, 50))
    here.refusals.add(Span.of(here.groups[0].reads[0].block), 0)
    here.plan()
    assert here.refused == ("active_power_total",)
    assert made((1, 65), (103, 50)).refused == ()
    assert made((1, 66), (103, 50), (120, 26)).refused == ("active_power_total",)
    assert here.locate(chain_of((1, 65), (103, 50)), 0)
    assert here.refused == ()


async def test_a_model_that_is_not_there_is_said_and_its_points_are_bad():
    """The others are read as ever."""
    only = ("active_power_total", "der_active_power_total")
    with capture_logs() as logs:
        async with (
            Server({5: [holding(held(SOLAREDGE))]}) as server,
            opened(server, inverter(1, 103, 701, only=only)) as here,
            taking(here, 5) as [taker],
        ):
            [sample] = await taker.next()
            assert sample.values == (5520.0, None)
            assert reasons(sample) == [Reason.GOOD, Reason.CONFIGURATION_ERROR]
    [said] = [entry for entry in logs if entry["event"] == "sunspec.models_missing"]
    assert said["missing"] == [701]


async def test_a_device_with_nothing_of_what_is_expected_gives_nothing():
    """Not even by chance, from where its points would lie."""
    async with (
        Server({5: [holding(held(SOLAREDGE))]}) as server,
        opened(server, inverter(113)) as here,
        taking(here, 5) as [taker],
    ):
        for sample in await taker.next(2):
            assert sample.values == (None,)
            assert reasons(sample) == [Reason.CONFIGURATION_ERROR]


@pytest.mark.parametrize("identity", Identity)
async def test_a_device_that_has_no_chain_is_a_stranger(identity):
    """Its registers are not read as if it had one, whatever else is tolerated: nobody knows where they lie."""
    async with (
        Server({5: [holding(dict.fromkeys(range(40000, 40200), "0001"))]}) as server,
        opened(server, inverter(1, 103, identity=identity)) as here,
        taking(here, 5) as [taker],
    ):
        assert (await taker.next())[0].values == (None,)
        assert here.devices["unit-5"]["stranger"].startswith("expected SunS at holding 40000 or 50000 or 0")


async def test_a_chain_that_broke_off_is_walked_again(monkeypatch):
    """A device that starts up refuses what it has in a moment: its readings go on, and the chain is asked for again."""
    monkeypatch.setattr(refusals, "FIRST_NS", 0)
    registers = held(SOLAREDGE)
    [first] = chain_of((1, int(registers[40003], 16)))
    whole = holding(registers)
    starting = holding({address: word for address, word in registers.items() if address < first.end})
    async with (
        Server({5: [starting] * 10 + [whole]}) as server,
        opened(server, inverter(1, 103)) as here,
        taking(here, 5) as [taker],
    ):
        assert (await taker.next())[0].reasons == bytes([Reason.CONFIGURATION_ERROR])
        sample = await taker.until(Reason.GOOD)
        assert sample.values == (5520.0,)
        assert here._seats["unit-5"].device.again_ns is None


async def test_a_recording_that_begins_long_after_the_walk_can_be_replayed():
    """Whoever begins to listen hears what the device is and where its points lie; its readings go on meanwhile."""
    frames: list[Frame] = []
    device = inverter(1, 103)
    async with (
        Server({5: [holding(held(SOLAREDGE))]}) as server,
        opened(server, device) as here,
        taking(here, 5) as [taker],
    ):
        await taker.next(2)
        here.tap = lambda direction, data, ns: frames.append(Frame(ns, direction, data))
        while here._seats["unit-5"].device.again_ns is not None:
            assert [sample.values for sample in await taker.next()] == [(5520.0,)]
    context = Context(Clock(), MemoryFile().part("test"))
    async with (
        open_replay(link(server.port, device), frames, context) as replay,
        aclosing(replay.link.source("unit-5")) as samples,
    ):
        assert (await anext(samples)).values == (5520.0,)


async def test_a_long_chain_leaves_the_others_their_turns():
    """Some questions a turn; then it goes on where it was left off."""
    chain = chain_of(*[(64001, 4)] * 20, (103, 50))
    asked: list[int] = []

    async def answer(request: Request) -> None:
        asked.append(request.address)
        data = answers(chain)(Span(Table.HOLDING, request.address, request.address + request.count))
        data = data or bytes(2 * request.count)
        request.send(request.frame(bytes([request.function, len(data)]) + data))

    async with Server({5: [answer]}) as server, opened(server, inverter(103)) as here:
        its = here._seats["unit-5"].device
        turns = []
        while not await here._polling.turn(its, 0):
            turns.append(len(asked))
        assert turns == [4, 8, 12, 16, 20]
        assert asked[:23] == [40000, *(entry.address for entry in chain), chain[-1].end]


async def test_a_chain_is_walked_again_after_a_silence():
    """An inverter that was away may be another one, or have other models, when it is back."""
    device = inverter(1, 113, timeout=SOON)
    away = [holding(held(SOLAREDGE))] * 9 + [nothing]
    async with (
        Server({5: [*away, holding(held(KOSTAL))]}) as server,
        opened(server, device, quiet=SOON) as here,
        taking(here, 5) as [taker],
    ):
        await taker.until(Reason.CONFIGURATION_ERROR)
        await taker.until(Reason.TIMEOUT)
        here.refresh("unit-5")
        sample = await taker.until(Reason.GOOD)
        assert sample.values == (940.0,)


@pytest.mark.parametrize(
    "arguments",
    [
        {"sunspec": SunSpec(models=(COMMON, INVERTER, TRACKERS, METER), repeats={160: 2})},
        {"profile": profiles()["carlo-gavazzi-em24-e1"]},
        {"profile": profiles()["huawei-sun2000"]},
    ],
)
async def test_an_emulated_device_shows_what_it_is(arguments):
    """It is read as the real one would be, from its chain or its sign on."""
    device = DeviceSettings(id="unit-5", unit_id=5, interval=OFTEN, **arguments)
    settings = link(free_port(), device)
    async with (
        modbus.emulate(settings, Clock()),
        modbus.open(settings, Context(Clock(), MemoryFile().part("test"))) as here,
        taking(here, 5) as [taker],
    ):
        [sample] = await taker.next()
        assert set(reasons(sample)) == {Reason.GOOD}
