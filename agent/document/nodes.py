"""YAML text -> nodes with their places. The only module that knows the YAML library.

Nodes are composed and nothing is ever constructed: no tag of a file can make an object. Implicit types are not
resolved either; a plain scalar is a text until somebody wants something of it.

A configuration is to be understood where it stands. So there are no anchors, aliases and merge keys (what is shared
belongs into a profile or an included file); what they would multiply, and how deep they would lead, need not be asked.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from agent.document.problem import Mark

__all__ = ["MappingNode", "Node", "ScalarNode", "SequenceNode", "Unreadable", "composed", "entry", "mark_of"]

NESTING: Final = 32
"""A point's place is nine levels deep. With includes in includes it stays far from Python's limit of recursion."""


class Unreadable(Exception):
    """The text is no YAML, or none that is used here."""

    def __init__(self, mark: Mark, message: str) -> None:
        super().__init__(message)
        self.mark = mark
        self.message = message


def mark_of(node: Node) -> Mark:
    """Where a node begins."""
    mark = node.start_mark
    return Mark(mark.name, mark.line + 1, mark.column + 1)


def entry(key: str, value: ScalarNode) -> MappingNode:
    """A section with one key in it, in the place of the value alone."""
    mark = value.start_mark
    return MappingNode("", [(ScalarNode("", key, mark, mark), value)], mark, value.end_mark)


def composed(name: str, text: str, loader_type: type[Any] | None = None) -> Node:
    """Compose the one document of a text; an empty one is an empty mapping. Raises `Unreadable`.

    `name` is the file in the marks. Nodes have a tag only where one is written out.
    """
    if match := Reader.NON_PRINTABLE.search(text):
        raise Unreadable(
            _mark_at(name, text, match.start()),
            f"expected text, found the control character U+{ord(match[0]):04X}: remove it",
        )
    loader = (loader_type or LOADER)(_Text(name, text))
    try:
        node: Node | None = loader.get_single_node()
        # Without an anchor there is no alias. Looking for one takes as long as composing did.
        anchor = next(_anchors(name, text), None) if "&" in text else None
    except yaml.MarkedYAMLError as error:
        raise Unreadable(*_explained(name, text, error)) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # A text outside what the library can take, such as the escape of a character that does not exist.
        raise Unreadable(
            Mark(name), "expected YAML: there is a character here that cannot be read"
        ) from error
    finally:
        loader.dispose()
    if anchor:
        raise Unreadable(
            anchor,
            "anchors (&), aliases (*) and merge keys (<<) are not used here: put what is shared into a profile or an "
            "!include; a text that begins with & or * needs quotes",
        )
    if node is None:
        start = yaml.Mark(name, 0, 0, 0, "", 0)
        return MappingNode("", [], start, start)
    return node


def _mark_at(name: str, text: str, place: int) -> Mark:
    return Mark(name, text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place))


class _Text(io.StringIO):
    """A text with the name that the marks of its nodes get."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class _Untyped:
    """Composes as PyYAML does, but leaves every tag that is not written out empty, and stops where it gets too deep."""

    depth = 0

    def resolve(self, _kind: Any, _value: Any, _implicit: Any) -> str:
        return ""

    def descend_resolver(self, parent: Node | None, _index: Any) -> None:
        self.depth += 1
        if self.depth > NESTING and parent is not None:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=parent.start_mark)

    def ascend_resolver(self) -> None:
        self.depth -= 1


class PureLoader(_Untyped, Reader, Scanner, Parser, Composer):
    """The loader in Python, seven times slower: for a PyYAML that was built without libyaml."""

    def __init__(self, stream: Any) -> None:
        Reader.__init__(self, stream)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)


LOADER: type[Any] = PureLoader
if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class CLoader(_Untyped, CParser):
        """The loader in C."""

    LOADER = CLoader


def _anchors(name: str, text: str) -> Iterator[Mark]:
    loader = LOADER(_Text(name, text))
    while loader.check_event():
        event = loader.get_event()
        if getattr(event, "anchor", None):
            yield Mark(name, event.start_mark.line + 1, event.start_mark.column + 1)


_TOO_DEEP: Final = f"expected at most {NESTING} levels within each other"
_INDENTED: Final = "look for a line that is indented wrongly, or for a text that needs quotes"
_HINTS: Final = {
    _TOO_DEEP: _TOO_DEEP,
    "undefined alias": "a text that begins with * needs quotes",
    "duplicate anchor": "anchors (&) are not used here",
    "another document": "expected one document, found a second that begins here (---)",
    "mapping values are not allowed": (
        "this `:` is not expected here; the line may be indented wrongly, the one before it may lack its `:`, "
        "or a text with `: ` in it lacks quotes"
    ),
    "could not find expected ':'": "expected `:` after this key",
    "did not find expected key": f"expected a key: {_INDENTED}",
    "did not find expected '-' indicator": f"expected `- ` before the next entry: {_INDENTED}",
    "expected <block end>": f"expected a key or an entry: {_INDENTED}",
    "expected ',' or ']'": "expected `,` or `]`: the list that was opened with `[` is not closed",
    "expected ',' or '}'": "expected `,` or `}`: the keys that were opened with `{` are not closed",
    "expected node content": f"expected a value: {_INDENTED}",
    "unexpected end of stream": "a text that was opened with a quote is not closed",
    "unknown escape character": "a backslash in double quotes begins an escape: use single quotes",
    "undefined tag handle": "expected no tag but !secret and !include; a text that begins with ! needs quotes",
}
"""What PyYAML and libyaml say -> what a person can do. Their own words may quote the file: even a secret."""


def _explained(name: str, text: str, error: yaml.MarkedYAMLError) -> tuple[Mark, str]:
    at = error.problem_mark or error.context_mark
    mark = Mark(name, at.line + 1, at.column + 1) if at else Mark(name)
    problem = error.problem or ""
    if "cannot start any token" in problem:
        line = "".join(text.splitlines()[mark.line - 1 : mark.line])
        character = line[mark.column - 1 : mark.column]
        if character == "\t":
            return mark, "expected spaces, found a tab: YAML is indented with spaces"
        return mark, f"a text that begins with {character} needs quotes"
    hint = next((hint for words, hint in _HINTS.items() if words in problem), None)
    return mark, hint or f"expected YAML: {_without_quotations(problem)}"


def _without_quotations(problem: str) -> str:
    return re.sub(r"""(['"]).{2,}\1""", "...", problem) or "this cannot be read"
