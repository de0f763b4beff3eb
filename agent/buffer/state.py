"""What of the book stands in the store file, as one text: written with every transaction, read at the opening.

Pure.
"""

from __future__ import annotations

import secrets

import msgspec

from agent.buffer import schema
from agent.buffer.change import Damaged
from agent.buffer.ledger import UplinkCounts
from agent.buffer.outstanding import UplinkState

STATE = "book"
"""The name under which the book's text stands in the file."""


class BookState(msgspec.Struct, kw_only=True):
    """What of the book stands in the file."""

    lineage: str
    """Made with the file; with `serial` it tells this file from all others, and from an older copy of itself."""
    serial: int
    """Rises with each try to write the file."""
    next: int
    """Place of the next reading."""
    boot: str
    read: int = 0
    stored: int = 0
    dropped: dict[str, int] = {}
    uplinks: dict[str, UplinkState] = {}
    retired: dict[str, UplinkCounts] = {}
    uncertain: bool = False
    """Counts of waiting readings may be too high: rows were damaged, or not yet on the disk when it was written."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(BookState)


def blank() -> BookState:
    """What a file that is made now begins with."""
    return BookState(lineage=secrets.token_hex(16), serial=0, next=schema.place(1, 0), boot="")


def encode(state: BookState) -> str:
    """JSON, so that a person can read it in the file."""
    return _encoder.encode(state).decode()


def decode(text: str) -> BookState:
    """Read it back. Raises `Damaged` when it is not what `encode` wrote."""
    try:
        return _decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise Damaged(f"state {STATE!r}: {error}") from error
