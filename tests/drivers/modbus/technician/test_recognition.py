"""Which type a unit is that a search has found: by the signs of profiles, each read once."""

from drivers.modbus.identity import Sign
from drivers.modbus.point import PointSettings
from drivers.modbus.profile import Profile
from drivers.modbus.technician.inquiry import Response
from drivers.modbus.technician.recognition import IN_VAIN, described, recognise
from drivers.modbus.values.registers import Table, Type


def profile(model, *signs):
    point = PointSettings(name="a", table=Table.INPUT, address=0, register_type=Type.UINT16)
    return Profile(
        manufacturer="Maker", model=model, source=("a list",), verified="no", points=(point,), identity=signs
    )


def sign(address, *values):
    return Sign(table=Table.INPUT, address=address, values=values)


TYPES = {
    "maker-one": profile("One", sign(11, 71)),
    "maker-two": profile("Two", sign(11, 71), sign(12, 5)),
    "maker-none": profile("None"),
}


def reading(held):
    """What a unit answers that holds these registers and refuses all others; and what it was asked."""
    asked = []

    async def read(span):
        asked.append(span.address)
        return held.get(span.address, Response(exception=0x02))

    return read, asked


async def test_the_type_that_is_known_by_most_signs_comes_first():
    """Both fit; one of them by more."""
    read, asked = reading({11: Response(data=b"\0\x47"), 12: Response(data=b"\0\5")})
    assert await recognise(TYPES, read) == ["maker-two", "maker-one"]
    assert asked == [11, 12]


async def test_a_refusal_tells_types_apart():
    """Who has no register 12 is no Two."""
    read, _ = reading({11: Response(data=b"\0\x47")})
    assert await recognise(TYPES, read) == ["maker-one"]


async def test_a_unit_that_falls_silent_is_not_asked_on_and_on():
    """Two questions in vain are enough; what was learnt before still counts."""
    types = {**TYPES, "maker-more": profile("More", *(sign(at, 1) for at in range(20, 30)))}
    silent = Response(reason="timeout")
    read, asked = reading({11: Response(data=b"\0\x47"), **dict.fromkeys(range(12, 30), silent)})
    assert await recognise(types, read) == ["maker-one"]
    assert len(asked) == 1 + IN_VAIN


def test_a_type_is_called_as_it_stands_on_the_device():
    """And as it is written in the configuration."""
    assert described("maker-one", TYPES["maker-one"]) == "Maker One (maker-one)"
