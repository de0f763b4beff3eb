"""What of a link does not fit together, and what works and is a mistake more often than not."""

from pathlib import Path

import pytest

from drivers.modbus import DeviceSettings, LinkSettings, problems, warnings
from drivers.modbus.line.ends import Serial
from drivers.modbus.point import Allowed, PointSettings
from drivers.modbus.values.registers import Table, Type


def device(name="d", unit_id=1, addresses=(0,), table="holding", **point):
    points = tuple(
        PointSettings(
            name=f"p{address}", address=address, register_type=Type.INT16, table=Table(table), **point
        )
        for address in addresses
    )
    return DeviceSettings(id=name, unit_id=unit_id, points=points)


def link(*devices, **where):
    return LinkSettings(id="l", driver="modbus", devices=devices or (device(),), **where)


def on_a_line(*devices, port="/dev/serial/by-id/a"):
    return link(*devices, serial=Serial(port=Path(port)))


@pytest.mark.parametrize(
    ("host", "remedy"),
    [
        ("192.0.2.10:502", "write host: 192.0.2.10, port: 502"),
        ("tcp://gateway.example:5020", "write host: gateway.example, port: 5020"),
        ("http://192.0.2.10/", "write 192.0.2.10"),
    ],
)
def test_a_host_is_a_name_or_an_address_alone(host, remedy):
    """A port or a scheme beside it would be looked for as a name, and never be found."""
    assert [message.partition(": write")[1:] for _, message in problems(link(host=host))] == [
        (": write", remedy.removeprefix("write"))
    ]


@pytest.mark.parametrize("host", ["192.0.2.10", "gateway.example", "::1", "fe80::1:502"])
def test_names_and_addresses_of_both_kinds_are_hosts(host):
    """Colons are not yet a port."""
    assert list(problems(link(host=host))) == []


@pytest.mark.parametrize("port", ["ttyUSB0", "COM3"])
def test_a_serial_port_is_named_in_full(port):
    """Else it would be looked for in whatever folder the agent was started from."""
    ((path, message),) = problems(on_a_line(port=port))
    assert path == ("serial", "port")
    assert message.endswith(f"found '{port}'")


def test_two_devices_of_one_unit_id_are_doubted():
    """Nearly always one of them was copied, and shows the values of the other."""
    assert list(warnings(link(device("a", 3), device("b", 4), device("c", 3), host="h"))) == [
        (("devices", 2, "unit_id"), "unit_id: c has 3, as a has: both read the same device")
    ]


@pytest.mark.parametrize("unit_id", [0, 248])
def test_unit_ids_that_nobody_has_on_a_serial_line_are_doubted(unit_id):
    """0 is for all, who stay silent; over TCP both are in use."""
    ((path, message),) = warnings(on_a_line(device(unit_id=unit_id)))
    assert path == ("devices", 0, "unit_id")
    assert message.endswith("expected 1 to 247")
    assert list(warnings(link(device(unit_id=unit_id), host="h"))) == []


def test_a_list_of_nothing_but_plc_numbers_is_doubted_once():
    """Some devices have their registers there; more often somebody copied what the manual prints."""
    assert list(warnings(link(device(addresses=(40001, 40012)), host="h"))) == [
        (
            ("devices", 0, "points", 0, "address"),
            (
                "address: 40001 may be the number that PLCs give to address 0 of table holding, and the line knows "
                "addresses: if so, write 0; else say allow: [plc_number]"
            ),
        )
    ]
    for fine in (
        device(addresses=(40001,), allow=(Allowed.PLC_NUMBER,)),
        device(addresses=(40001, 50000)),
        device(addresses=(40001,), table="input"),
        device(addresses=(0, 40001)),  # refused, not doubted
    ):
        assert list(warnings(link(fine, host="h"))) == []
