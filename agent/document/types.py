"""A Python type -> the kind of setting that reads it.

Sections are msgspec Structs and dataclasses. A field's type may be `bool`, `int`, `float`, `Decimal`, `Fraction`,
`str`, `timedelta`, `Path`, an `Enum`, a `Literal`, `agent.fields.Size` or `.Secret`, a section, a tuple, list, set or
mapping of these, and a union of them. `Annotated` narrows it by `msgspec.Meta` (bounds, pattern, length) and by the
notes of `agent.fields`. Any other type is a mistake of whoever wrote the settings: `TypeError`.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from agent.document.annotated import WORDS, lengths, note
from agent.document.collection import Either, List, OrNothing, Table
from agent.document.plugged import FiledSettings, PluginSettings
from agent.document.section import Field, Section
from agent.document.walk import Kind
from agent.document.words import Choice
from agent.fields import Filed, Meant, Plugged

_COLLECTIONS: Final = {tuple: tuple, list: list, set: set, frozenset: frozenset, Sequence: tuple}
_NOUNS: Final = {"root": "configuration"}
_sections: Final[dict[type[Any], Section]] = {}


def kind_of(type_: Any) -> Kind:
    """Find out how a type is read. Raises `TypeError` for one that cannot be a setting."""
    return _kind(type_, ())


def section_of(type_: type[Any]) -> Section:
    """The section that a Struct or dataclass declares; one for each."""
    section = _sections.get(type_)
    if section is None:
        noun = type_.__name__.removesuffix("Settings").lower()
        summary = (type_.__doc__ or "").partition("\n\n")[0].strip()
        title = f"{type_.__module__}.{type_.__qualname__}"
        section = _sections[type_] = Section(
            type_, _NOUNS.get(noun, noun), title, summary, lambda: _fields(type_)
        )
    return section


def _fields(type_: type[Any]) -> list[Field]:
    if issubclass(type_, msgspec.Struct):
        return [
            _field(
                each.encode_name,
                each.name,
                each.type,
                each.required,
                _default(each.default, each.default_factory),
            )
            for each in msgspec.structs.fields(type_)
        ]
    hints = get_type_hints(type_, include_extras=True)
    return [
        _field(
            each.name,
            each.name,
            hints[each.name],
            each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING,
            None if each.default is dataclasses.MISSING else each.default,
        )
        for each in dataclasses.fields(type_)
        if each.init
    ]


def _default(default: Any, factory: Any) -> Any:
    if factory is not msgspec.NODEFAULT:
        return factory()
    return None if default is msgspec.NODEFAULT else default


def _field(key: str, name: str, type_: Any, required: bool, default: Any) -> Field:  # noqa: FBT001  a record
    kind = _kind(type_, ())
    try:
        shown = None if default is None else kind.written(default)
    except LookupError:
        shown = None
    return Field(
        key=key, name=name, kind=kind, required=required, default=shown, description=_description(type_)
    )


def _description(type_: Any) -> str | None:
    notes = get_args(type_)[1:] if get_origin(type_) is Annotated else ()
    texts = [each.description for each in notes if isinstance(each, msgspec.Meta) and each.description]
    return texts[-1] if texts else None


def _kind(type_: Any, notes: tuple[Any, ...]) -> Kind:
    origin = get_origin(type_)
    if origin is Annotated:
        inner, *more = get_args(type_)
        return _kind(inner, (*more, *notes))
    if plugged := note(notes, Plugged):
        return PluginSettings(plugged, section_of)
    if origin is Union or origin is types.UnionType:
        return _union(get_args(type_), notes)
    if filed := note(notes, Filed):
        return FiledSettings(filed, _kind(type_, tuple(each for each in notes if each is not filed)))
    return _several(origin, get_args(type_), notes) if origin else _one(type_, notes)


def _several(origin: Any, arguments: tuple[Any, ...], notes: tuple[Any, ...]) -> Kind:
    if origin is Literal:
        return Choice({_word(value): value for value in arguments})
    if origin in _COLLECTIONS:
        return _list(origin, arguments, notes)
    if origin in {dict, Mapping}:
        least, greatest = lengths(notes)
        key, value = (_kind(each, ()) for each in arguments)
        return Table(key=key, entry=value, least=least, greatest=greatest)
    raise TypeError(f"{origin!r} cannot be a setting")


def _one(type_: Any, notes: tuple[Any, ...]) -> Kind:
    if make := WORDS.get(type_):
        return make(notes)
    if isinstance(type_, type):
        if issubclass(type_, enum.Enum):
            meant: Meant | None = note(notes, Meant)
            return Choice({str(member.value): member for member in type_}, meant.ask if meant else None)
        if issubclass(type_, msgspec.Struct) or dataclasses.is_dataclass(type_):
            return section_of(type_)
    raise TypeError(f"{type_!r} cannot be a setting")


def _union(members: tuple[Any, ...], notes: tuple[Any, ...]) -> Kind:
    kinds = tuple(_kind(member, notes) for member in members if member is not type(None))
    if (
        sum(isinstance(kind, Section | Table) for kind in kinds) > 1
        or sum(isinstance(kind, List) for kind in kinds) > 1
    ):
        raise TypeError(f"{members!r} cannot be told apart by what is written: use Plugged")
    kind = kinds[0] if len(kinds) == 1 else Either(kinds)
    return OrNothing(kind) if type(None) in members else kind


def _list(origin: Any, arguments: tuple[Any, ...], notes: tuple[Any, ...]) -> Kind:
    if origin is tuple and arguments[-1:] != (...,):
        raise TypeError(
            f"tuple{list(arguments)!r}: a list in the configuration has entries of one kind: tuple[T, ...]"
        )
    least, greatest = lengths(notes)
    return List(entry=_kind(arguments[0], ()), make=_COLLECTIONS[origin], least=least, greatest=greatest)


def _word(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
