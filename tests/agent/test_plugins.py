"""A name in the configuration is a module of ours, or else of another package."""

import importlib.metadata
import subprocess
import sys

import pytest

from agent import plugins


@pytest.fixture
def brought(monkeypatch):
    """Entry points as installed packages declare them."""
    points = [
        importlib.metadata.EntryPoint(name, f"tests.emulators.plugins.{module}", "diaccess_agent.drivers")
        for name, module in (
            ("attic", "attic"),
            ("broken-one", "broken"),
            ("empty", "empty"),
            ("modbus", "attic"),
        )
    ]
    monkeypatch.setattr(plugins, "_entry_points", lambda group: points if group == "drivers" else [])


def test_ours_are_found_by_their_file():
    """Whatever kind they are."""
    assert plugins.find("drivers", "simulated") is plugins.driver("simulated")
    assert plugins.find("formats", "json") is plugins.format_("json")
    assert plugins.find("uplinks", "mqtt") is plugins.uplink("mqtt")
    assert plugins.settings_type("drivers", "simulated").__name__ == "LinkSettings"


def test_ours_come_first(brought):
    """No installed package takes the place of a driver of ours."""
    assert plugins.find("drivers", "modbus").__name__ == "drivers.modbus"


def test_those_of_others_are_found_by_entry_point(brought):
    """In a group of their own for each kind."""
    assert plugins.find("drivers", "attic").__name__ == "tests.emulators.plugins.attic"
    assert {"attic", "broken-one", "modbus", "simulated"} <= set(plugins.names("drivers"))
    assert "attic" not in plugins.names("uplinks")


@pytest.mark.parametrize(
    "name", ["modbsu", "", "__init__", "../cli", "modbus.link", "os", "MODBUS", "modbus\n"]
)
def test_an_unknown_name_is_said_with_the_known_ones(name):
    """And nothing is imported by it."""
    with pytest.raises(LookupError, match=r"unknown driver .*; there are modbus, simulated"):
        plugins.find("drivers", name)


@pytest.mark.parametrize("name", ["broken-one", "empty"])
def test_a_broken_one_says_what_is_wrong(brought, name):
    """Its error is the cause; a module without settings is no plug-in."""
    with pytest.raises(ImportError, match=f"the driver {name} cannot be imported: .*(libattic|LinkSettings)"):
        plugins.find("drivers", name)


def test_entry_points_are_not_looked_up_for_names_of_ours():
    """That would cost every start 55 ms."""
    program = "import sys; from agent import plugins; plugins.find('drivers', 'simulated'); print('importlib.metadata' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert printed == "False\n"
