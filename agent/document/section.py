"""A section of keys, read into the type that declares them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent.document.nodes import MappingNode, Node, ScalarNode, mark_of
from agent.document.problem import SHOWN, meant, one_of
from agent.document.walk import WRONG, Json, Kind, Walk, is_nothing

INCLUDED: Final = "included"
_INCLUDED_SCHEMA: Final = {
    "type": "string",
    "pattern": "[./]",
    "description": "!include PATH: what that file holds, as if it were written here",
}


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
            return walk.unlike(self, node, name)
        fields = self.fields
        given: dict[str, Node] = {}
        values: dict[str, Any] = {}
        sound = True
        for key_node, value_node in node.value or ():
            key = key_node.value
            field = fields.get(key) if type(key_node) is ScalarNode and not key_node.tag else None
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
        inner = next((each.key for each in self.fields.values() if _holds(each.kind, key)), None)
        if inner:
            walk.problem(node, f"{key}: unknown key in this {self.noun}: it belongs under {inner}")
            return
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
            # Holds the place while the fields, which may refer to it, are asked.
            definitions[self.title] = {}
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


def _holds(kind: Kind, key: str) -> bool:
    """Whether a setting of this kind is a section that has this key."""
    section = getattr(kind, "kind", kind)  # of one that may be left out
    return isinstance(section, Section) and key in section.fields
