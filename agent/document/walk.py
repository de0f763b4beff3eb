"""The walk over the nodes of a configuration: what each kind of setting is to it, and what it gathers on its way.

A `Kind` knows one type of setting: how it is read from a node, what is expected of it in words, and its JSON schema.
Kinds hold no state; everything that belongs to one reading of one configuration is in the `Walk`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, NamedTuple, Protocol

from agent.document.nodes import MappingNode, Node, ScalarNode, SequenceNode, mark_of
from agent.document.problem import Mark, Problem, shown
from agent.document.source import ABSENT, SECRET, Files
from agent.fields import Secret

Json = dict[str, Any]


class _Wrong:
    """What is read where there was a problem, which has been reported: `None` is a value."""

    def __repr__(self) -> str:
        return "WRONG"


WRONG: Final = _Wrong()


class Kind(Protocol):
    """One type of setting."""

    @property
    def expected(self) -> str:
        """What is expected, as it stands in a sentence: `a whole number from 1 to 65535`."""

    @property
    def secret(self) -> bool:
        """Whether a secret belongs here: then nothing of what is found is ever shown."""

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Read a value; `WRONG` when there is a problem, which is reported to the walk. `name` is its key."""

    def schema(self, definitions: Json) -> Json:
        """JSON schema of what is read; named sections are put into `definitions`."""

    def written(self, value: Any) -> Any:
        """A value as it is written, as JSON; raises `LookupError` for one that is not worth showing as a default."""


class Plug(NamedTuple):
    """The settings of one plug-in, and the module that they are for."""

    group: str
    name: str
    module: ModuleType
    settings: Any
    node: Node


MOST: Final = 1000
"""Problems that are kept, and doubts. Who has more has the wrong file."""


class Walk:
    """One reading of one configuration."""

    def __init__(self, look_up: Callable[[str], str] | None) -> None:
        self.look_up = look_up
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.secrets: list[tuple[Mark, Secret]] = []
        self.plugs: list[Plug] = []
        self.filed: dict[tuple[str, int], tuple[Any, Node | None] | None] = {}
        """What each file that is named holds, by its path and the id of its kind: read once, shared by all that name it.
        `None` while it is being read."""
        self.named: dict[int, Node] = {}
        """By the id of the node that names a file: what the file holds."""
        self._unique: dict[tuple[str, str], Node] = {}
        self.files = Files(self._report)

    def _report(self, mark: Mark, message: str) -> None:
        if len(self.problems) < MOST:
            self.problems.append(Problem(mark, message))
        elif len(self.problems) == MOST:
            self.problems.append(
                Problem(mark, f"{MOST} problems are enough: those from here on are not listed")
            )

    def problem(self, node: Node, message: str) -> _Wrong:
        """Report that something is wrong; gives `WRONG`, for the caller to return."""
        self._report(mark_of(node), message)
        return WRONG

    def warning(self, node: Node, message: str) -> None:
        """Report that something is doubtful."""
        if len(self.warnings) < MOST:
            self.warnings.append(Problem(mark_of(node), message))

    def unexpected(self, kind: Kind, node: Node, name: str, hint: str = "") -> _Wrong:
        """Report that a node is not what this kind expects."""
        return self.problem(node, f"{name}: expected {kind.expected}; found {found(node)}{hint}")

    def unlike(self, kind: Kind, node: Node, name: str, hint: str = "") -> _Wrong:
        """The same where something of several lines is expected. A word is not shown: it may be a password without its key."""
        if isinstance(node, ScalarNode):
            return self.problem(node, f"{name}: expected {kind.expected}; found a text{hint}")
        return self.unexpected(kind, node, name)

    def tagged(self, kind: Kind, node: Node, name: str) -> Any:
        """Read a node that has a tag."""
        if node.tag == ABSENT:
            return WRONG
        if node.tag == SECRET or kind.secret:
            # The kind says what it thinks of it; a tag where a secret belongs may be the secret itself.
            return kind.read(node, self, name)
        tag = node.tag.replace("tag:yaml.org,2002:", "!!")
        return self.problem(
            node,
            f"{name}: expected no tag but !secret and !include; found {shown(tag)}: "
            "a text that begins with ! needs quotes",
        )

    def unique(self, of: str, text: str, node: Node, name: str) -> None:
        """Report a name that something else has already."""
        first = self._unique.setdefault((of, text), node)
        if first is not node:
            self.problem(
                node,
                f"{name}: expected a name of its own for this {of}; found {shown(text)} again: the first is at {mark_of(first)}",
            )


def is_nothing(node: Node) -> bool:
    """Whether a key stands there with nothing behind it."""
    return isinstance(node, ScalarNode) and not node.value and is_plain(node)


def is_plain(node: ScalarNode) -> bool:
    """Whether a word stands there without quotes and without a tag."""
    return not node.style and not node.tag  # libyaml and PyYAML differ in what style that is


def found(node: Node) -> str:
    """What stands there, in words."""
    if isinstance(node, SequenceNode):
        return "a list"
    if isinstance(node, MappingNode):
        return "a section of keys"
    return "nothing" if is_nothing(node) else shown(node.value)


class Places:
    """Where in which file each value stands: found when it is asked for, in the nodes."""

    def __init__(self, root: Node, named: dict[int, Node]) -> None:
        self._root = root
        self._named = named

    def mark(self, *path: str | int, within: Node | None = None) -> Mark:
        """The place of `("links", 0, "host")`; of what is around it, where it is not written."""
        node = within or self._root
        for step in path:
            inner = self._inner(self._named.get(id(node), node), step)
            if inner is None:
                break
            node = inner
        return mark_of(node)

    @staticmethod
    def _inner(node: Node, step: str | int) -> Node | None:
        if isinstance(step, int):
            entries = node.value if isinstance(node, SequenceNode) else ()
            return entries[step] if step < len(entries) else None
        pairs = node.value if isinstance(node, MappingNode) else ()
        return next((value for key, value in pairs if key.value == step), None)
