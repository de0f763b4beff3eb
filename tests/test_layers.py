"""What may import what: the layers, the doors for third parties, and the modules that call themselves pure.

A *unit* is what has a place in the layers: a module of `agent`, a package of it, one format, one uplink, one driver.
Inside a unit imports are free. Every import counts, also one inside a function or under a condition.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = (
    {
        "agent",
        "agent.command",
        "agent.faults",
        "agent.fields",
        "agent.newest",
        "agent.recording",
        "agent.sample",
        "agent.silence",
        "agent.timing",
        "agent.topics",
        "agent.units",
    },
    {
        "agent.aside",
        "agent.clock",
        "agent.commissioning",
        "agent.document",
        "agent.interfaces",
        "agent.journal",
        "agent.log",
        "agent.memory",
        "agent.plugins",
        "agent.points",
        "agent.secrets",
        "agent.service",
        "agent.tls",
        "agent.upstream",
    },
    {"agent.buffer", "agent.formats", "agent.supervisor", "agent.uplinks", "drivers"},
    {
        "agent.collector",
        "agent.commands",
        "agent.control",
        "agent.delivery",
        "agent.forwarder",
        "agent.gatherer",
        "agent.gathering",
        "agent.guests",
        "agent.health",
        "agent.intake",
        "agent.judging",
        "agent.listening",
        "agent.report",
        "agent.settings",
        "agent.vitals",
    },
    {"agent.__main__", "agent.app", "agent.cli"},
)
"""Lowest first. A unit imports from lower layers, and from its own where that makes no circle."""

SIBLINGS = {"agent.formats", "agent.uplinks", "drivers"}
"""Each module or package in here is a unit of its own, and never imports another."""

STRANGERS = 2
"""The layer whose units do not import each other at all: what varies, and what keeps it going."""

DOORS = {
    "aiomqtt": "agent.uplinks",
    "bleak": "drivers.ble",
    "paho": "agent.uplinks",
    "pymodbus": "drivers.modbus",
    "serial": "drivers.modbus",
    "sqlite3": "agent.buffer",
    "uvloop": "agent.cli",
    "yaml": "agent.document",
}
"""The only place that imports this: what it is made with can then be exchanged there."""

EVERYWHERE = {"msgspec", "structlog"}

PURE = {"agent.fields", "agent.formats", "agent.sample", "agent.timing", "agent.topics", "agent.units"}
"""Pure whatever their docstring says."""

IMPURE = {
    *(
        "asyncio",
        "concurrent",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "random",
        "select",
        "selectors",
        "signal",
    ),
    *("socket", "sqlite3", "ssl", "structlog", "subprocess", "tempfile", "threading"),
}
"""What waits, what reaches outside, what gives another answer each time."""

CLOCKS = re.compile(
    r"time\.(time|monotonic|perf_counter|process_time|clock_gettime|sleep)(_ns)?|\w+\.(now|utcnow|today)"
)
"""The same, in modules that also have pure functions."""


def modules() -> dict[str, Path]:
    """Every module of the two packages by its dotted name."""
    found = {}
    for package in ("agent", "drivers"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"), filename=str(MODULES[module]))


@functools.cache
def imports(module: str) -> frozenset[str]:
    """The full names of all that a module imports; modules of ours where a name is one."""
    return frozenset(_imported(module))


def _imported(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} line {node.lineno}: imports are written in full"
            assert node.module
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def within(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}.")


def unit(module: str) -> str:
    """The unit that a module belongs to."""
    parts = module.split(".")
    for siblings in SIBLINGS:
        if within(module, siblings):
            return ".".join(parts[: siblings.count(".") + 2])
    return ".".join(parts[:2])


def layer(unit_: str) -> int:
    """The number of the layer, 0 for the lowest; a unit that has no place yet is an error."""
    for number, places in enumerate(LAYERS):
        if unit_ in places or any(within(unit_, place) for place in SIBLINGS & places):
            return number
    raise LookupError(
        f"{unit_} has no place in the layers yet: decide, and write it into {Path(__file__).name}"
    )


def graph() -> Mapping[str, set[str]]:
    """Which units import which others of ours."""
    edges: dict[str, set[str]] = {}
    for module in MODULES:
        ours = {unit(name) for name in imports(module) if name.split(".")[0] in {"agent", "drivers"}}
        edges.setdefault(unit(module), set()).update(ours - {unit(module)})
    return edges


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module):
    """A module imports from lower layers, or from its own; what varies never imports its like."""
    mine = layer(unit(module))
    for other in {unit(name) for name in imports(module) if name.split(".")[0] in {"agent", "drivers"}}:
        if other == unit(module) or other in SIBLINGS:  # a folder's own head has nothing in it
            continue
        assert layer(other) <= mine, f"{module} imports {other}, which is above it"
        assert layer(other) < mine or mine != STRANGERS, f"{module} imports {other}, which is beside it"


def test_no_circles():
    """Units do not import each other in a circle."""
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as circle:
        pytest.fail(" imports ".join(reversed(circle.args[1])))


def test_every_place_is_taken():
    """No layer, door or pure module is listed that does not exist (but the packages of drivers to come)."""
    units = set(graph())
    assert {place for places in LAYERS for place in places} <= units | SIBLINGS
    assert {place for place in DOORS.values() if not place.startswith("drivers.")} <= units | SIBLINGS
    assert units | SIBLINGS >= PURE


@pytest.mark.parametrize("module", sorted(MODULES))
def test_third_parties_come_in_by_their_door(module):
    """Each third party, and each part of the standard library with a door, is imported in one place only."""
    for name in imports(module):
        top = name.split(".")[0]
        if top in DOORS:
            assert within(module, DOORS[top]), f"{module} imports {top}; only {DOORS[top]} does"
        else:
            assert top in sys.stdlib_module_names | EVERYWHERE | {"agent", "drivers"}, (
                f"{top} has no door yet"
            )


@pytest.mark.parametrize("module", sorted(name for name in MODULES if within(name, "agent")))
def test_the_agent_knows_no_driver(module):
    """No module of the agent imports a driver by name: all come through `plugins`, as those of others do."""
    assert not [name for name in imports(module) if within(name, "drivers")]


def called_pure() -> list[str]:
    """Modules whose head says so, in a sentence that begins with Pure, and those that have to be."""
    return sorted(
        module
        for module in MODULES
        if any(within(module, place) for place in PURE)
        or re.search(r"(^|[.:]\s+)Pure\b", ast.get_docstring(tree(module)) or "")
    )


@pytest.mark.parametrize("module", called_pure())
def test_pure_is_pure(module):
    """A module that calls itself pure neither waits, nor reaches outside, nor looks at a clock, nor logs."""
    assert not {name.split(".")[0] for name in imports(module)} & IMPURE
    attributes = {ast.unparse(node) for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}
    assert not {attribute for attribute in attributes if CLOCKS.fullmatch(attribute)}
