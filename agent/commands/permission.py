"""Whether a value may be written to a point: its type, its range, its step, how far it is from what is there.

Pure, and exact: a value is compared as the decimal number that somebody wrote, never as the float next to it, so that
0.3 is a multiple of 0.1. An objection is a sentence for whoever asked: what was expected, and what was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Final

from agent.fields import fraction
from agent.points import WriteSettings
from agent.sample import Point, Reason, Value, ValueType

_WORDS: Final = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}
_WHOLE: Final = re.compile(r"[-+]?[0-9]{1,40}")
_MOST_DIGITS: Final = 400
"""Of a number, before or after the point: a float has no more, and its exact value is soon computed."""
_NUMBERS: Final = {ValueType.INTEGER, ValueType.NUMBER, ValueType.DECIMAL}


def parse(text: str, point: Point) -> Value:
    """Read what a person wrote as a value of this point; a label means its number. Raises `ValueError`."""
    for number, label in (point.labels or {}).items():
        if text.strip().casefold() == label.casefold():
            return number
    match point.type:
        case ValueType.TEXT:
            return text
        case ValueType.BOOLEAN if text.strip().lower() in _WORDS:
            return _WORDS[text.strip().lower()]
        case ValueType.INTEGER if _WHOLE.fullmatch(text.strip()):
            return int(text)
        case ValueType.NUMBER | ValueType.DECIMAL:
            try:
                fraction(text.strip())  # bounds what it may be
                return Decimal(text.strip())
            except (ValueError, ArithmeticError):
                pass
    raise ValueError(f"expected {_expected(point)}, found {text!r}")


def typed(value: Value, point: Point) -> Value:
    """The same value in the type of this point: 21.0 is a whole number. Raises `ValueError` for another kind."""
    if point.type is ValueType.BOOLEAN and isinstance(value, bool):
        return value
    if point.type is ValueType.TEXT and isinstance(value, str):
        return value
    if point.type in _NUMBERS and not isinstance(value, bool | str):
        number = exact(value)
        if point.type is not ValueType.INTEGER:
            return value
        if number.denominator == 1:
            return int(number)
    raise ValueError(f"expected {_expected(point)}, found {repr(value) if isinstance(value, str) else value}")


def exact(value: float | Decimal) -> Fraction:
    """The number as it is written in decimal. Raises `ValueError` for one that is none, or absurdly long."""
    number = Decimal(repr(value)) if isinstance(value, float) and isfinite(value) else Decimal(value)
    if not number.is_finite():
        raise ValueError(f"expected a number, found {value}")
    _, digits, exponent = number.as_tuple()
    if len(digits) > _MOST_DIGITS or not -_MOST_DIGITS <= int(exponent) <= _MOST_DIGITS:
        raise ValueError(f"expected a number of at most {_MOST_DIGITS} digits")
    return Fraction(number)


def objection(write: WriteSettings, point: Point, value: Value) -> str:
    """Why this value, of the point's type, may not be written; empty if it may."""
    if point.labels and value not in point.labels:
        return f"expected {_expected(point)}, found {value}"
    if point.type not in _NUMBERS or isinstance(value, bool | str):
        return ""
    if missing := _without_range(write, point):
        return missing
    number, unit = exact(value), _unit(point)
    below = write.minimum is not None and number < write.minimum
    if below or (write.maximum is not None and number > write.maximum):
        return f"expected {_range(write)}{unit}, found {value}"
    if write.step is not None and number % write.step:
        return f"expected a multiple of {shown(write.step)}{unit}, found {value}"
    return ""


def too_far(write: WriteSettings, point: Point, before: Value | Reason, value: Value) -> str:
    """Why this value is too far from what is there; empty if it is not."""
    if write.most_change is None or isinstance(value, bool | str):
        return ""
    most = f"{shown(write.most_change)}{_unit(point)}"
    if isinstance(before, Reason | str):
        return f"expected a change of at most {most}, and what it is now is not known: {_word(before)}"
    change = abs(exact(value) - exact(before))
    if change > write.most_change:
        return f"expected a change of at most {most} from {before}, found {shown(change)}"
    return ""


def problems(
    write: WriteSettings, point: Point, as_written: Callable[[Value], Value]
) -> Iterator[tuple[str, str]]:
    """What is wrong with the settings of a point as a whole: the setting's name, and a sentence that begins with it.

    `as_written` gives what the point is once a value is written, and raises `ValueError` for one that it cannot hold.
    """
    if missing := _without_range(write, point):
        yield "write", f"write: {missing}"
        return
    if point.type not in _NUMBERS:
        for name in ("minimum", "maximum", "step", "most_change"):
            if getattr(write, name) is not None:
                yield name, f"{name}: only a number has one, and {point.name} is {point.type.value}"
    if write.fallback is None:
        for name in ("lease", "longest_lease"):
            if getattr(write, name) is not None:
                yield name, f"{name}: expected a fallback too: the value that returns when a lease ends"
        return
    try:
        value = parse(write.fallback, point)
        if words := objection(write, point, value):
            raise ValueError(words)  # noqa: TRY301  # the same ending as for what cannot be read
        as_written(value)
    except ValueError as error:
        yield "fallback", f"fallback: {error}"


def shown(number: Fraction) -> str:
    """An exact number as a person writes it."""
    digits = Decimal(number.numerator) / Decimal(number.denominator)
    return f"{digits.normalize():f}" if Fraction(digits) == number else str(number)


def _without_range(write: WriteSettings, point: Point) -> str:
    """A number is writable only within limits that somebody has thought about."""
    if point.type not in _NUMBERS or point.labels or not (write.minimum is None or write.maximum is None):
        return ""
    return f"expected a minimum and a maximum, between which {point.name} may be written"


def _range(write: WriteSettings) -> str:
    limits = (write.minimum, write.maximum)
    return " to ".join("any" if limit is None else shown(limit) for limit in limits)


def _unit(point: Point) -> str:
    return f" {point.unit}" if point.unit and point.unit != "1" else ""


def _word(before: Reason | str) -> str:
    return before.word.replace("_", " ") if isinstance(before, Reason) else repr(before)


def _expected(point: Point) -> str:
    if point.labels:
        return "one of " + ", ".join(f"{number} ({label})" for number, label in point.labels.items())
    return {
        ValueType.BOOLEAN: "true or false",
        ValueType.INTEGER: "a whole number",
        ValueType.TEXT: "a text",
    }.get(point.type, "a number")
