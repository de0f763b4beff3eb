"""Texts -> values, by the type that is wanted. Pure.

Each function takes the text and returns the value, or raises `ValueError`; its words, if any, are a remedy. Nothing is
guessed: a leading zero is refused, because `0100` is 64 to YAML 1.1 and a hundred to everybody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from agent import fields
from agent.document.problem import meant

BOOLEANS: Final = {
    word: value
    for value, words in ((True, ("true", "yes", "on")), (False, ("false", "no", "off")))
    for lower in words
    for word in (lower, lower.capitalize(), lower.upper())
}

_WHOLE: Final = re.compile(r"[-+]?[0-9]{1,40}")
_BARE_HEXADECIMAL: Final = re.compile(r"(?=[0-9]*[A-Fa-f])(?:[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}|[0-9A-Fa-f]{16})")
"""One, two or four registers as a manual prints them, where a program wants 0x before it."""
_HEXADECIMAL: Final = re.compile(r"[-+]?0[xX][0-9A-Fa-f]{1,32}")
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,3})?")


def boolean(text: str) -> bool:
    """Read `true` or `false`; `yes`, `no`, `on`, `off` serve as well."""
    try:
        return BOOLEANS[text]
    except KeyError:
        raise ValueError(meant(text, filter(str.islower, BOOLEANS))[2:]) from None


def whole(text: str) -> int:
    """Read a whole number, in decimal or as 0x.. in hexadecimal."""
    if _WHOLE.fullmatch(text):
        digits = text.lstrip("+-")
        if digits[0] == "0" and len(digits) > 1:
            decimal = digits.lstrip("0") or "0"
            octal = f"{int(digits, 8):#x} (octal)" if not set(digits) & {"8", "9"} else "octal"
            raise ValueError(f"it could be {decimal} or {octal}; write one without the leading 0")
        return int(text)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _NUMBER.fullmatch(text) and float(text).is_integer() and abs(float(text)) < 2**53:
        raise ValueError(f"did you mean {int(float(text))}?")
    raise ValueError


def _number(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        point = text.replace(",", ".")
        raise ValueError(f"did you mean {point}?" if _NUMBER.fullmatch(point) else "")
    return text


def number(text: str) -> float:
    """Read a number; never `nan` nor infinite."""
    value = float(_number(text))
    if value in (float("inf"), float("-inf")):
        raise ValueError("it is too large")
    return value


def decimal(text: str) -> Decimal:
    """Read a number with every digit that is written."""
    return Decimal(_number(text))


def fraction(text: str) -> Fraction:
    """Read an exact number (`agent.fields.fraction`)."""
    try:
        return fields.fraction(text)
    except ValueError:
        meant = f"0x{text}" if _BARE_HEXADECIMAL.fullmatch(text) else text.replace(",", ".")
        raise ValueError(_guess(meant, fields.fraction)) from None


_DURATION_WORDS: Final = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "msec": "ms", "m": "min", "mins": "min",
    "minute": "min", "minutes": "min", "hr": "h", "hour": "h", "hours": "h", "day": "d", "days": "d",
}  # fmt: skip
_SIZE_WORDS: Final = {
    "b": "B", "k": "KiB", "kb": "KiB", "kib": "KiB", "m": "MiB", "mb": "MiB", "mib": "MiB",
    "g": "GiB", "gb": "GiB", "gib": "GiB",
}  # fmt: skip


def duration(text: str) -> timedelta:
    """Read a duration with its unit (`agent.fields.duration`)."""
    try:
        return fields.duration(text)
    except ValueError:
        raise ValueError(_with_unit(text, "ms, s, min, h or d", _DURATION_WORDS, fields.duration)) from None


def size(text: str) -> fields.Size:
    """Read a size with its unit (`agent.fields.size`)."""
    try:
        return fields.size(text)
    except ValueError:
        raise ValueError(_with_unit(text, "B, KiB, MiB or GiB", _SIZE_WORDS, fields.size)) from None


def _with_unit(text: str, known: str, words: Mapping[str, str], read: Callable[[str], Any]) -> str:
    match = re.fullmatch(r"([0-9.]{1,30})\s*([A-Za-z]*)", text)
    if match is None:
        return ""
    if not match[2]:
        return f"it needs its unit: {known}"
    return _guess(f"{match[1]}{words.get(match[2].lower(), '')}", read)


def _guess(text: str, read: Callable[[str], Any]) -> str:
    try:
        read(text)
    except ValueError:
        return ""
    return f"did you mean {text}?"
