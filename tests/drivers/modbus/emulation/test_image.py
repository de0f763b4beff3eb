"""What an emulated unit holds, of points of every kind: registers that read as they should, wherever they lie."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus import DeviceSettings, points
from drivers.modbus.emulation.image import Image
from drivers.modbus.point import Addend, PointSettings
from drivers.modbus.values.registers import Order, Table, Type
from drivers.modbus.values.text import Encoding


def point(name, address, type_="int16", **settings):
    return PointSettings(
        name=name, address=address, table=Table.HOLDING, register_type=Type(type_), **settings
    )


def shown(*its_points, time_s=1_790_000_000.0, **device):
    """What a device of these points reads of its own emulation, and why not, by name."""
    made = DeviceSettings(id="inverter-1", points=its_points, gap=120, **device)
    image = Image([made])
    names = [each.name for each in points(made)]
    values, reasons = [None] * len(names), bytearray(len(names))
    for block in made.blocks:
        content = image.read(block.table, block.address, block.count, time_s)
        block.decode(content, values, reasons)
    assert not any(reasons)
    return dict(zip(names, values, strict=True))


@settings(deadline=None, max_examples=50)
@given(time_s=st.floats(1.7e9, 4e9), order=st.sampled_from(Order))
def test_a_device_of_every_kind_of_point_reads_plausibly_at_any_time(time_s, order):
    """In every order, beside each other in one request."""
    seen = shown(
        point("model", 0, "string", length=8),
        point("serial_number", 8, "string", length=8, encoding=Encoding.UTF_16),
        point("active_power_total", 16, scale_factor=20, unit="W"),
        point("voltage_l1", 17, "uint16", scale_factor=21, unit="V"),
        point("voltage_l2", 18, "uint16", scale_factor=21, unit="V"),
        point("current_l1", 19, "uint16", scale_factor=22, unit="A"),
        point("active_energy_import", 23, "bcd32", scale=Fraction("0.1"), unit="kW.h"),
        point(
            "active_energy_export",
            25,
            "uint16",
            scale=Fraction(1000),
            sum=(Addend(address=26, scale=Fraction("0.1")),),
            unit="kW.h",
        ),
        point("room_temperature", 27, "float16", unit="Cel"),
        point("status", 28, "uint16", bits="4-7", labels={3: "running", 4: "stopped"}),
        point("filter_alarm", 28, "bool", bit=0),
        time_s=time_s,
        order=order,
    )
    assert (seen["model"], seen["serial_number"]) == ("Emulated", "inverter")
    assert 0 < seen["active_power_total"] < 10_000
    assert 220 < seen["voltage_l1"] < 240
    assert 0 < seen["current_l1"] < 20
    assert seen["active_energy_import"] >= 0
    assert seen["active_energy_export"] >= 0
    assert 18 < seen["room_temperature"] < 24
    assert (seen["status"], seen["filter_alarm"]) == (3, False)


def test_points_that_share_a_scale_factor_are_shown_with_the_same():
    """The first of them decides, and whoever reads the factor itself reads that."""
    seen = shown(
        point("factor", 21),
        point("voltage_l1", 17, "uint16", scale_factor=21, unit="V"),
        point("active_power_l1", 18, "uint16", scale_factor=21, unit="W"),
    )
    assert seen["factor"] == -1
    assert 220 < seen["voltage_l1"] < 240
    assert 300 < seen["active_power_l1"] < 3000


def test_bits_are_shown_before_the_number_that_they_are_part_of():
    """A register of flags that is also read as a whole has the flags in it, and not both."""
    seen = shown(
        point("step", 5, "uint16", bits="0-3", labels={4: "full"}),
        point("whole", 5, "uint16"),
        point("on", 5, "bool", bit=7),
    )
    assert seen["whole"] & 0b1111 == seen["step"] == 4
    assert bool(seen["whole"] >> 7 & 1) is seen["on"]


def test_what_lies_between_the_parts_of_a_point_is_left_to_others():
    """A number far from its scale factor does not wipe out what is between them."""
    alone = shown(point("room_temperature", 1, unit="Cel"))
    both = shown(point("room_temperature", 1, unit="Cel"), point("power", 0, scale_factor=2, unit="W"))
    assert both["room_temperature"] == alone["room_temperature"]
