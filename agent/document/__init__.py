"""A YAML file -> settings of a given type, or every problem in it at once, each with its place and a remedy.

Knows types and texts, not what the settings are for. On the way:

    file --source--> nodes with places --walk, by the kinds that types gives--> settings, or problems

PyYAML composes the nodes and never constructs anything. A scalar is read from its text by the type that is wanted,
never by YAML's own guess; so `10:20:30:40:50:59` stays a text, and `0100` where a number is wanted is refused.

Decided here, and to be found in no other place:

- Keys: unknown, double and missing ones are problems. A section or list with nothing in it is an empty one.
- Nothing (`key:` alone, `~`, `null`) is `None` where a setting may be `None`.
- Booleans: true, false, yes, no, on, off.
- A path that is not absolute begins at the folder of the file that it is written in; so does `!include`.
- A type that refuses a combination raises `ValueError` when it is made; words that begin with a key and a colon are
  reported at that key.
- No anchors, aliases and merge keys; at most 16 MiB, 256 files, 32 levels.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any, Generic, TypeVar

from agent.document.problem import Mark, Problem, Problems, in_order, meant
from agent.document.types import kind_of
from agent.document.walk import WRONG, Places, Plug, Walk
from agent.fields import Secret

__all__ = ["Document", "Mark", "Places", "Plug", "Problem", "Problems", "in_order", "meant", "read", "schema"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Generic[T]):
    """What was read."""

    settings: T | None
    """`None` when there are problems."""
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    secrets: tuple[tuple[Mark, Secret], ...]
    """Every reference to a secret, and where it stands."""
    plugs: tuple[Plug, ...]
    """The settings of plug-ins that are sound, also where others are not."""
    places: Places | None
    """`None` when the file itself could not be read."""


def read(
    type_: type[T], path: str | PathLike[str], look_up: Callable[[str], str] | None = None
) -> Document[T]:
    """Read a file as settings of this type; `look_up` is what the secrets in it will ask for their texts.

    Never raises for what is in the files; `TypeError` for a type that cannot be settings.
    """
    kind = kind_of(type_)
    walk = Walk(look_up)
    value: Any = WRONG
    with _without_collection():
        root = walk.files.read(fspath(path))
        if root is not None:
            name = "the configuration"
            value = walk.tagged(kind, root, name) if root.tag else kind.read(root, walk, name)
    problems = in_order(walk.problems)
    return Document(
        settings=None if problems or value is WRONG else value,
        problems=problems,
        warnings=in_order(walk.warnings),
        secrets=tuple(walk.secrets),
        plugs=tuple(walk.plugs),
        places=None if root is None else Places(root, walk.named),
    )


@contextmanager
def _without_collection() -> Iterator[None]:
    """No search for cycles meanwhile: hundreds of thousands of nodes are made and none is garbage. It halves the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def schema(type_: type[Any]) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of files that hold settings of this type. The same types give the same schema."""
    definitions: dict[str, Any] = {}
    root = kind_of(type_).schema(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **(root["anyOf"][0] if "anyOf" in root else root),
        "$defs": dict(sorted(definitions.items())),
    }
