"""Settings that are made of others without a type of their own: lists, tables, and what may be this or that."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from agent.document.nodes import MappingNode, Node, ScalarNode, SequenceNode
from agent.document.problem import shown
from agent.document.section import Section
from agent.document.walk import WRONG, Json, Kind, Walk, is_nothing, is_plain

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """Entries of one kind, read into a tuple or another collection."""

    entry: Kind
    make: Callable[[Iterable[Any]], Any] = tuple
    least: int = 0
    greatest: int | None = None

    secret = False

    @property
    def expected(self) -> str:
        """A list, and how long."""
        return "a list" + _bounds(self.least, self.greatest)

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Read every entry. A list without a line in it is an empty one."""
        if type(node) is not SequenceNode and not is_nothing(node):
            return walk.unlike(self, node, name, ": begin each entry with `- `, or write [...]")
        entry = self.entry
        values = [
            walk.tagged(entry, each, name) if each.tag else entry.read(each, walk, name)
            for each in node.value
        ]
        if not _fits(len(node.value), self.least, self.greatest):
            return walk.problem(node, f"{name}: expected {self.expected}; found {len(node.value)}")
        return WRONG if WRONG in values else self.make(values)

    def schema(self, definitions: Json) -> Json:
        """An array; empty where nothing is written."""
        schema: Json = {"type": ["array", "null"], "items": self.entry.schema(definitions)}
        if self.least:
            schema |= {"type": "array", "minItems": self.least}
        return schema if self.greatest is None else schema | {"maxItems": self.greatest}

    def written(self, value: Any) -> Any:
        """Its entries."""
        return [self.entry.written(each) for each in value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Keys that are names or numbers of the user's own."""

    key: Kind
    entry: Kind
    least: int = 0
    greatest: int | None = None

    secret = False

    @property
    def expected(self) -> str:
        """A table, and of what."""
        return f"a section whose keys are each {self.key.expected}" + _bounds(self.least, self.greatest)

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Read every key and value."""
        if type(node) is not MappingNode and not is_nothing(node):
            return walk.unlike(self, node, name)
        values: dict[Any, Any] = {}
        sound = True
        for key_node, value_node in node.value or ():
            key = (
                walk.tagged(self.key, key_node, name) if key_node.tag else self.key.read(key_node, walk, name)
            )
            inner = shown(key_node.value)[1:-1] if type(key_node) is ScalarNode else name
            value = (
                walk.tagged(self.entry, value_node, inner)
                if value_node.tag
                else self.entry.read(value_node, walk, inner)
            )
            if key is WRONG or value is WRONG:
                sound = False
            elif key in values:
                sound = False
                walk.problem(key_node, f"{name}: {inner} is given twice")
            else:
                values[key] = value
        if not _fits(len(node.value), self.least, self.greatest):
            return walk.problem(node, f"{name}: expected {self.expected}; found {len(node.value)}")
        return values if sound else WRONG

    def schema(self, definitions: Json) -> Json:
        """An object; its keys are texts to an editor, whatever they are here."""
        return {"type": ["object", "null"], "additionalProperties": self.entry.schema(definitions)}

    def written(self, value: Any) -> Any:
        """Its entries."""
        return {str(self.key.written(key)): self.entry.written(each) for key, each in value.items()}


@dataclass(frozen=True, slots=True)
class OrNothing:
    """What may be left empty: `None`."""

    kind: Kind

    @property
    def expected(self) -> str:
        """The same; that it may be nothing need not be said."""
        return self.kind.expected

    @property
    def secret(self) -> bool:
        """Whether a secret belongs here."""
        return self.kind.secret

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Read nothing, or else the value."""
        if type(node) is ScalarNode and node.value in _NULLS and is_plain(node):
            return None
        return self.kind.read(node, walk, name)

    def schema(self, definitions: Json) -> Json:
        """The same, or null."""
        schema = self.kind.schema(definitions)
        if isinstance(types := schema.get("type"), str | list):
            return schema | {
                "type": list(dict.fromkeys([*([types] if isinstance(types, str) else types), "null"]))
            }
        if "anyOf" in schema:
            return {"anyOf": [*schema["anyOf"], {"type": "null"}]}
        return {"anyOf": [schema, {"type": "null"}]}

    def written(self, value: Any) -> Any:
        """The same; nothing is not worth showing."""
        return self.kind.written(value)


@dataclass(frozen=True, slots=True)
class Either:
    """One of several kinds: at most one of sections or tables, one list, and any number of words, tried in order."""

    kinds: tuple[Kind, ...]

    @property
    def expected(self) -> str:
        """Any of them."""
        return " or ".join(dict.fromkeys(kind.expected for kind in self.kinds))

    @property
    def secret(self) -> bool:
        """Whether a secret belongs here."""
        return any(kind.secret for kind in self.kinds)

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Read by the shape of what is there."""
        sections = [kind for kind in self.kinds if isinstance(kind, Section | Table)]
        lists = [kind for kind in self.kinds if isinstance(kind, List)]
        if sections and type(node) is MappingNode:
            return sections[0].read(node, walk, name)
        if lists and type(node) is SequenceNode:
            return lists[0].read(node, walk, name)
        for kind in self.kinds:
            if kind in sections or kind in lists:
                continue
            problems, warnings = len(walk.problems), len(walk.warnings)
            value = kind.read(node, walk, name)
            if value is not WRONG:
                return value
            del walk.problems[problems:], walk.warnings[warnings:]
        if self.secret:
            return walk.problem(node, f"{name}: expected {self.expected}; found something else")
        return walk.unexpected(self, node, name)

    def schema(self, definitions: Json) -> Json:
        """Any of them."""
        return {"anyOf": [kind.schema(definitions) for kind in self.kinds]}

    def written(self, value: Any) -> Any:
        """By the first that can."""
        for kind in self.kinds:
            try:
                return kind.written(value)
            except (LookupError, TypeError, AttributeError):
                continue
        raise LookupError(value)


def _fits(count: int, least: int, greatest: int | None) -> bool:
    return count >= least and (greatest is None or count <= greatest)


def _bounds(least: int, greatest: int | None) -> str:
    if greatest is not None:
        return f" of {least} to {greatest}" if least else f" of at most {greatest}"
    return f" of at least {least}" if least else ""
