"""Settings that are one word: each is read from its text by the type that is wanted.

`parse` functions take the text and return the value, or raise `ValueError`; its words, if any, are a remedy. A number
does not care whether it is in quotes, a text is what is written, and nothing is guessed: `yes` is a boolean only
where a boolean is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from agent import fields
from agent.document.nodes import Node, ScalarNode, SequenceNode, mark_of
from agent.document.problem import meant, one_of
from agent.document.source import SECRET
from agent.document.walk import Json, Walk, found, is_nothing, is_plain
from agent.secrets import NAME as SECRET_NAME

BOOLEANS: Final = {
    word: value
    for value, words in ((True, ("true", "yes", "on")), (False, ("false", "no", "off")))
    for lower in words
    for word in (lower, lower.capitalize(), lower.upper())
}

_WHOLE: Final = re.compile(r"[-+]?[0-9]{1,40}")
_HEXADECIMAL: Final = re.compile(r"[-+]?0[xX][0-9A-Fa-f]{1,32}")
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,3})?")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


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
        raise ValueError(_guess(text.replace(",", "."), fields.fraction)) from None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A setting that is one word."""

    expected: str
    parse: Callable[[str], Any]
    shape: Json
    """Its JSON schema."""
    within: Callable[[Any], bool] | None = None
    """Whether a value is one of those that are allowed here."""
    write: Callable[[Any], Any] = str
    """The opposite of `parse`, as JSON."""

    secret = False

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Read a value from its text."""
        if type(node) is not ScalarNode or node.tag:
            return walk.unexpected(self, node, name)
        try:
            value = self.parse(node.value)
        except ValueError as error:
            return walk.unexpected(self, node, name, f": {error}" if error.args and error.args[0] else "")
        if self.within is not None and not self.within(value):
            return walk.unexpected(self, node, name)
        return value

    def schema(self, definitions: Json) -> Json:  # noqa: ARG002  a word defines nothing
        """What an editor takes for such a word."""
        return self.shape

    def written(self, value: Any) -> Any:
        """The opposite of reading."""
        return self.write(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text exactly as it is written."""

    expected: str = "a text"
    pattern: re.Pattern[str] | None = None
    least: int = 0
    greatest: int | None = None
    check: Callable[[str], str | None] | None = None
    unique_of: str | None = None
    shape: Json = field(default_factory=dict)
    """What its JSON schema has beside the type."""

    secret = False

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Take the text, if it is one that may stand here."""
        if type(node) is not ScalarNode or node.tag:
            return walk.unexpected(self, node, name, self._hint(node))
        text = node.value
        if not text and is_plain(node):
            return walk.unexpected(self, node, name)
        if (
            (self.pattern is not None and not self.pattern.search(text))
            or len(text) < self.least
            or (self.greatest is not None and len(text) > self.greatest)
        ):
            return walk.unexpected(self, node, name)
        if not text.isprintable() and _CONTROL.search(text):
            return walk.unexpected(self, node, name, ": control characters cannot be sent on")
        if self.check is not None:
            try:
                doubt = self.check(text)
            except ValueError as error:
                return walk.problem(node, f"{name}: {error}")
            if doubt:
                walk.warning(node, f"{name}: {doubt}")
        if self.unique_of is not None:
            walk.unique(self.unique_of, text, node, name)
        return text

    def _hint(self, node: Node) -> str:
        if node.tag == SECRET:
            return ": what this is need not be secret"
        if self.check is not None and type(node) is SequenceNode and node.flow_style and len(node.value) == 1:
            # `unit: [ppm]` is a list in YAML.
            inner = node.value[0]
            return f': did you mean "[{inner.value}]", in quotes?' if type(inner) is ScalarNode else ""
        return ""

    def schema(self, definitions: Json) -> Json:  # noqa: ARG002  a word defines nothing
        """An editor takes `1234` for a number and `on` for a boolean; here they are texts, so it must allow them."""
        return {"type": ["string", "number", "boolean"], **self.shape}

    def written(self, value: str) -> str:
        """As it is."""
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words: an enumeration or a `Literal`."""

    words: Mapping[str, Any]

    secret = False

    @property
    def expected(self) -> str:
        """All of them."""
        return one_of(self.words)

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Find the word."""
        if type(node) is not ScalarNode or node.tag:
            return walk.unexpected(self, node, name)
        try:
            return self.words[node.value]
        except KeyError:
            return walk.unexpected(self, node, name, meant(node.value, self.words))

    def schema(self, definitions: Json) -> Json:  # noqa: ARG002  a word defines nothing
        """The words; numbers too where an editor would read one, booleans where it would read that."""
        also = [value for word in self.words for value in _as_read_by_editors(word)]
        return {"enum": [*self.words, *also]}

    def written(self, value: Any) -> str:
        """The word for a value."""
        for word, each in self.words.items():
            if each == value:
                return word
        raise LookupError(value)


def _as_read_by_editors(word: str) -> list[Any]:
    """What YAML 1.2's core schema makes of a plain word, where that is no text."""
    if word in {"true", "false"}:
        return [word == "true"]
    try:
        return [whole(word)]
    except ValueError:
        return []


@dataclass(frozen=True, slots=True)
class SecretName:
    """A secret by reference. What stands here in its place is never shown: it may be the secret."""

    expected = "a secret by reference, such as !secret mqtt-password"
    secret = True

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Take the name; the text is looked up by whoever needs it."""
        if not (isinstance(node, ScalarNode) and node.tag == SECRET):
            kept = ": a secret is not written here, but kept as a systemd credential or in a file of its own"
            shows = found(node) if is_nothing(node) else "something else"
            return walk.problem(node, f"{name}: expected {self.expected}; found {shows}{kept}")
        if not SECRET_NAME.fullmatch(node.value):
            return walk.problem(
                node,
                f"{name}: expected the name of a secret of letters, digits, `_`, `-` and `.`; found another text",
            )
        secret = fields.Secret(node.value, walk.look_up)
        walk.secrets.append((mark_of(node), secret))
        return secret

    def schema(self, definitions: Json) -> Json:  # noqa: ARG002  a word defines nothing
        """An editor shows the name without its tag."""
        return {"type": "string", "pattern": f"^{SECRET_NAME.pattern}$", "description": "!secret NAME."}

    def written(self, value: Any) -> Any:
        """Never a default."""
        raise LookupError(value)


@dataclass(frozen=True, slots=True)
class File:
    """A path; one that is not absolute begins at the folder of the file that it is written in."""

    expected = "the path of a file or folder"
    secret = False

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Take the path. Whether something is there is seen by whoever opens it."""
        text = Text(expected=self.expected, least=1).read(node, walk, name)
        return Path(mark_of(node).file).parent / text if isinstance(text, str) else text

    def schema(self, definitions: Json) -> Json:  # noqa: ARG002  a word defines nothing
        """A text."""
        return {"type": "string", "minLength": 1}

    def written(self, value: Path) -> str:
        """As it is."""
        return str(value)
