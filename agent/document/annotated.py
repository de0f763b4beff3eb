"""The type of a word and the notes on it -> the kind that reads it: bounds, lengths, patterns, checks.

A note is what stands behind the type in `Annotated`: a `msgspec.Meta`, or one of `agent.fields`. Of two that say the
same thing the outer one counts.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from agent.document import parse
from agent.document.walk import Json, Kind
from agent.document.words import File, Scalar, SecretName, Text
from agent.fields import Checked, Limits, Meant, Secret, Size, Unique, duration_text

Notes: TypeAlias = tuple[Any, ...]


def note(notes: Notes, type_: type[Any]) -> Any:
    """The outermost note of a type, or `None`."""
    return next((each for each in reversed(notes) if isinstance(each, type_)), None)


def _meta(notes: Notes, name: str) -> Any:
    values = (getattr(each, name) for each in notes if isinstance(each, msgspec.Meta))
    return next((value for value in reversed(list(values)) if value is not None), None)


def lengths(notes: Notes) -> tuple[int, int | None]:
    """The least and the greatest length of a text, list or table."""
    return _meta(notes, "min_length") or 0, _meta(notes, "max_length")


def _number(
    noun: str,
    read: Callable[[str], Any],
    json_type: str | list[str],
    notes: Notes,
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
    meant: Meant | None = note(notes, Meant)
    return Scalar(
        expected=words + such_as,
        parse=read,
        shape=shape,
        within=(lambda value: all(holds(value, bound) for holds, bound in tests)) if tests else None,
        ask=meant.ask if meant else None,
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


def _limited(noun: str, such_as: str, read: Callable[[str], Any], pattern: str, notes: Notes) -> Kind:
    limits: Limits = note(notes, Limits) or Limits()
    least = None if limits.least is None else read(limits.least)
    greatest = None if limits.greatest is None else read(limits.greatest)
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
        parse=read,
        shape={"type": "string", "pattern": pattern, "description": f"{words[0].upper()}{words[1:]}."},
        within=within if limits != Limits() else None,
        write=lambda value: duration_text(value) if isinstance(value, timedelta) else str(value),
    )


def _text(notes: Notes) -> Kind:
    pattern = _meta(notes, "pattern")
    least, greatest = lengths(notes)
    check: Checked | None = note(notes, Checked)
    unique: Unique | None = note(notes, Unique)
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


def _text_expected(notes: Notes, pattern: str | None, least: int, greatest: int | None) -> str:
    if pattern:
        # A pattern says little to people; what it is described by says more: "A stable name: letters, ...".
        metas = (each for each in notes if isinstance(each, msgspec.Meta) and each.pattern)
        about = next((meta.description for meta in metas if meta.description), None)
        return f"{about[0].lower()}{about[1:].rstrip('.')}" if about else f"a text that matches {pattern}"
    if greatest is not None:
        return (
            f"a text of {least} to {greatest} characters"
            if least
            else f"a text of at most {greatest} characters"
        )
    return f"a text of at least {least} characters" if least > 1 else "a text"


_DURATION_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?\s*(ms|s|min|h|d)$"
_SIZE_PATTERN: Final = r"^[0-9]+\s*(B|KiB|MiB|GiB)$"
_BOOLEAN: Final = Scalar(
    expected="true or false",
    parse=parse.boolean,
    shape={"enum": [True, False, "yes", "no", "on", "off"]},
    write=lambda value: value,
)


WORDS: Final[dict[type[Any], Callable[[Notes], Kind]]] = {
    bool: lambda _: _BOOLEAN,
    int: lambda notes: _number("a whole number", parse.whole, "integer", notes),
    float: lambda notes: _number("a number", parse.number, "number", notes),
    Decimal: lambda notes: _number("a number", parse.decimal, ["number", "string"], notes),
    Fraction: lambda notes: _number(
        "an exact number", parse.fraction, ["number", "string"], notes, ", such as 0.1, 1/3 or 1e-3"
    ),
    str: _text,
    timedelta: lambda notes: _limited(
        "a duration", "500ms, 10s, 15min, 1h or 30d", parse.duration, _DURATION_PATTERN, notes
    ),
    Size: lambda notes: _limited("a size", "64KiB, 512MiB or 1GiB", parse.size, _SIZE_PATTERN, notes),
    Path: lambda _: File(),
    Secret: lambda _: SecretName(),
}
