"""Rows to messages: which cells go to which topic, how many rows fit into one message, and what to do with a long one.

Pure. A message holds rows of one topic and one store. Rows are added in their order until the next one would not fit;
one that is too long by itself is halved until its pieces fit, and every message that has a piece of a row covers the
whole of it. A piece that is down to one reading is not cut further, whatever its length: so this always ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from agent.formats.json.payload import ENCODER, Layout
from agent.sample import Class, Lane, Row, Shape
from agent.topics import Template
from agent.upstream import Message, Span

CONTENT_TYPE = "application/json"

_REMEMBERED = 4096
"""Bound of what is remembered of shapes: four for each of a thousand devices. Beyond it, it is made anew."""

_TAIL = b"]}"

_Cells: TypeAlias = tuple[int, ...] | None


class Joiner:
    """Makes the messages of one gateway; `here` are the topic's fields that never change."""

    def __init__(self, gateway: str, topic: Template, here: Mapping[str, str]) -> None:
        self._gateway = gateway
        self._topic = topic
        self._here = here
        self._parts: dict[tuple[Shape, _Cells, Lane], tuple[tuple[str, Layout], ...]] = {}
        self._layouts: dict[tuple[Shape, _Cells], Layout] = {}

    def join(self, rows: Sequence[Row], lane: Lane, limit: int) -> list[Message]:
        """As few messages as `limit` bytes of payload allow. Only one that holds a single reading may be longer."""
        messages: list[Message] = []
        open_: dict[tuple[str, str], _Open] = {}
        for row in rows:
            span = Span(row.store, row.number, row.end)
            for topic, layout in self._split(row.sample.shape, row.cells, lane):
                message = open_.get((topic, row.store))
                if message is None:
                    message = open_[topic, row.store] = _Open(topic, self._head(row.store, lane), limit)
                for piece in self._pieces(row, layout, message.room):
                    if not message.takes(piece):
                        messages.append(message.close())
                    message.add(piece, span)
        messages.extend(message.close() for message in open_.values())
        return messages

    def _pieces(self, row: Row, layout: Layout, room: int) -> Iterator[bytes]:
        whole = layout.write(row)
        if len(whole) <= room or layout.count <= 1:
            yield whole
            return
        cells = range(layout.count) if layout.cells is None else layout.cells
        for half in (cells[: layout.count // 2], cells[layout.count // 2 :]):
            yield from self._pieces(row, self._layout(row.sample.shape, tuple(half)), room)

    def _head(self, store: str, lane: Lane) -> bytes:
        head = ENCODER.encode({"gateway": self._gateway, "store": store, "lane": lane.value})
        return head[:-1] + b',"samples":['

    def _split(self, shape: Shape, cells: _Cells, lane: Lane) -> tuple[tuple[str, Layout], ...]:
        """Which cells of a shape go to which topic."""
        parts = self._parts.get((shape, cells, lane))
        if parts is None:
            values = {**self._here, "lane": lane.value, "device": shape.device}
            parts = tuple(
                (self._topic.fill({**values, "class": class_}), self._layout(shape, some))
                for class_, some in self._by_class(shape, cells).items()
            )
            if len(self._parts) >= _REMEMBERED:
                self._parts.clear()
            self._parts[shape, cells, lane] = parts
        return parts

    def _by_class(self, shape: Shape, cells: _Cells) -> dict[str, _Cells]:
        """The cells of each class if the topic tells classes apart, else all of them."""
        if "class" not in self._topic.fields:
            return {"": cells}
        by_class: dict[str, tuple[int, ...]] = {}
        for index in range(len(shape.points)) if cells is None else cells:
            name = shape.points[index].class_.value
            by_class[name] = (*by_class.get(name, ()), index)
        # A row of which nothing is wanted has to be settled all the same.
        return {**by_class} or {Class.HEALTH.value: ()}

    def _layout(self, shape: Shape, cells: _Cells) -> Layout:
        layout = self._layouts.get((shape, cells))
        if layout is None:
            if len(self._layouts) >= _REMEMBERED:
                self._layouts.clear()
            layout = self._layouts[shape, cells] = Layout(shape, cells)
        return layout


class _Open:
    """A message that may still take more."""

    __slots__ = ("_covers", "_head", "_pieces", "_size", "_topic", "room")

    def __init__(self, topic: str, head: bytes, limit: int) -> None:
        self._topic = topic
        self._head = head
        self.room = limit - len(head) - len(_TAIL)
        """Bytes that its pieces and the commas between them may have."""
        self._start()

    def _start(self) -> None:
        self._pieces: list[bytes] = []
        self._covers: list[Span] = []
        self._size = 0

    def takes(self, piece: bytes) -> bool:
        """Whether there is room; an empty message takes anything."""
        return not self._pieces or self._size + len(piece) <= self.room

    def add(self, piece: bytes, span: Span) -> None:
        """Take a piece of the row that has this span."""
        self._pieces.append(piece)
        self._size += len(piece) + 1  # and the comma before the next
        if not self._covers or self._covers[-1] != span:
            self._covers.append(span)

    def close(self) -> Message:
        """The message; from here on this is the next one to the same topic."""
        payload = b"".join((self._head, b",".join(self._pieces), _TAIL))
        message = Message(self._topic, payload, covers=tuple(self._covers), content_type=CONTENT_TYPE)
        self._start()
        return message
