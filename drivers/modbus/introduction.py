"""What is asked of a device before its readings are taken: whether it is what the configuration takes it for.

Pure: a generator says which registers to read and is sent what they hold, `None` where the device refuses; it returns
what is known then. Who carries the questions is `polling`, when a device first answers after a start or a silence.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeAlias

from drivers.modbus.identity import Sign
from drivers.modbus.plan import Span


class Introduced(NamedTuple):
    """What is known of a device after it was asked."""

    expected: str = ""
    """What it should have shown."""
    found: str = ""
    """What it shows instead; empty if it is what it should be."""


Introduction: TypeAlias = Generator[Span, bytes | None, Introduced]


def introduction(signs: Sequence[Sign]) -> Introduction:
    """Ask for one sign after the other, up to the first that does not fit."""
    for sign in signs:
        data = yield sign.span
        if data is None or not sign.fits(data):
            return Introduced(sign.expected, sign.found(data))
    return Introduced()
