"""What can go wrong with an emulated device, and the words in which a person says it: `meter-3 late 2s`.

Pure: the words and what they mean. What they do to the bytes of a protocol is its driver's business.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple, Self

from agent.fields import duration, duration_text


class Takes(enum.Enum):
    """What may stand behind the name of a fault."""

    NOTHING = ""
    DURATION = "DURATION"
    SPAN = "DURATION[..DURATION]"
    """A duration, or two: then each time another one between them."""
    CODE = "CODE"


class Kind(enum.Enum):
    """Ways to misbehave; each has been met in a building."""

    takes: Takes
    otherwise: str
    """What it is if nothing is said behind its name; empty where something has to be."""
    words: str

    SILENT = "silent", Takes.NOTHING, "", "never answers"
    LATE = "late", Takes.SPAN, "", "answers after this time; late:10ms..2s: each time another"
    SLOW = "slow", Takes.DURATION, "20ms", "its bytes drip, one by one, so far apart"
    EXCEPTION = "exception", Takes.CODE, "4", "answers with this Modbus exception in place of values"
    WRONG_UNIT = "wrong-unit", Takes.NOTHING, "", "answers in the name of the next unit id"
    WRONG_ID = "wrong-id", Takes.NOTHING, "", "answers with another transaction id"
    NO_ID = "no-id", Takes.NOTHING, "", "answers with transaction id 0, as some gateways do"
    NOISE = "noise", Takes.NOTHING, "", "random bytes in place of the answer"
    TRUNCATED = "truncated", Takes.NOTHING, "", "half of the answer, and never the rest"
    DUPLICATE = "duplicate", Takes.NOTHING, "", "the answer, twice"
    ECHO = "echo", Takes.NOTHING, "", "the line brings the question back before the answer"
    FOREIGN = "foreign", Takes.NOTHING, "", "what others ask and answer follows on the line"
    BAUD_TRUE = (
        "baud-true",
        Takes.DURATION,
        "0ms",
        "of a link: bytes take their time; devices think for so long",
    )

    def __new__(cls, name: str, takes: Takes, otherwise: str, words: str) -> Self:
        """Make a member whose value is its name."""
        member = object.__new__(cls)
        member._value_ = name
        member.takes, member.otherwise, member.words = takes, otherwise, words
        return member


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to misbehave, with its measure."""

    kind: Kind
    least: timedelta = timedelta(0)
    most: timedelta = timedelta(0)
    """The same as `least`, unless it is another duration each time."""
    code: int = 0

    def __str__(self) -> str:
        """As it is written."""
        match self.kind.takes:
            case Takes.NOTHING:
                return str(self.kind.value)
            case Takes.CODE:
                return f"{self.kind.value}:{self.code}"
            case _:
                span = "" if self.most == self.least else f"..{duration_text(self.most)}"
                return f"{self.kind.value}:{duration_text(self.least)}{span}"


class Order(NamedTuple):
    """What somebody wants: this device, or this link with all that is on it, to misbehave, or to be good again."""

    name: str
    fault: Fault | None


GOOD: Final = "good"

_ORDER: Final = re.compile(r"(?P<name>[^\s=]+)[\s=]+(?P<kind>[^\s:]+)(?:[\s:]+(?P<measure>\S+))?")
_CODES: Final = range(1, 256)


def order(text: str) -> Order:
    """Read `meter-3=late:2s` or `meter-3 late 2s`. Raises `ValueError` with what was expected."""
    match = _ORDER.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"expected a device and what is wrong with it, such as meter-3 silent; found {text!r}"
        )
    return Order(match["name"], _fault(match["kind"].lower(), match["measure"]))


def _fault(name: str, measure: str | None) -> Fault | None:
    kinds = {kind.value: kind for kind in Kind}
    if name != GOOD and name not in kinds:
        raise ValueError(f"expected one of {', '.join((*kinds, GOOD))}; found {name!r}")
    takes = Takes.NOTHING if name == GOOD else kinds[name].takes
    if takes is Takes.NOTHING:
        if measure is not None:
            raise ValueError(f"{name}: expected nothing behind it, found {measure!r}")
        return None if name == GOOD else Fault(kind=kinds[name])
    kind = kinds[name]
    text = measure or kind.otherwise
    try:
        if takes is Takes.CODE:
            return Fault(kind=kind, code=_code(text))
        least, most = _span(text) if takes is Takes.SPAN else (duration(text),) * 2
    except ValueError as error:
        raise ValueError(f"{name}: expected {error}; found {measure or 'nothing'}") from None
    return Fault(kind=kind, least=least, most=most)


def _code(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}|0x[0-9A-Fa-f]{1,2}", text) or int(text, _base(text)) not in _CODES:
        raise ValueError("a code from 1 to 255, such as 4 or 0x0B")
    return int(text, _base(text))


def _base(text: str) -> int:
    return 16 if text.startswith("0x") else 10


def _span(text: str) -> tuple[timedelta, timedelta]:
    low, dots, high = text.partition("..")
    least = duration(low)
    most = duration(high) if dots else least
    if most < least:
        raise ValueError("the shorter duration first")
    return least, most


def explained() -> str:
    """The language, a line for each way to misbehave."""
    lines = [(f"{kind.value}{_measure(kind)}", kind.words) for kind in Kind]
    lines.append((GOOD, "as it should be, again"))
    width = max(len(word) for word, _ in lines)
    return "".join(f"  {word:{width}}  {words}\n" for word, words in lines)


def _measure(kind: Kind) -> str:
    if kind.takes is Takes.NOTHING:
        return ""
    return f"[:{kind.takes.value}]" if kind.otherwise else f":{kind.takes.value}"
