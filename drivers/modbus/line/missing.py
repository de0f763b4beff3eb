"""Answers that did not come and still may: of which units, and how long they would be.

Pure. By its length alone a late answer shows, on a line without transaction ids.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

REMEMBERED_NS: Final = 60_000_000_000
"""After this and ten times the quiet, an answer is not believed to be still under way."""


class Missing:
    """On one line. A size is that of `Question.size`."""

    def __init__(self, quiet_ns: int) -> None:
        self._remembered_ns = REMEMBERED_NS + 10 * quiet_ns
        self._sizes: dict[int, dict[int, int]] = {}
        """By unit: sizes, and until when each is waited for."""

    def add(self, unit: int, size: int, now_ns: int) -> None:
        """Its answer of this size did not come."""
        self._sizes.setdefault(unit, {})[size] = now_ns + self._remembered_ns

    def of(self, unit: int) -> Container[int]:
        """The sizes of those of one unit."""
        return self._sizes.get(unit, ())

    def suspects(self, unit: int, now_ns: int) -> bool:
        """Whether any of a unit may still come; forgets what is too old."""
        sizes = self._sizes.get(unit)
        if sizes is None:
            return False
        for size in [size for size, until_ns in sizes.items() if until_ns <= now_ns]:
            self.drop(unit, size)
        return unit in self._sizes

    def drop(self, unit: int, size: int) -> None:
        """This one came, or never will."""
        sizes = self._sizes.get(unit, {})
        sizes.pop(size, None)
        if not sizes:
            self._sizes.pop(unit, None)

    def caught_up(self, unit: int) -> None:
        """It answered a later question: answers come in the order of the questions."""
        self._sizes.pop(unit, None)

    def clear(self) -> None:
        """None can be mistaken for another any more."""
        self._sizes.clear()
