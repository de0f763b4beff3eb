"""What must be known of commands after a restart is, and what a disk left of it cannot stop the agent."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from agent.cli.write import CODES
from agent.command import CommandState
from agent.commands import Records
from agent.memory import MemoryFile
from tests.emulators import virtual_time
from tests.emulators.writable import Clock


async def kept():
    return True


@pytest.mark.parametrize(
    "damage",
    [
        {"commands": 7},
        {"commands": [{"id": 1}], "leases": [{}], "written": [["a"]]},
        {"leases": [{"device": "vent-1", "point": "setpoint", "length_ns": "for ever"}]},
    ],
)
def test_damage(damage):
    """What makes no sense is as if never learnt, and said."""
    memory = MemoryFile()
    memory.content = {"commands": damage}

    async def run():
        return Records(memory.part("commands"), Clock(), kept)

    with capture_logs() as logs:
        records = virtual_time.run(run())
    assert records.leases == {}
    assert records.interrupted == []
    assert {entry["event"] for entry in logs} == {"memory.unreadable"}


def test_a_disk_that_hangs():
    """It is given up after a while: what is not written down is not done."""

    async def hangs():
        await asyncio.sleep(3600)
        return True

    async def run():
        return await Records(MemoryFile().part("commands"), Clock(), hangs).keep()

    assert virtual_time.run(run()) is False


def test_states_are_those_that_the_command_line_knows():
    """Each has an exit code."""
    assert set(CODES) == {state.value for state in CommandState}
