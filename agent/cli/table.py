"""Tables and times for a terminal: how the commands print what they were told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]], indent: str = "") -> str:
    """Lay out rows under heads: numbers to the right, everything else to the left, `None` as a dash."""
    texts = [[cell_text(cell) for cell in row] for row in rows]
    widths = [max(len(head), *(len(row[i]) for row in texts), 0) for i, head in enumerate(heads)]
    right = [any(_is_number(row[i]) for row in rows) for i in range(len(heads))]
    lines = [_line(heads, widths, right), *(_line(row, widths, right) for row in texts)]
    return "\n".join(f"{indent}{line}".rstrip() for line in lines)


def ago(seconds: float | None) -> str:
    """Write an age as a person says it: `4 s`, `12 min`, `3 h`, `5 d`."""
    if seconds is None:
        return "-"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def bytes_text(count: int) -> str:
    """Write a number of bytes in binary units: `1.2 MiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:  # noqa: PLR2004  # the factor between binary units
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if to_right else cell.ljust(width)
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    )
    return "  ".join(padded)


def cell_text(cell: Any) -> str:
    """Write one value; a float with the seven digits that a 32-bit one has, and never with an exponent for a total."""
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.7g}" if abs(cell) < 1e7 else f"{cell:.1f}"  # noqa: PLR2004  # where an exponent would begin
    return str(cell)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)
