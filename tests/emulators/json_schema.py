"""As much of JSON Schema (draft 2020-12) as the schema of the configuration uses: what an editor would complain of.

And YAML as editors read it: the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), in which `on`
and `10s` are texts, `0100` is a hundred, and a value with a tag that the editor was told about is its text.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml

TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
KNOWN = {
    *("$ref", "$defs", "$schema", "additionalProperties", "anyOf", "const", "default", "description", "enum"),
    *(
        "exclusiveMaximum",
        "exclusiveMinimum",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
    ),
    *("minimum", "multipleOf", "pattern", "properties", "required", "type"),
}


def complaints(
    root: dict[str, Any], value: Any, schema: dict[str, Any] | None = None, path: str = "$"
) -> list[str]:
    """What is wrong with a value, each with its path; `root` holds the definitions."""
    schema = root if schema is None else schema
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    found = [*_of_any(schema, value, path)]
    if "$ref" in schema:
        found += complaints(root, value, _definition(root, schema["$ref"]), path)
    if "anyOf" in schema:
        tried = [complaints(root, value, each, path) for each in schema["anyOf"]]
        found += min(tried, key=len)
    if isinstance(value, str):
        found += _of_text(schema, value, path)
    elif TYPES["number"](value):
        found += _of_number(schema, value, path)
    elif isinstance(value, list):
        found += _of_array(root, schema, value, path)
    elif isinstance(value, dict):
        found += _of_object(root, schema, value, path)
    return found


def _of_any(schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    types = schema.get("type", list(TYPES))
    if not any(TYPES[each](value) for each in ([types] if isinstance(types, str) else types)):
        yield f"{path}: {value!r} is no {types}"
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{path}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        yield f"{path}: {value!r} is none of {schema['enum']}"


def _of_array(root: dict[str, Any], schema: dict[str, Any], value: list[Any], path: str) -> list[str]:
    found = []
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        found.append(f"{path}: {len(value)} entries")
    for index, each in enumerate(value if "items" in schema else ()):
        found += complaints(root, each, schema["items"], f"{path}[{index}]")
    return found


def _of_text(schema: dict[str, Any], value: str, path: str) -> list[str]:
    found = []
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{path}: {value!r} does not match {schema['pattern']}")
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        found.append(f"{path}: {value!r} has {len(value)} characters")
    return found


def _of_number(schema: dict[str, Any], value: float, path: str) -> list[str]:
    outside = (
        value < schema.get("minimum", value)
        or value > schema.get("maximum", value)
        or ("exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"])
        or ("exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"])
        or ("multipleOf" in schema and value % schema["multipleOf"])
    )
    return [f"{path}: {value!r} is out of range"] if outside else []


def _of_object(root: dict[str, Any], schema: dict[str, Any], value: dict[str, Any], path: str) -> list[str]:
    found = [f"{path}: {key} is missing" for key in schema.get("required", ()) if key not in value]
    for key, each in value.items():
        inner = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
        if inner is False:
            found.append(f"{path}: {key} is unknown")
        else:
            found += complaints(root, each, inner, f"{path}.{key}")
    return found


def _same(value: Any, other: Any) -> bool:
    return json.dumps(value) == json.dumps(other)


def _definition(root: dict[str, Any], reference: str) -> dict[str, Any]:
    assert reference.startswith("#/$defs/"), reference
    definition: dict[str, Any] = root["$defs"][reference.removeprefix("#/$defs/")]
    return definition


class _Core(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar[Any] = {}


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+0123456789.")),
):  # fmt: skip
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)
_Core.add_constructor(
    "tag:yaml.org,2002:int", lambda loader, node: int(node.value, 16 if "x" in node.value else 10)
)
_Core.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))
_Core.add_constructor("tag:yaml.org,2002:bool", lambda loader, node: node.value.lower() == "true")
_Core.add_multi_constructor("!", lambda loader, suffix, node: node.value)


def as_an_editor_reads(text: str) -> Any:
    """A YAML text as the values that an editor holds against the schema."""
    return yaml.load(text, Loader=_Core)
