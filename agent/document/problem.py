"""What is wrong with a configuration, where, and what to do about it.

A message starts with the thing's own name and says what was expected and what was found. What was found is shown
shortened and without control characters; where a secret is expected, nothing of it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from agent.interfaces import Misconfigured


class Mark(NamedTuple):
    """A place in a file, line and column counted from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Problem(NamedTuple):
    """One mistake."""

    mark: Mark
    message: str

    def __str__(self) -> str:
        return f"{self.mark}: {self.message}"


class Problems(Misconfigured):
    """All mistakes of a configuration, in the order of its files and lines; each once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Final = in_order(problems)
        super().__init__("\n".join(map(str, self.problems)))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort by place, files in the order in which they were first complained of; drop repeats."""
    unique = dict.fromkeys(problems)
    files = {file: order for order, file in enumerate(dict.fromkeys(each.mark.file for each in unique))}
    return tuple(sorted(unique, key=lambda each: (files[each.mark.file], each.mark)))


SHOWN: Final = 60
"""Characters of a found text that are shown: enough to recognise it."""


def shown(text: str) -> str:
    """Show a text that was found: on one line, shortened, nothing in it that a terminal would obey."""
    cut = text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut) + "'"


def listed(words: Iterable[str], most: int = 20) -> str:
    """Write the names that would have been right, not too many of them."""
    known = list(words)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def one_of(words: Iterable[str]) -> str:
    """Write the names that would have been right, as what is expected."""
    known = list(words)
    return f"one of {listed(known)}" if len(known) > 1 else listed(known) or "nothing, for there is none"


def closest(text: str, known: Iterable[str]) -> str | None:
    """The known name that a text resembles most, if it resembles one."""
    import difflib  # noqa: PLC0415  only a mistake needs it

    by_fold = {_fold(name): name for name in known}
    near = difflib.get_close_matches(_fold(text), by_fold, 1, 0.6)
    return by_fold[near[0]] if near else None


def meant(text: str, known: Iterable[str]) -> str:
    """Guess which of the known names was meant: `: did you mean port?`, or nothing when none is near."""
    near = closest(text, known)
    return f": did you mean {near}?" if near else ""


def _fold(name: str) -> str:
    # Longer texts are no misspelt names, and comparing them takes long.
    return name[:SHOWN].casefold().replace("_", "-")
