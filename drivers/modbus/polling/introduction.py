"""What is asked of a device before its readings are taken: whether it is what the configuration takes it for.

And where its registers lie, if it is one that says so itself. Pure: a generator says which registers to read and is sent what they hold, `None` where the device refuses; it returns
what is known then. Who carries the questions is `polling`, when a device first answers after a start or a silence.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeAlias

from drivers.modbus.identity import Sign
from drivers.modbus.sunspec import MAGIC, Chain, walk
from drivers.modbus.values.plan import Span


class Introduced(NamedTuple):
    """What is known of a device after it was asked."""

    expected: str = ""
    """What it should have shown."""
    found: str = ""
    """What it shows instead; empty if it is what it should be."""
    chain: Chain = ()
    """The models of a SunSpec device."""
    whole: bool = True
    """There is no more to be known; else its chain broke off, and may go on by now."""


Introduction: TypeAlias = Generator[Span, bytes | None, Introduced]


def introduction(signs: Sequence[Sign], bases: Sequence[int] = ()) -> Introduction:
    """Ask for one sign after the other, up to the first that does not fit; then for the chain, if it has to have one.

    `bases` are the addresses at which the chain of a SunSpec device may begin.
    """
    for sign in signs:
        data = yield sign.span
        if data is None or not sign.fits(data):
            return Introduced(sign.expected, sign.found(data))
    if not bases:
        return Introduced()
    chain, ended = yield from walk(bases)
    if chain:
        return Introduced(chain=chain, whole=ended)
    where = " or ".join(map(str, bases))
    return Introduced(f"{MAGIC.decode()} at holding {where}, and models behind it", "none")
