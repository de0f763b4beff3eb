"""Settings that lie elsewhere: those of a plug-in, whose module is named by one of their keys, and those in a file."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent import plugins
from agent.document.nodes import MappingNode, Node, ScalarNode, entry, mark_of
from agent.document.problem import closest, listed, meant, one_of, shown
from agent.document.section import INCLUDED, Section
from agent.document.source import ABSENT
from agent.document.walk import WRONG, Json, Kind, Plug, Walk, is_nothing
from agent.fields import Filed, Plugged

_FILE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
"""A name or a path downwards: no `..` and nothing absolute."""


@dataclass(frozen=True, slots=True)
class PluginSettings:
    """The settings of the plug-in whose name stands under a key of theirs; alone, the name with all else at default."""

    plugged: Plugged
    section_of: Callable[[type[Any]], Section]

    secret = False

    @property
    def expected(self) -> str:
        """A section, and which key must be in it."""
        return f"a section with the key {self.plugged.key} ({one_of(self._names())})"

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Find the module that is named, and read its settings."""
        key = self.plugged.key
        if type(node) is ScalarNode and not node.tag and not is_nothing(node):
            return self._settings(node, entry(key, node), walk, name)
        if type(node) is not MappingNode:
            return walk.unexpected(self, node, name)
        chosen = next((value for each, value in node.value if each.value == key), None)
        if chosen is None:
            near = closest(key, [each.value for each, _ in node.value if isinstance(each.value, str)])
            words = f"; is it what {near} stands for?" if near else ""
            return walk.problem(
                node, f"{key}: missing from this {self._noun}: expected {one_of(self._names())}{words}"
            )
        if chosen.tag == ABSENT:
            return WRONG
        if not isinstance(chosen, ScalarNode) or chosen.tag:
            return walk.problem(chosen, f"{key}: expected {one_of(self._names())}; found something else")
        return self._settings(chosen, node, walk, key)

    def _settings(self, chosen: ScalarNode, node: Node, walk: Walk, name: str) -> Any:
        group = self.plugged.group
        try:
            module = plugins.find(group, chosen.value)
            section = self.section_of(plugins.settings_type(group, chosen.value))
            section.fields  # noqa: B018  raises for a type that cannot be a setting
        except LookupError:
            names = self._names()
            hint = meant(chosen.value, names)
            return walk.problem(
                chosen, f"{name}: expected {one_of(names)}; found {shown(chosen.value)}{hint}"
            )
        except (ImportError, TypeError) as error:
            return walk.problem(chosen, f"{name}: expected a plug-in that works; {error}")
        settings = section.read(node, walk, name)
        if settings is not WRONG:
            walk.plugs.append(Plug(group, chosen.value, module, settings, node))
        return settings

    @property
    def _noun(self) -> str:
        return {"drivers": "link", "uplinks": "uplink", "formats": "format"}[self.plugged.group]

    def _names(self) -> tuple[str, ...]:
        return plugins.names(self.plugged.group)

    def schema(self, definitions: Json) -> Json:
        """Any of the plug-ins that are installed, told apart by the key; where nothing else is required, the name alone."""
        key = self.plugged.key
        shapes: list[Json] = []
        alone: list[str] = []
        for name in self._names():
            section = self.section_of(plugins.settings_type(self.plugged.group, name))
            title = f"{self.plugged.group}.{name}"
            definitions[title] = section.definition(definitions, {key: name})
            shapes.append({"$ref": f"#/$defs/{title}"})
            if not any(field.required for field in section.fields.values() if field.key != key):
                alone.append(name)
        words: list[Json] = [{"enum": alone}] if alone else []
        return {"anyOf": [*shapes, *words, {"$ref": f"#/$defs/{INCLUDED}"}]}

    def written(self, value: Any) -> Any:
        """Not in a word."""
        raise LookupError(value)


@dataclass(frozen=True, slots=True)
class FiledSettings:
    """Settings that are written here, or in a file that is named here: read once, and shared by all that name it."""

    filed: Filed
    kind: Kind

    secret = False

    @property
    def expected(self) -> str:
        """A name, or the thing itself."""
        return f"the name of a YAML file (without .yaml), or {self.kind.expected}"

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Read the file beside the one that names it, or else the one that comes with the agent."""
        if type(node) is not ScalarNode or is_nothing(node):
            return self.kind.read(node, walk, name)
        here = os.path.dirname(mark_of(node).file)  # noqa: PTH120  shown as it is named: Path would drop a leading ./
        path = self._path(here, node.value)
        if path is None:
            known = self._known(Path(here), Path(mark_of(node).file).stem)
            words = meant(node.value, known) or f": there are {listed(known)}"
            return walk.problem(
                node,
                f"{name}: expected the name of a file beside this one or of one that comes with the agent, "
                f"without .yaml; found {shown(node.value)}{words}",
            )
        key = (path, id(self.kind))
        if key not in walk.filed:
            walk.filed[key] = None
            root = walk.files.read(path, mark_of(node))
            value: Any = WRONG
            if root is not None:
                value = walk.tagged(self.kind, root, name) if root.tag else self.kind.read(root, walk, name)
            walk.filed[key] = value, root
        held = walk.filed[key]
        if held is None:
            return walk.problem(node, f"{name}: {path} is being read already: a file cannot name itself")
        value, root = held
        if root is not None:
            walk.named[id(node)] = root
        return value

    def _path(self, here: str, name: str) -> str | None:
        if not _FILE_NAME.fullmatch(name):
            return None
        for folder in (here, *self._folders()):
            path = os.path.join(folder, f"{name}.yaml")  # noqa: PTH118  as above
            if os.path.isfile(path):  # noqa: PTH113  as above
                return path
        return None

    def _folders(self) -> list[str]:
        try:
            spec = importlib.util.find_spec(self.filed.folder)
        except ModuleNotFoundError:
            spec = None
        return list(spec.submodule_search_locations or ()) if spec else []

    def _known(self, here: Path, besides: str) -> list[str]:
        """Names of the files that could have been meant: those that come with the agent, then those beside."""
        theirs = [path.stem for folder in self._folders() for path in Path(folder).glob("*.yaml")]
        beside = {path.stem for path in here.glob("*.yaml")} - {besides}
        return [*sorted(theirs), *sorted(beside - set(theirs))]

    def schema(self, definitions: Json) -> Json:
        """A name, or the thing itself."""
        name = {
            "type": ["string", "number"],
            "pattern": f"^{_FILE_NAME.pattern}$",
            "description": "NAME of a file, without .yaml.",
        }
        return {"anyOf": [name, self.kind.schema(definitions)]}

    def written(self, value: Any) -> Any:
        """Not in a word."""
        raise LookupError(value)
