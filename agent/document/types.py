"""A Python type -> the kind of setting that reads it.

Sections are msgspec Structs and dataclasses. A field's type may be `bool`, `int`, `float`, `Decimal`, `Fraction`,
`str`, `timedelta`, `Path`, an `Enum`, a `Literal`, `agent.fields.Size` or `.Secret`, a section, a tuple, list, set or
mapping of these, and a union of them. `Annotated` narrows it by `msgspec.Meta` (bounds, pattern, length) and by the
notes of `agent.fields`. Any other type is a mistake of whoever wrote the settings: `TypeError`.
"""

from __future__ import annotations

import dataclasses
import enum
import operator
import re
import types
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from agent.document import scalar
from agent.document.plugged import FiledSettings, PluginSettings
from agent.document.scalar import Choice, File, Scalar, SecretName, Text
from agent.document.section import Either, Field, List, OrNothing, Section, Table
from agent.document.walk import Json, Kind
from agent.fields import Checked, Filed, Limits, Plugged, Secret, Size, Unique, duration_text

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
    texts = [note.description for note in notes if isinstance(note, msgspec.Meta) and note.description]
    return texts[-1] if texts else None


def _kind(type_: Any, notes: tuple[Any, ...]) -> Kind:
    origin = get_origin(type_)
    if origin is Annotated:
        inner, *more = get_args(type_)
        return _kind(inner, (*more, *notes))
    if plugged := _note(notes, Plugged):
        return PluginSettings(plugged, section_of)
    if origin is Union or origin is types.UnionType:
        return _union(get_args(type_), notes)
    if filed := _note(notes, Filed):
        return FiledSettings(filed, _kind(type_, tuple(note for note in notes if note is not filed)))
    return _several(origin, get_args(type_), notes) if origin else _one(type_, notes)


def _several(origin: Any, arguments: tuple[Any, ...], notes: tuple[Any, ...]) -> Kind:
    if origin is Literal:
        return Choice({_word(value): value for value in arguments})
    if origin in _COLLECTIONS:
        return _list(origin, arguments, notes)
    if origin in {dict, Mapping}:
        least, greatest = _lengths(notes)
        key, value = (_kind(each, ()) for each in arguments)
        return Table(key=key, entry=value, least=least, greatest=greatest)
    raise TypeError(f"{origin!r} cannot be a setting")


def _one(type_: Any, notes: tuple[Any, ...]) -> Kind:
    if make := _WORDS.get(type_):
        return make(notes)
    if isinstance(type_, type):
        if issubclass(type_, enum.Enum):
            return Choice({str(member.value): member for member in type_})
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
    least, greatest = _lengths(notes)
    return List(entry=_kind(arguments[0], ()), make=_COLLECTIONS[origin], least=least, greatest=greatest)


def _word(value: object) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


# --- words -----------------------------------------------------------------------------------------------------


def _number(
    noun: str,
    parse: Callable[[str], Any],
    json_type: str | list[str],
    notes: tuple[Any, ...],
    such_as: str = "",
) -> Kind:
    bounds = {name: _meta(notes, name) for name in _BOUNDS}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    words = noun
    if {"ge", "le"} <= given.keys():
        words += f" from {given['ge']} to {given['le']}"
    words += "".join(
        f"{_BOUNDS[name].words} {bound}"
        for name, bound in given.items()
        if not (name in {"ge", "le"} and {"ge", "le"} <= given.keys())
    )
    shape = {"type": json_type} | {_BOUNDS[name].schema: bound for name, bound in given.items()}
    tests = [(_BOUNDS[name].holds, bound) for name, bound in given.items()]
    return Scalar(
        expected=words + such_as,
        parse=parse,
        shape=shape,
        within=(lambda value: all(holds(value, bound) for holds, bound in tests)) if tests else None,
        write=_number_written,
    )


class _Bound(NamedTuple):
    words: str
    schema: str
    holds: Callable[[Any, Any], bool]


_BOUNDS: Final = {
    "ge": _Bound(" of at least", "minimum", operator.ge),
    "gt": _Bound(" above", "exclusiveMinimum", operator.gt),
    "le": _Bound(" of at most", "maximum", operator.le),
    "lt": _Bound(" below", "exclusiveMaximum", operator.lt),
    "multiple_of": _Bound(", a multiple of", "multipleOf", lambda value, bound: value % bound == 0),
}
"""By their names in `msgspec.Meta`."""


def _number_written(value: Any) -> Any:
    """JSON has integers and floats; of the exact numbers, only whole ones are either."""
    if isinstance(value, int | float):
        return value
    return int(value) if value == int(value) else str(value)


def _limited(
    noun: str, such_as: str, parse: Callable[[str], Any], pattern: str, notes: tuple[Any, ...]
) -> Kind:
    limits: Limits = _note(notes, Limits) or Limits()
    least = None if limits.least is None else parse(limits.least)
    greatest = None if limits.greatest is None else parse(limits.greatest)
    if limits.least and limits.greatest:
        words = f"{noun} from {limits.least} to {limits.greatest}"
    elif limits.least:
        words = f"{noun} of at least {limits.least}"
    elif limits.greatest:
        words = f"{noun} of at most {limits.greatest}"
    else:
        words = f"{noun} with its unit, such as {such_as}"

    def within(value: Any) -> bool:
        return (least is None or value >= least) and (greatest is None or value <= greatest)

    return Scalar(
        expected=words,
        parse=parse,
        shape={"type": "string", "pattern": pattern, "description": f"{words[0].upper()}{words[1:]}."},
        within=within if limits != Limits() else None,
        write=lambda value: duration_text(value) if isinstance(value, timedelta) else str(value),
    )


def _text(notes: tuple[Any, ...]) -> Kind:
    pattern = _meta(notes, "pattern")
    least, greatest = _lengths(notes)
    check: Checked | None = _note(notes, Checked)
    unique: Unique | None = _note(notes, Unique)
    shape: Json = {"pattern": pattern} if pattern else {}
    shape |= {key: value for key, value in (("minLength", least), ("maxLength", greatest)) if value}
    return Text(
        expected=_text_expected(notes, pattern, least, greatest),
        # In Python `$` also matches before a line end at the end.
        pattern=re.compile(re.sub(r"\$$", r"\\Z", pattern)) if pattern else None,
        least=least,
        greatest=greatest,
        check=check.check if check else None,
        unique_of=unique.of if unique else None,
        shape=shape,
    )


def _text_expected(notes: tuple[Any, ...], pattern: str | None, least: int, greatest: int | None) -> str:
    if pattern:
        # A pattern says little to people; what it is described by says more: "A stable name: letters, ...".
        metas = (
            note for note in notes if isinstance(note, msgspec.Meta) and note.pattern and note.description
        )
        about = next((meta.description for meta in metas), None)
        return f"{about[0].lower()}{about[1:].rstrip('.')}" if about else f"a text that matches {pattern}"
    if greatest is not None:
        return f"a text of {least} to {greatest} characters"
    return f"a text of at least {least} characters" if least > 1 else "a text"


_DURATION_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?\s*(ms|s|min|h|d)$"
_SIZE_PATTERN: Final = r"^[0-9]+\s*(B|KiB|MiB|GiB)$"
_BOOLEAN: Final = Scalar(
    expected="true or false",
    parse=scalar.boolean,
    shape={"enum": [True, False, "yes", "no", "on", "off"]},
    write=lambda value: value,
)


_WORDS: Final[dict[type[Any], Callable[[tuple[Any, ...]], Kind]]] = {
    bool: lambda _: _BOOLEAN,
    int: lambda notes: _number("a whole number", scalar.whole, "integer", notes),
    float: lambda notes: _number("a number", scalar.number, "number", notes),
    Decimal: lambda notes: _number("a number", scalar.decimal, ["number", "string"], notes),
    Fraction: lambda notes: _number(
        "an exact number", scalar.fraction, ["number", "string"], notes, ", such as 0.1, 1/3 or 1e-3"
    ),
    str: _text,
    timedelta: lambda notes: _limited(
        "a duration", "500ms, 10s, 15min, 1h or 30d", scalar.duration, _DURATION_PATTERN, notes
    ),
    Size: lambda notes: _limited("a size", "64KiB, 512MiB or 1GiB", scalar.size, _SIZE_PATTERN, notes),
    Path: lambda _: File(),
    Secret: lambda _: SecretName(),
}


def _note(notes: tuple[Any, ...], type_: type[Any]) -> Any:
    return next((note for note in reversed(notes) if isinstance(note, type_)), None)


def _meta(notes: tuple[Any, ...], name: str) -> Any:
    values = (getattr(note, name) for note in notes if isinstance(note, msgspec.Meta))
    return next((value for value in reversed(list(values)) if value is not None), None)


def _lengths(notes: tuple[Any, ...]) -> tuple[int, int | None]:
    return _meta(notes, "min_length") or 0, _meta(notes, "max_length")
