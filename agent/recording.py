"""What passed on a line, frame by frame with its time: what is kept of it, and how it stands in a file.

A recording is NDJSON. Its first line says what was recorded; each further one is something that was sent or received:

    {"recording": 1, "link": "line-1", "driver": "modbus", "began": "2026-11-25T08:30:00Z"}
    {"ns": 0, "sent": "01 03 00 00 00 01 84 0a"}
    {"ns": 9216000, "received": "01 03 02 00 d7 f8 1a"}

Times are nanoseconds since the first; what was received is one piece as it came, and need not be a whole frame.
Nothing here knows a protocol, and nothing waits.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

VERSION: Final = 1
"""Of the form of the file."""
FRAMES: Final = 10_000
"""So many are kept for whoever records and asks for them now and then: some minutes of a busy line, 3 MB."""
FORGOTTEN_NS: Final = 15_000_000_000
"""Nobody asked for so long: nobody records any more."""


class Frame(NamedTuple):
    """Something that passed on a line."""

    ns: int
    """When, of any monotonic clock."""
    direction: str
    """`sent` or `received`."""
    data: bytes


class Ring:
    """The last frames of a link, filled only while somebody asks for them."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque(maxlen=FRAMES)
        self._next = 0
        """The number that the next frame gets, from 0."""
        self._asked_ns = 0

    def add(self, direction: str, data: bytes, ns: int) -> None:
        """Keep a frame."""
        self._frames.append(Frame(ns, direction, bytes(data)))
        self._next += 1

    def since(self, cursor: int | None, now_ns: int, most: int) -> tuple[list[Frame], int, int]:
        """The frames from this number on, at most so many; the next number; and how many are lost before the first.

        `None` begins now.
        """
        self._asked_ns = now_ns
        if cursor is None or not 0 <= cursor <= self._next:
            return [], self._next, 0
        oldest = self._next - len(self._frames)
        first = max(cursor, oldest)
        frames = list(self._frames)[first - oldest : first - oldest + most]
        return frames, first + len(frames), first - cursor

    def forgotten(self, now_ns: int) -> bool:
        """Whether nobody has asked for long."""
        return now_ns - self._asked_ns > FORGOTTEN_NS


def head(link: str, driver: str, began: str) -> dict[str, Any]:
    """Make the first line of a recording; `began` is a time in ISO 8601."""
    return {"recording": VERSION, "link": link, "driver": driver, "began": began}


def lines(frames: Iterable[Frame], origin_ns: int) -> Iterator[str]:
    """Write frames as lines of a file whose first frame was at `origin_ns`."""
    for frame in frames:
        yield json.dumps({"ns": frame.ns - origin_ns, frame.direction: frame.data.hex(" ")})


def parse(text: Sequence[str], name: str) -> tuple[Mapping[str, Any], tuple[Frame, ...]]:
    """Read the lines of a recording. Raises `ValueError` that says which line of `name` is none."""
    if not text:
        raise ValueError(f"{name}:1: expected a recording, found an empty file")
    first = _object(text[0], f"{name}:1")
    if first.get("recording") != VERSION or not isinstance(first.get("driver"), str):
        raise ValueError(
            f"{name}:1: expected the first line of a recording: an object with recording: {VERSION} and its driver"
        )
    frames = tuple(
        _frame(line, f"{name}:{number}") for number, line in enumerate(text[1:], 2) if line.strip()
    )
    return first, frames


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{where}: expected a JSON object, found: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected a JSON object")  # noqa: TRY004  # a value, not a type, is wrong
    return value


def _frame(line: str, where: str) -> Frame:
    value = _object(line, where)
    for direction in ("sent", "received"):
        try:
            return Frame(int(value["ns"]), direction, bytes.fromhex(value[direction]))
        except (KeyError, TypeError):
            continue
        except ValueError as error:
            raise ValueError(f"{where}: expected bytes as hexadecimal digits: {error}") from error
    raise ValueError(f'{where}: expected {{"ns": ..., "sent" or "received": "hexadecimal"}}')
