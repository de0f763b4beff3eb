"""The device types and SunSpec models that come with the agent, all of them: for `scan`, which does not know what it will find, and for tests.

Reading them takes a moment, so nothing else does: a configuration reads those that it names.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypeVar

from agent import document
from drivers.modbus.profile import Profile
from drivers.modbus.sunspec import Model

FOLDER = Path(__file__).parents[1] / "profiles"
MODELS = Path(__file__).parents[1] / "models"

T = TypeVar("T")


@cache
def profiles() -> dict[str, Profile]:
    """By name, in alphabetical order. Raises `agent.document.Problems` when one of them is wrong."""
    return {path.stem: _read(Profile, path) for path in sorted(FOLDER.glob("*.yaml"))}


@cache
def models() -> dict[int, Model]:
    """The models of SunSpec by number. Raises `agent.document.Problems` when one of them is wrong."""
    found = [_read(Model, path) for path in MODELS.glob("*.yaml")]
    return {model.number: model for model in sorted(found, key=lambda model: model.number)}


def _read(type_: type[T], path: Path) -> T:
    read = document.read(type_, path)
    if read.settings is None:
        raise document.Problems(read.problems)
    return read.settings
