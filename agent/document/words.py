"""Settings that are one word: a number, a text, a choice, a path, the name of a secret.

A number does not care whether it is in quotes, a text is exactly what is written, and no word means anything by itself:
`yes` is a boolean only where a boolean is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.document.nodes import Node, ScalarNode, SequenceNode, mark_of
from agent.document.parse import whole
from agent.document.problem import meant, one_of
from agent.document.source import SECRET
from agent.document.walk import Json, Walk, found, is_nothing, is_plain
from agent.fields import Secret
from agent.secrets import NAME as SECRET_NAME

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A setting that is one word."""

    expected: str
    parse: Callable[[str], Any]
    shape: Json
    """Its JSON schema."""
    within: Callable[[Any], bool] | None = None
    """Whether a value is one of those that are allowed here."""
    ask: Callable[[Any], str] | None = None
    """What a value that is not allowed may have been meant as, in words; nothing if it is none that is known."""
    write: Callable[[Any], Any] = str
    """The opposite of `parse`, as JSON."""

    secret = False

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Read a value from its text."""
        if type(node) is not ScalarNode or node.tag:
            return walk.unexpected(self, node, name)
        try:
            value = self.parse(node.value)
        except ValueError as error:
            return walk.unexpected(self, node, name, f": {error}" if error.args and error.args[0] else "")
        if self.within is not None and not self.within(value):
            return walk.unexpected(self, node, name, self.ask(value) if self.ask else "")
        return value

    def schema(self, definitions: Json) -> Json:  # noqa: ARG002  a word defines nothing
        """What an editor takes for such a word."""
        return self.shape

    def written(self, value: Any) -> Any:
        """The opposite of reading."""
        return self.write(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text exactly as it is written."""

    expected: str = "a text"
    pattern: re.Pattern[str] | None = None
    least: int = 0
    greatest: int | None = None
    check: Callable[[str], str | None] | None = None
    unique_of: str | None = None
    shape: Json = field(default_factory=dict)
    """What its JSON schema has beside the type."""

    secret = False

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Take the text, if it is one that may stand here."""
        if type(node) is not ScalarNode or node.tag:
            return walk.unexpected(self, node, name, self._hint(node))
        text = node.value
        if not text and is_plain(node):
            return walk.unexpected(self, node, name)
        if (
            (self.pattern is not None and not self.pattern.search(text))
            or len(text) < self.least
            or (self.greatest is not None and len(text) > self.greatest)
        ):
            return walk.unexpected(self, node, name)
        if not text.isprintable() and _CONTROL.search(text):
            return walk.unexpected(self, node, name, ": control characters cannot be sent on")
        if self.check is not None:
            try:
                doubt = self.check(text)
            except ValueError as error:
                return walk.problem(node, f"{name}: {error}")
            if doubt:
                walk.warning(node, f"{name}: {doubt}")
        if self.unique_of is not None:
            walk.unique(self.unique_of, text, node, name)
        return text

    def _hint(self, node: Node) -> str:
        if node.tag == SECRET:
            return ": what this is need not be secret"
        if self.check is not None and type(node) is SequenceNode and node.flow_style and len(node.value) == 1:
            # `unit: [ppm]` is a list in YAML.
            inner = node.value[0]
            return f': did you mean "[{inner.value}]", in quotes?' if type(inner) is ScalarNode else ""
        return ""

    def schema(self, definitions: Json) -> Json:  # noqa: ARG002  a word defines nothing
        """An editor takes `1234` for a number and `on` for a boolean; here they are texts, so it must allow them."""
        return {"type": ["string", "number", "boolean"], **self.shape}

    def written(self, value: str) -> str:
        """As it is."""
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words: an enumeration or a `Literal`."""

    words: Mapping[str, Any]
    ask: Callable[[str], str] | None = None
    """What a word that is none of them may have been meant as, where spelling does not tell."""

    secret = False

    @property
    def expected(self) -> str:
        """All of them."""
        return one_of(self.words)

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Find the word."""
        if type(node) is not ScalarNode or node.tag:
            return walk.unexpected(self, node, name)
        try:
            return self.words[node.value]
        except KeyError:
            asked = self.ask(node.value) if self.ask else ""
            return walk.unexpected(self, node, name, asked or meant(node.value, self.words))

    def schema(self, definitions: Json) -> Json:  # noqa: ARG002  a word defines nothing
        """The words; numbers too where an editor would read one, booleans where it would read that."""
        also = [value for word in self.words for value in _as_read_by_editors(word)]
        return {"enum": [*self.words, *also]}

    def written(self, value: Any) -> str:
        """The word for a value."""
        for word, each in self.words.items():
            if each == value:
                return word
        raise LookupError(value)


def _as_read_by_editors(word: str) -> list[Any]:
    """What YAML 1.2's core schema makes of a plain word, where that is no text."""
    if word in {"true", "false"}:
        return [word == "true"]
    try:
        return [whole(word)]
    except ValueError:
        return []


@dataclass(frozen=True, slots=True)
class SecretName:
    """A secret by reference. What stands here in its place is never shown: it may be the secret."""

    expected = "a secret by reference, such as !secret mqtt-password"
    secret = True

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Take the name; the text is looked up by whoever needs it."""
        if not (isinstance(node, ScalarNode) and node.tag == SECRET):
            kept = ": a secret is not written here, but kept as a systemd credential or in a file of its own"
            shows = found(node) if is_nothing(node) else "something else"
            return walk.problem(node, f"{name}: expected {self.expected}; found {shows}{kept}")
        if not SECRET_NAME.fullmatch(node.value):
            return walk.problem(
                node,
                f"{name}: expected the name of a secret of letters, digits, `_`, `-` and `.`; found another text",
            )
        secret = Secret(node.value, walk.look_up)
        walk.secrets.append((mark_of(node), secret))
        return secret

    def schema(self, definitions: Json) -> Json:  # noqa: ARG002  a word defines nothing
        """An editor shows the name without its tag."""
        return {"type": "string", "pattern": f"^{SECRET_NAME.pattern}$", "description": "!secret NAME."}

    def written(self, value: Any) -> Any:
        """Never a default."""
        raise LookupError(value)


@dataclass(frozen=True, slots=True)
class File:
    """A path; one that is not absolute begins at the folder of the file that it is written in."""

    expected = "the path of a file or folder"
    secret = False

    def read(self, node: Node, walk: Walk, name: str) -> Any:
        """Take the path. Whether something is there is seen by whoever opens it."""
        text = Text(expected=self.expected, least=1).read(node, walk, name)
        return Path(mark_of(node).file).parent / text if isinstance(text, str) else text

    def schema(self, definitions: Json) -> Json:  # noqa: ARG002  a word defines nothing
        """A text."""
        return {"type": "string", "minLength": 1}

    def written(self, value: Path) -> str:
        """As it is."""
        return str(value)
