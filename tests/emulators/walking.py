"""Answers for what a generator asks of a device, where there is no device."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from drivers.modbus.values.plan import Span

T = TypeVar("T")


def walked(asking: Generator[Span, bytes | None, T], answer: Callable[[Span], bytes | None]) -> T:
    """What it returns, if this is what the device answers."""
    try:
        span = next(asking)
        while True:
            span = asking.send(answer(span))
    except StopIteration as end:
        found: T = end.value
        return found
