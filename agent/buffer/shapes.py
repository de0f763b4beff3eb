"""Shapes as they are kept beside the rows: the points as they were when the readings were taken.

Pure. A shape is written once and known by a hash of its content, which is also its checksum; the same content after
a restart is the same shape.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from agent.buffer import schema
from agent.sample import Point, Shape

_REMEMBERED = 4096
"""More than the shapes of a large gateway; forgotten all at once beyond that, and then looked up again."""


class _Content(msgspec.Struct, frozen=True):
    device: str
    points: tuple[Point, ...]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Content)


class Kept(NamedTuple):
    """How a shape is referred to by rows, and in which table these are."""

    key: int
    rank: int


def encode(shape: Shape) -> tuple[int, bytes]:
    """The key of a shape and its content, JSON."""
    content = _encoder.encode(_Content(shape.device, shape.points))
    return schema.key(content), content


def decode(key: int, content: bytes) -> Shape:
    """Make a shape again. Raises `ValueError` when the content is not what the key was made from."""
    if schema.key(content) != key:
        raise ValueError(f"shape {key:#x}: its content does not match its key")
    found = _decoder.decode(content)
    return Shape(found.device, found.points)


class Shapes:
    """Which key each shape has, and which shape each key: remembered, since both are asked for each row."""

    def __init__(self) -> None:
        self._kept: dict[Shape, Kept] = {}
        self._shapes: dict[int, Shape] = {}

    def kept(self, shape: Shape) -> Kept:
        """The key and rank of a shape."""
        if found := self._kept.get(shape):
            return found
        self._bound()
        found = self._kept[shape] = Kept(encode(shape)[0], shape.rank)
        self._shapes.setdefault(found.key, shape)
        return found

    def get(self, key: int) -> Shape | None:
        """The shape with this key, where it is remembered."""
        return self._shapes.get(key)

    def learn(self, key: int, content: bytes) -> Shape:
        """Remember a shape that was read from a file. Raises `ValueError` as `decode` does."""
        self._bound()
        return self._shapes.setdefault(key, decode(key, content))

    def _bound(self) -> None:
        if len(self._kept) >= _REMEMBERED or len(self._shapes) >= _REMEMBERED:
            self._kept.clear()
            self._shapes.clear()
