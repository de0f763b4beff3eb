"""A name in the configuration -> the module that does it: ours, or one that another package brings.

Knows where plug-ins live and what each group must have, not what they do. Ours are the modules of `drivers`,
`agent.formats` and `agent.uplinks` that have the settings of their group (others there are parts of one). Another
package names its modules in the entry-point groups `diaccess_agent.drivers`, `.formats` and `.uplinks`; they are
looked up only for names that are not ours, because that look-up costs 55 ms.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
from types import ModuleType
from typing import Any, Final, NamedTuple, cast

from agent.interfaces import Driver
from agent.upstream import Format, Uplink


class _Group(NamedTuple):
    package: str
    settings: str
    noun: str


GROUPS: Final = {
    "drivers": _Group("drivers", "LinkSettings", "driver"),
    "formats": _Group("agent.formats", "FormatSettings", "format"),
    "uplinks": _Group("agent.uplinks", "UplinkSettings", "kind of uplink"),
}

_MODULE_NAME = re.compile(r"[a-z][a-z0-9_]*")


def find(group: str, name: str) -> ModuleType:
    """Import the plug-in of this name.

    Raises `LookupError` with the known names when there is none; `ImportError` when there is one that is broken.
    """
    package = GROUPS[group].package
    if _MODULE_NAME.fullmatch(name) and importlib.util.find_spec(f"{package}.{name}"):
        module = _imported(group, name)
        if module is not None:
            return module
    for entry_point in _entry_points(group):
        if entry_point.name == name:
            try:
                return _checked(group, name, entry_point.load())
            except Exception as error:
                raise ImportError(_broken(group, name, error)) from error
    raise LookupError(f"unknown {GROUPS[group].noun} {name!r}; there are {', '.join(names(group))}")


def driver(name: str) -> Driver:
    """The driver of this name; raises as `find` does."""
    return cast("Driver", find("drivers", name))


def format_(name: str) -> Format:
    """The format of this name; raises as `find` does."""
    return cast("Format", find("formats", name))


def uplink(name: str) -> Uplink:
    """The uplink of this name; raises as `find` does."""
    return cast("Uplink", find("uplinks", name))


def settings_type(group: str, name: str) -> type[Any]:
    """The settings of the plug-in of this name; raises as `find` does."""
    settings: type[Any] = getattr(find(group, name), GROUPS[group].settings)
    return settings


def names(group: str) -> tuple[str, ...]:
    """All names that `find` knows, sorted. Imports every module of ours in the group: for errors and schemas."""
    package = importlib.import_module(GROUPS[group].package)
    listed = (entry.name for entry in pkgutil.iter_modules(package.__path__))
    ours = {name for name in listed if _MODULE_NAME.fullmatch(name) and _is_plugin(group, name)}
    theirs = {entry_point.name for entry_point in _entry_points(group)}
    return tuple(sorted(ours | theirs))


def _is_plugin(group: str, name: str) -> bool:
    try:
        return _imported(group, name) is not None
    except ImportError:
        return True  # It is meant to be one, and says so itself when it is asked for.


def _imported(group: str, name: str) -> ModuleType | None:
    """Import a module of ours; `None` when it is no plug-in but a part of one."""
    try:
        module = importlib.import_module(f"{GROUPS[group].package}.{name}")
    except Exception as error:
        raise ImportError(_broken(group, name, error)) from error
    return module if hasattr(module, GROUPS[group].settings) else None


def _checked(group: str, name: str, module: Any) -> ModuleType:
    if not isinstance(module, ModuleType) or not hasattr(module, GROUPS[group].settings):
        raise TypeError(f"the entry point {name} leads to no module with {GROUPS[group].settings}")
    return module


def _broken(group: str, name: str, error: Exception) -> str:
    return f"the {GROUPS[group].noun} {name} cannot be imported: {type(error).__name__}: {error}"


def _entry_points(group: str) -> Any:
    from importlib.metadata import entry_points  # noqa: PLC0415  55 ms and 6 MB, for names that are not ours

    return entry_points(group=f"diaccess_agent.{group}")
