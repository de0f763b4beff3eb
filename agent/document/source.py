"""YAML files -> nodes with their places, includes put in. The only module that knows the YAML library.

Nodes are composed and nothing is ever constructed: no tag of a file can make an object. Implicit types are not
resolved either; a plain scalar is a text until somebody wants something of it.

A configuration is to be understood where it stands. So there are no anchors, aliases and merge keys here (what is
shared belongs into a profile or an included file), and no tags but two: `!secret name`, for whoever reads the nodes,
and `!include path`, which is replaced here by what that file holds; a list that is included as an entry of a list is
spliced in. Everything is bounded: bytes, files, nesting.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from agent.document.problem import Mark, shown

__all__ = ["ABSENT", "SECRET", "Files", "MappingNode", "Node", "ScalarNode", "SequenceNode", "mark_of"]

INCLUDE: Final = "!include"
SECRET: Final = "!secret"
ABSENT: Final = "!absent"
"""The tag of a node that stands for a file that could not be read; the problem has been reported."""

BYTES: Final = 16 * 2**20
"""In all files together. 20,000 points written out take 3 MB."""

FILES: Final = 256
"""Read for one configuration, repeats counted: a gateway has some tens of links."""

NESTING: Final = 32
"""A point's place is nine levels deep. With includes in includes it stays far from Python's limit of recursion."""

INCLUDED: Final = 8
"""Includes within includes."""

Report: TypeAlias = Callable[[Mark, str], None]


def mark_of(node: Node) -> Mark:
    """Where a node begins."""
    mark = node.start_mark
    return Mark(mark.name, mark.line + 1, mark.column + 1)


class Files:
    """Reads the files of one configuration; every problem goes to `report`, and what could not be read is absent."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._bytes = 0
        self._files = 0

    def read(self, path: str, named_at: Mark | None = None, within: tuple[str, ...] = ()) -> Node | None:
        """Read one file and all that it includes.

        `named_at` is where the file is named, `within` the files from the first one down to there. `None` when it
        could not be read, and that was reported. An empty file is an empty mapping.
        """
        if within and os.path.realpath(path) in within:
            self._report(
                named_at or Mark(path), f"{path} is being read already: a file cannot include itself"
            )
            return None
        text = self._text(path, named_at or Mark(path))
        if text is None:
            return None
        node = self._composed(path, text)
        if node is not None and INCLUDE in text:
            return self._expanded(node, (*within, os.path.realpath(path)))
        return node

    def _text(self, path: str, named_at: Mark) -> str | None:
        self._files += 1
        if self._files > FILES:
            if self._files == FILES + 1:
                self._report(named_at, f"{path} is more than can be read: expected at most {FILES} files")
            return None
        try:
            octets = _octets(path, BYTES - self._bytes + 1)
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) else str(error)
            self._report(named_at, f"{shown(path)[1:-1]} cannot be read: {words}")
            return None
        self._bytes += len(octets)
        if self._bytes > BYTES:
            self._report(
                named_at, f"{path} is more than can be read: expected at most {BYTES >> 20} MiB in all files"
            )
            return None
        try:
            text = octets.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            before = octets[: error.start]
            start = before.rfind(b"\n") + 1
            mark = Mark(path, before.count(b"\n") + 1, len(before[start:].decode(errors="replace")) + 1)
            self._report(
                mark,
                f"expected UTF-8 text, found the byte 0x{octets[error.start]:02X}: save the file as UTF-8",
            )
            return None
        if match := Reader.NON_PRINTABLE.search(text):
            mark = _mark_at(path, text, match.start())
            self._report(mark, f"expected text, found the control character U+{ord(match[0]):04X}: remove it")
            return None
        return text

    def _composed(self, path: str, text: str) -> Node | None:
        loader = _LOADER(_Text(path, text))
        try:
            node = loader.get_single_node()
            if (
                "&" in text
            ):  # Without an anchor there is no alias; looking for them takes as long as composing.
                anchor = next(_anchors(path, text), None)
                if anchor:
                    self._report(
                        anchor,
                        "anchors (&), aliases (*) and merge keys (<<) are not used here: put what is shared into a "
                        "profile or an !include, or quote a text that begins with one of these characters",
                    )
                    return None
        except yaml.MarkedYAMLError as error:
            self._report(*_explained(path, text, error))
            return None
        except yaml.YAMLError as error:  # What the reader of characters cannot take; the place is not known.
            self._report(Mark(path), f"expected YAML: {shown(str(error).splitlines()[0])[1:-1]}")
            return None
        finally:
            loader.dispose()
        if node is None:
            start = yaml.Mark(path, 0, 0, 0, None, None)
            return MappingNode("", [], start, start)
        return node

    def _expanded(self, node: Node, within: tuple[str, ...]) -> Node:
        if node.tag == INCLUDE:
            return self._included(node, within)
        if isinstance(node, SequenceNode):
            node.value = list(self._entries(node, within))
        elif isinstance(node, MappingNode):
            node.value = [(key, self._expanded(value, within)) for key, value in node.value]
        return node

    def _entries(self, node: SequenceNode, within: tuple[str, ...]) -> Iterator[Node]:
        for entry in node.value:
            expanded = self._expanded(entry, within)
            if entry.tag == INCLUDE and isinstance(expanded, SequenceNode):
                yield from expanded.value
            else:
                yield expanded

    def _included(self, node: Node, within: tuple[str, ...]) -> Node:
        mark = mark_of(node)
        included: Node | None = None
        if not isinstance(node, ScalarNode) or not node.value:
            self._report(mark, "!include: expected the path of a file")
        elif len(within) > INCLUDED:
            self._report(mark, f"!include: expected at most {INCLUDED} files within each other")
        else:
            path = os.path.normpath(os.path.join(os.path.dirname(mark.file), node.value))  # noqa: PTH118, PTH120  as shown
            included = self.read(path, mark, within)
        return included or ScalarNode(ABSENT, "", node.start_mark, node.end_mark)


def _octets(path: str, most: int) -> bytes:
    # Not a pipe nor a device: opening or reading these may never end.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123  a descriptor
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        return file.read(most)


def _mark_at(path: str, text: str, place: int) -> Mark:
    return Mark(path, text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place))


class _Text(io.StringIO):
    """A text with the name that the marks of its nodes get."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class _DeepError(yaml.MarkedYAMLError):
    pass


class _Untyped:
    """Composes as PyYAML does, but leaves every tag that is not written out empty, and stops where it gets too deep."""

    depth = 0

    def resolve(self, _kind: Any, _value: Any, _implicit: Any) -> str:
        return ""

    def descend_resolver(self, parent: Node | None, _index: Any) -> None:
        self.depth += 1
        if self.depth > NESTING:
            raise _DeepError(
                problem=f"expected at most {NESTING} levels within each other",
                problem_mark=parent.start_mark if parent else None,
            )

    def ascend_resolver(self) -> None:
        self.depth -= 1


class PureLoader(_Untyped, Reader, Scanner, Parser, Composer):
    """The loader in Python, 7 times slower: for a PyYAML that was built without libyaml."""

    def __init__(self, stream: Any) -> None:
        Reader.__init__(self, stream)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)


_LOADER: type[Any] = PureLoader
if yaml.__with_libyaml__:
    from yaml.cyaml import CParser

    class CLoader(_Untyped, CParser):
        """The loader in C."""

    _LOADER = CLoader


def _anchors(path: str, text: str) -> Iterator[Mark]:
    loader = _LOADER(_Text(path, text))
    while loader.check_event():
        event = loader.get_event()
        if getattr(event, "anchor", None):
            mark = event.start_mark
            yield Mark(mark.name, mark.line + 1, mark.column + 1)


_HINTS: Final = (
    ("undefined alias", "a text that begins with * needs quotes"),
    ("another document", "a second document begins here (---): a configuration is one document"),
    (
        "mapping values are not allowed",
        "this `:` is not expected here: look for a line that is indented wrongly or lacks its `:`, or for a text "
        "with `: ` in it that needs quotes",
    ),
    ("could not find expected ':'", "expected `:` after a key"),
    ("did not find expected key", "expected a key: look for a line that is indented wrongly, or for a text that needs quotes"),
    ("expected <block end>", "expected a key or an entry: look for a line that is indented wrongly"),
    ("did not find expected '-' indicator", "expected `- ` before an entry of the list, or a line that is indented less"),
    ("expected ',' or ']'", "a list that was opened with [ is not closed: expected , or ]"),
    ("expected ',' or '}'", "a mapping that was opened with { is not closed: expected , or }"),
    ("unexpected end of stream", "a text that was opened with a quote is not closed"),
    ("unknown escape character", "a backslash in double quotes begins an escape: use single quotes"),
    ("found duplicate anchor", "anchors (&) are not used here"),
    ("undefined tag handle", "expected no tag but !secret and !include; a text that begins with ! needs quotes"),
    ("levels within each other", f"expected at most {NESTING} levels within each other"),
)  # fmt: skip
"""What PyYAML and libyaml say -> what the person is to do. Their own words may quote what was found: a secret even."""


def _explained(path: str, text: str, error: yaml.MarkedYAMLError) -> tuple[Mark, str]:
    at = error.problem_mark or error.context_mark
    mark = Mark(path, at.line + 1, at.column + 1) if at else Mark(path)
    problem = error.problem or ""
    if "cannot start any token" in problem:
        line = text.splitlines()[mark.line - 1 : mark.line] or [""]
        character = line[0][mark.column - 1 : mark.column]
        if character == "\t":
            return mark, "a tab: YAML is indented with spaces"
        return mark, f"a text that begins with {character} needs quotes"
    hint = next((hint for words, hint in _HINTS if words in problem), None)
    return mark, f"expected YAML: {hint or _without_quotations(problem)}"


def _without_quotations(problem: str) -> str:
    """Take out whatever the library quotes from the file."""
    return re.sub(r"""(['"]).{2,}\1""", "...", problem) or "this is not"
