"""Names of serial ports that stay, and what is said of those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import Clock
from agent.interfaces import Context, Unavailable
from agent.memory import MemoryFile
from drivers.modbus import open as open_link
from drivers.modbus import owner, warnings
from drivers.modbus.line import ports
from drivers.modbus.line.ends import Serial
from drivers.modbus.settings import LinkSettings


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """Two adapters: one has a name of its own, the other only that of its socket. Gives the folder of all devices."""
    by_id, by_path = tmp_path / "by-id", tmp_path / "by-path"
    for folder in (by_id, by_path):
        folder.mkdir()
    for name, number in (("by-id/usb-FTDI", 0), ("by-path/pci-1", 0), ("by-path/pci-2", 1)):
        (tmp_path / f"ttyUSB{number}").touch()
        (tmp_path / name).symlink_to(tmp_path / f"ttyUSB{number}")
    monkeypatch.setattr(ports, "FOLDERS", (by_id, by_path))
    return tmp_path


def link(port: Path) -> LinkSettings:
    return LinkSettings(id="line", driver="modbus", serial=Serial(port=port), devices=())


def test_lasting_names(plugged):
    """The adapter's own, else that of its socket; one of each."""
    assert ports.lasting_name(plugged / "ttyUSB0") == plugged / "by-id/usb-FTDI"
    assert ports.lasting_name(plugged / "ttyUSB1") == plugged / "by-path/pci-2"
    assert ports.lasting_name(plugged / "ttyUSB2") is None
    assert ports.lasting_names() == [plugged / "by-id/usb-FTDI", plugged / "by-path/pci-2"]


def test_one_line_by_two_names_has_one_owner(plugged):
    """Its real path owns it, however it is written."""
    assert owner(link(plugged / "by-id/usb-FTDI")) == owner(link(plugged / "by-path/pci-1"))


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (
            "/dev/ttyUSB7",
            "port: /dev/ttyUSB7 may be another adapter after the next start: write its name under",
        ),
        ("/dev/ttyACM0", "port: /dev/ttyACM0 may be"),
        ("/dev/serial/by-id/usb-FTDI", None),
        ("/dev/ttyAMA0", None),
        ("/dev/ttyS1", None),
    ],
)
def test_a_name_that_may_be_another_ones_tomorrow(port, words):
    """The kernel numbers adapters as it finds them; what is soldered to the board keeps its name."""
    said = list(warnings(link(Path(port))))
    assert [path for path, _ in said] == ([("serial", "port")] if words else [])
    assert all(message.startswith(words or "") for _, message in said)


def test_the_warning_names_the_lasting_one(plugged, monkeypatch):
    """If the adapter is plugged in here."""
    monkeypatch.setattr("drivers.modbus.fitting.UNSTABLE", ports.re.compile(".*/ttyUSB0"))
    [(_, message)] = warnings(link(plugged / "ttyUSB0"))
    assert message.endswith(f"write {plugged / 'by-id/usb-FTDI'} instead")


async def test_what_is_plugged_in_instead_is_said(plugged):
    """Where there is no such port."""
    with pytest.raises(Unavailable, match=f"plugged in. There are {plugged / 'by-id/usb-FTDI'}, {plugged}"):
        async with open_link(link(plugged / "by-id/usb-gone"), Context(Clock(), MemoryFile().part("test"))):
            pass
