"""The device types that come with the agent, all of them: for `scan`, which does not know what it will find, and for tests.

Reading them takes a moment, so nothing else does: a configuration reads those that it names.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from agent import document
from drivers.modbus.profile import Profile

FOLDER = Path(__file__).parent / "profiles"


@cache
def profiles() -> dict[str, Profile]:
    """By name, in alphabetical order. Raises `agent.document.Problems` when one of them is wrong."""
    found: dict[str, Profile] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        read = document.read(Profile, path)
        if read.settings is None:
            raise document.Problems(read.problems)
        found[path.stem] = read.settings
    return found
