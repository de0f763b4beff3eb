"""From the registers of a device to the bytes that the broker gets: no digit is lost on the way, and none is made up."""

import re
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer import rows
from agent.fields import Place
from agent.formats.json import FormatSettings, session
from agent.sample import Lane, Row, Sample, Shape
from agent.upstream import Gateway
from drivers.modbus import DeviceSettings, points
from drivers.modbus.point import Addend, PointSettings
from drivers.modbus.values.registers import Table, Type

DEVICE = DeviceSettings(
    id="meter",
    points=(
        PointSettings(name="whole", table=Table.INPUT, address=0, register_type=Type.UINT64),
        PointSettings(
            name="hundredths", table=Table.INPUT, address=4, register_type=Type.UINT64, scale=Fraction("0.01")
        ),
        PointSettings(
            name="signed", table=Table.INPUT, address=8, register_type=Type.INT64, scale=Fraction("-0.001")
        ),
        PointSettings(
            name="added", table=Table.INPUT, address=12, register_type=Type.UINT32, sum=(Addend(address=14),)
        ),
        PointSettings(
            name="powered", table=Table.INPUT, address=16, register_type=Type.UINT64, scale_factor=20
        ),
        PointSettings(
            name="tenths", table=Table.INPUT, address=21, register_type=Type.INT16, scale=Fraction("0.1")
        ),
    ),
)


def payload(data):
    """What an uplink publishes of a device whose registers hold this: decoded, stored as a row and read back, formatted."""
    (block,) = DEVICE.blocks
    shape = Shape(DEVICE.id, points(DEVICE))
    values, reasons = [None] * len(shape.points), bytearray(len(shape.points))
    block.decode(data, values, reasons)
    stored = rows.decode(shape, 0, rows.encode(Sample(shape, 0, tuple(values), bytes(reasons))))
    row = Row("0" * 32, 1, stored, 1_790_000_000_000_000_000, trusted=True)
    (message,) = session(FormatSettings(), Gateway(id="g", place=Place(), version="0")).encode(
        [row], Lane.LIVE, 100_000
    )
    return message.payload.decode()


@settings(deadline=None)
@given(
    raws=st.tuples(
        *[st.integers(0, 2**64 - 1)] * 3, *[st.integers(0, 2**32 - 1)] * 2, st.integers(0, 2**64 - 1)
    ),
    tenths=st.integers(-(2**15), 2**15 - 1),
    power=st.integers(-10, 10),
)
def test_every_digit_of_a_register_reaches_the_broker(raws, tenths, power):
    """As text between the bytes of the payload, against the exact number: 64 bits have more digits than a float."""
    whole, hundredths, signed, one, other, powered = raws
    data = b"".join(
        (
            *(raw.to_bytes(8) for raw in (whole, hundredths, signed)),
            *(raw.to_bytes(4) for raw in (one, other)),
            powered.to_bytes(8),
            power.to_bytes(2, signed=True),
            tenths.to_bytes(2, signed=True),
        )
    )
    sent = payload(data)
    exact = {
        "whole": Fraction(whole),
        "hundredths": Fraction(hundredths, 100),
        "signed": -Fraction(signed - (signed >> 63 << 64), 1000),
        "added": Fraction(one + other),
        "powered": powered * Fraction(10) ** power,
        "tenths": Fraction(tenths, 10),
    }
    for name, number in exact.items():
        found = re.search(rf'"{name}"[^}}]*?"value":"?([-+0-9.eE]+)', sent)
        assert found is not None, sent
        assert Fraction(found[1]) == number


def test_the_digits_are_those_that_a_person_would_write():
    """No exponent for an ordinary number, no 0.30000000000000004."""
    sent = payload(b"\xff" * 16 + bytes(26) + (3).to_bytes(2))
    assert '"value":18446744073709551615' in sent
    assert '"value":184467440737095516.15' in sent
    assert '"value":0.3' in sent
