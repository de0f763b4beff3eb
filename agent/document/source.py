"""The files of one configuration -> one tree of nodes, with what they include put in.

`!include path` is replaced by what that file holds; a list that is included as an entry of a list is spliced in. The
only other tag, `!secret name`, is left for whoever reads the nodes. A path begins at the folder of the file that it
is written in. Everything is bounded: bytes, files, includes within includes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from agent.document.nodes import MappingNode, Node, ScalarNode, SequenceNode, Unreadable, composed, mark_of
from agent.document.problem import Mark, meant, shown

INCLUDE: Final = "!include"
SECRET: Final = "!secret"  # noqa: S105  the tag, not one of them
ABSENT: Final = "!absent"
"""The tag of a node that stands for a file that could not be read; the problem has been reported."""

BYTES: Final = 16 * 2**20
"""In all files together. 20,000 points written out take 3 MB."""

FILES: Final = 256
"""Read for one configuration, repeats counted: a gateway has some tens of links."""

WITHIN: Final = 8
"""Includes within includes."""

Report: TypeAlias = Callable[[Mark, str], None]


class Files:
    """Reads the files of one configuration; every problem goes to `report`, and what could not be read is absent."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._bytes = 0
        self._files = 0

    def read(self, path: str, named_at: Mark | None = None, within: tuple[str, ...] = ()) -> Node | None:
        """Read one file and all that it includes; `None` when that failed.

        `named_at` is where the file is named; `within` are the files from the first one down to there.
        """
        at = named_at or Mark(path)
        text = self._text(path, at)
        if text is None:
            return None
        real = os.path.realpath(path)
        if real in within:
            self._report(at, f"{path} is being read already: a file cannot include itself")
            return None
        try:
            node = composed(path, text)
        except Unreadable as error:
            self._report(error.mark, error.message)
            return None
        return self._expanded(node, (*within, real)) if INCLUDE in text else node

    def _text(self, path: str, at: Mark) -> str | None:
        self._files += 1
        if self._files > FILES:
            self._report(at, f"{shown(path)} cannot be read: expected at most {FILES} files")
            return None
        try:
            octets = _octets(path, BYTES - self._bytes + 1)
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) else error
            near = meant(Path(path).name, _beside(path)) if isinstance(error, FileNotFoundError) else ""
            self._report(at, f"{shown(path)} cannot be read: {words}{near}")
            return None
        self._bytes += len(octets)
        if self._bytes > BYTES:
            self._report(at, f"{shown(path)} cannot be read: expected at most {BYTES >> 20} MiB in all files")
            return None
        try:
            return octets.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = octets[: error.start].decode("utf-8-sig", "replace")
            mark = Mark(path, before.count("\n") + 1, len(before) - before.rfind("\n"))
            self._report(
                mark,
                f"expected UTF-8 text, found the byte 0x{octets[error.start]:02X}: save the file as UTF-8",
            )
            return None

    def _expanded(self, node: Node, within: tuple[str, ...]) -> Node:
        if node.tag == INCLUDE:
            return self._included(node, within)
        if isinstance(node, SequenceNode):
            node.value = list(self._entries(node, within))
        elif isinstance(node, MappingNode):
            node.value = [(key, self._expanded(value, within)) for key, value in node.value]
        return node

    def _entries(self, node: SequenceNode, within: tuple[str, ...]) -> Iterator[Node]:
        for each in node.value:
            expanded = self._expanded(each, within)
            if each.tag == INCLUDE and isinstance(expanded, SequenceNode):
                yield from expanded.value
            else:
                yield expanded

    def _included(self, node: Node, within: tuple[str, ...]) -> Node:
        mark = mark_of(node)
        included: Node | None = None
        if not isinstance(node, ScalarNode) or not node.value:
            self._report(mark, "!include: expected the path of a file")
        elif len(within) > WITHIN:
            self._report(mark, f"!include: expected at most {WITHIN} files within each other")
        else:
            # Strings, as they are shown: `Path` would drop the `./` that somebody wrote.
            folder = os.path.dirname(mark.file)  # noqa: PTH120
            included = self.read(os.path.normpath(os.path.join(folder, node.value)), mark, within)  # noqa: PTH118
        return included or ScalarNode(ABSENT, "", node.start_mark, node.end_mark)


def _octets(path: str, most: int) -> bytes:
    # Not a pipe nor a device: opening or reading these may never end.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123  a descriptor
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is not a regular file")
        return file.read(most)


def _beside(path: str) -> list[str]:
    try:
        return sorted(each.name for each in Path(path).parent.iterdir())
    except (OSError, ValueError):
        return []
