"""Settings that are made of others: sections of keys, lists, tables, alternatives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.document.nodes import MappingNode, Node, ScalarNode, SequenceNode, mark_of
from agent.document.problem import SHOWN, meant, one_of, shown
from agent.document.walk import WRONG, Json, Kind, Walk, is_nothing, is_plain

INCLUDED: Final = "included"
_INCLUDED_SCHEMA: Final = {
    "type": "string",
    "pattern": "[./]",
    "description": "!include PATH: what that file holds, as if it were written here",
}

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key of a section."""

    key: str
    """As it is written."""
    name: str
    """The attribute that it becomes."""
    kind: Kind
    required: bool
    default: Any
    """`None` where there is none that can be shown."""
    description: str | None


class Section:
    """A section of keys, read into the type that declares them."""

    secret = False

    def __init__(
        self, type_: type[Any], noun: str, title: str, summary: str, fields: Callable[[], list[Field]]
    ) -> None:
        """`fields` is asked when they are first needed: a section may hold others of its own kind."""
        self.type = type_
        self.noun = noun
        self.title = title
        self.expected = f"a section with the keys of {'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
        self._summary = summary
        self._declared = fields
        self._known: dict[str, Field] | None = None

    @property
    def fields(self) -> Mapping[str, Field]:
        """By key, in the order of their declaration."""
        if self._known is None:
            self._known = {field.key: field for field in self._declared()}
        return self._known

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Read every key, and then make the whole, if each was right. A section without a line in it is an empty one."""
        if type(node) is not MappingNode and not is_nothing(node):
            return _no(self, node, walk, name)
        fields = self.fields
        given: dict[str, Node] = {}
        values: dict[str, Any] = {}
        sound = True
        for key_node, value_node in node.value or ():
            key = key_node.value
            field = fields.get(key) if type(key_node) is ScalarNode else None
            if field is None:
                sound = False
                self._unknown(key_node, walk, given)
                continue
            if key in given:
                sound = False
                walk.problem(key_node, f"{key}: given twice: the first is at {mark_of(given[key])}")
                continue
            given[key] = key_node
            kind = field.kind
            value = walk.tagged(kind, value_node, key) if value_node.tag else kind.read(value_node, walk, key)
            if value is WRONG:
                sound = False
            else:
                values[field.name] = value
        for field in fields.values():
            if field.required and field.key not in given:
                sound = False
                walk.problem(
                    node, f"{field.key}: missing from this {self.noun}: expected {field.kind.expected}"
                )
        return self._made(values, node, walk, name) if sound else WRONG

    def _unknown(self, node: Node, walk: Walk, given: Mapping[str, Node]) -> None:
        if type(node) is not ScalarNode or node.tag:
            walk.problem(node, f"{self.noun}: expected a word as the key; found something else")
            return
        if node.value == "<<":
            walk.problem(
                node, "<<: merge keys are not used here: put what is shared into a profile or an !include"
            )
            return
        # A key is one word. More than that is a line that lacks its colon, and it may be the one with a password.
        key = re.match(r"[\w.-]*", node.value)[0][:SHOWN]  # type: ignore[index]  # it matches nothing at least
        rest = "..." if len(key) < len(node.value) else ""
        hint = meant(key, [each for each in self.fields if each not in given] or self.fields)
        known = "" if hint else f": expected {one_of(self.fields)}"
        if key.isdigit():
            known = ": a decimal comma? Numbers have a point: 0.1"
        walk.problem(node, f"{key or 'a key'}{rest}: unknown key in this {self.noun}{hint}{known}")

    def _made(self, values: dict[str, Any], node: Node, walk: Walk, name: str) -> Any:
        try:
            return self.type(**values)
        except ValueError as error:
            # What does not fit together, as the type itself says: `gap: ...` is about that key.
            words = str(error)
            key = words.partition(":")[0]
            for key_node, value_node in node.value or ():
                if key_node.value == key:
                    return walk.problem(value_node, words)
            return walk.problem(node, words if key in self.fields else f"{name}: {words}")

    def schema(self, definitions: Json) -> Json:
        """A reference to its definition, or to a file that holds it."""
        if self.title not in definitions:
            definitions[
                self.title
            ] = {}  # Holds the place while the fields, which may refer to it, are asked.
            definitions[self.title] = self.definition(definitions)
        definitions[INCLUDED] = _INCLUDED_SCHEMA
        return {"anyOf": [{"$ref": f"#/$defs/{self.title}"}, {"$ref": f"#/$defs/{INCLUDED}"}]}

    def definition(self, definitions: Json, constants: Mapping[str, str] | None = None) -> Json:
        """The keys; those in `constants` have one value only."""
        properties: Json = {}
        for key, field in self.fields.items():
            shape = (
                {"const": constants[key]}
                if constants and key in constants
                else field.kind.schema(definitions)
            )
            about = dict.fromkeys(text for text in (field.description, shape.get("description")) if text)
            properties[key] = shape | ({"description": " ".join(about)} if about else {})
            if field.default is not None:
                properties[key]["default"] = field.default
        required = [field.key for field in self.fields.values() if field.required]
        schema: Json = {
            "type": "object" if required else ["object", "null"],
            "description": self._summary,
            "properties": properties,
            "additionalProperties": False,
        }
        return schema | ({"required": required} if required else {})

    def written(self, value: Any) -> Any:
        """Not in a word."""
        raise LookupError(value)


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
            return _no(self, node, walk, name)
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
            return _no(self, node, walk, name)
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


def _no(kind: Kind, node: Node, walk: Walk, name: str) -> Any:
    """Report another kind of node. A word is not shown here: it may be a password that lost its key."""
    if type(node) is not ScalarNode:
        return walk.unexpected(kind, node, name)
    hint = ": begin each entry with `- `, or write [...]" if isinstance(kind, List) else ""
    return walk.problem(node, f"{name}: expected {kind.expected}; found a text{hint}")


def _fits(count: int, least: int, greatest: int | None) -> bool:
    return count >= least and (greatest is None or count <= greatest)


def _bounds(least: int, greatest: int | None) -> str:
    if greatest is not None:
        return f" of {least} to {greatest}" if least else f" of at most {greatest}"
    return f" of at least {least}" if least else ""
