"""What is said to whoever types while `simulate` runs."""

from __future__ import annotations

import pytest

from agent.cli.stage import Stage
from agent.faults import Kind


class Served:
    """An emulated link that can be anything but slow."""

    def __init__(self) -> None:
        self.address = "nowhere:1"
        self.faults = {}

    def inflict(self, name, fault):
        if fault is None:
            self.faults.pop(name, None)
        elif fault.kind is Kind.SLOW:
            raise ValueError("slow: not here")
        else:
            self.faults[name] = (*self.faults.get(name, ()), fault)


@pytest.fixture
def stage():
    stage = Stage()
    stage.add("line-1", ["meter-1", "meter-2"], Served())
    stage.add("line-2", ["fan"], Served())
    return stage


def test_an_order_is_answered_with_what_holds_by_then(stage):
    """Faults add up, until a device is good; a link is addressed like a device."""
    assert stage.told("meter-1 late 2s") == "meter-1: late:2s"
    assert stage.told("meter-1 truncated") == "meter-1: late:2s, truncated"
    assert stage.told("line-2 silent") == "line-2: silent"
    assert stage.told("list").splitlines() == ["meter-1: late:2s, truncated", "line-2: silent"]
    assert stage.told("meter-1 good") == "meter-1: good"
    assert stage.told("line-2 good") == "line-2: good"
    assert stage.told("list") == "all are good"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", ""),
        ("   ", ""),
        ("metre-1 silent", "there is no metre-1 here; there are meter-1, meter-2, line-1, fan, line-2"),
        ("meter-1 sleepy", "found 'sleepy'"),
        ("meter-1", "found 'meter-1'"),
        ("fan slow", "slow: not here"),
    ],
)
def test_a_mistake_is_answered_and_changes_nothing(stage, typed, said):
    """Whoever mistypes goes on typing."""
    assert said in stage.told(typed)
    assert stage.told("list") == "all are good"


def test_help_shows_every_fault(stage):
    """And an example of each form."""
    shown = stage.told("help")
    assert all(kind.value in shown for kind in Kind)
    assert "meter-3 late 2s" in shown
