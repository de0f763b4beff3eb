"""Topic templates: `diaccess/{gateway}/{lane}` in the configuration becomes the topic of one message.

Pure, and knows nothing of any format: a format says which fields it can fill in. Everything that can be wrong with a
topic is found when the template is made, so that filling one in cannot fail and cannot give a topic that a broker
refuses (MQTT 5.0, 4.7). Values are ids (agent.fields), which have no character that means something in a topic.
"""

from __future__ import annotations

import difflib
import string
from collections.abc import Collection, Mapping

LONGEST_ID = 64
"""Bytes of an id, as agent.fields has it."""

LONGEST_TOPIC = 512
"""Bytes. The standard allows 65,535, brokers and their tools far less; an uplink leaves this much room in a packet."""


class Template:
    """A topic with fields to fill in. Raises `ValueError` with what is wrong with the text."""

    __slots__ = ("_text", "fields")

    def __init__(self, text: str, allowed: Collection[str]) -> None:
        literals, fields = _parts(text)
        for field in fields:
            if field not in allowed:
                raise ValueError(_unknown(field, allowed))
        for level in text.split("/"):
            if not level:
                raise ValueError(
                    f"{text!r} has an empty level: no / at its start, at its end, or twice in a row"
                )
        literal = "".join(literals)
        if wrong := [character for character in literal if character in "+#" or not character.isprintable()]:
            raise ValueError(f"{text!r} contains {wrong[0]!r}, which no topic of a message may")
        if text.startswith("$"):
            raise ValueError(f"{text!r} starts with $: such topics are the broker's own")
        length = len(literal.encode()) + len(fields) * LONGEST_ID
        if length > LONGEST_TOPIC:
            raise ValueError(f"{text[:40]!r}... may become {length} bytes long; {LONGEST_TOPIC} is the limit")
        self._text = text
        self.fields = frozenset(fields)
        """Names of the fields that occur."""

    def fill(self, values: Mapping[str, str]) -> str:
        """The topic; `values` has at least the fields that occur."""
        return self._text.format_map(values)


def _parts(text: str) -> tuple[list[str], list[str]]:
    """The literal pieces and the names of the fields."""
    literals: list[str] = []
    fields: list[str] = []
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError:
        raise ValueError(f"{text!r} has a brace without its partner") from None
    for literal, field, form, conversion in parsed:
        literals.append(literal)
        if field is not None:
            if form or conversion:
                raise ValueError(f"{text!r}: a field is a name in braces and nothing else")
            fields.append(field)
    return literals, fields


def _unknown(field: str, allowed: Collection[str]) -> str:
    close = difflib.get_close_matches(field, allowed, n=1)
    guess = f"; did you mean {{{close[0]}}}?" if close else ""
    known = " ".join(f"{{{name}}}" for name in sorted(allowed))
    return f"there is no field {{{field}}} here{guess} (known: {known})"
