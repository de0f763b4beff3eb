"""Sections, lists, tables and alternatives: every problem at once, each at its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec
import pytest

from agent import document
from agent.fields import Checked, Id, Secret, Unique
from agent.interfaces import Settings


class Inner(Settings, frozen=True):
    """A part."""

    name: Annotated[Id, Unique("part")]
    size: Annotated[int, msgspec.Meta(ge=1, description="How large.")] = 1
    colour: Literal["red", "green"] = "red"

    def __post_init__(self):
        if self.size > 5 and self.colour == "red":
            raise ValueError("colour: a red one cannot be larger than 5")
        if self.size == 4:
            raise ValueError("4 is nobody's size")


class Outer(Settings, frozen=True):
    """The whole."""

    parts: tuple[Inner, ...] = ()
    spare: Inner | None = None
    sizes: Annotated[tuple[int, ...], msgspec.Meta(min_length=1, max_length=2)] | None = None
    labels: Mapping[int, str] = msgspec.field(default_factory=dict)
    either: int | Inner | tuple[int, ...] = 0
    words: frozenset[Literal["a", "b"]] = frozenset()
    password: Secret | None = None
    class_: str = msgspec.field(default="", name="class")
    odd: Annotated[str, Checked(lambda text: "is odd" if len(text) % 2 else None)] = ""


@dataclass(frozen=True)
class Plain:
    """A dataclass serves as well."""

    a: int
    b: list[str] = field(default_factory=list)
    c: int = field(default=3, init=False)


@pytest.fixture
def read(tmp_path):
    def _read(text, type_=Outer):
        path = tmp_path / "one.yaml"
        path.write_text(text, encoding="utf-8")
        return document.read(type_, path)

    return _read


@pytest.fixture
def said(read):
    """The messages about a text, each after its line and column."""
    return lambda text, type_=Outer: [
        f"{p.mark.line}:{p.mark.column} {p.message}" for p in read(text, type_).problems
    ]


def test_everything_is_read(read):
    """Sections, lists, tables and alternatives."""
    found = read(
        """
        parts: [{name: a, size: 2}, {name: b}]
        spare: {name: c, size: 0x6, colour: green}
        sizes: [1]
        labels: {0: off, 0x1: on}
        either: [1, 2]
        words: [a, b, a]
        class: x
        """
    )
    assert not found.problems
    assert found.settings == Outer(
        parts=(Inner(name="a", size=2), Inner(name="b")),
        spare=Inner(name="c", size=6, colour="green"),
        sizes=(1,),
        labels={0: "off", 1: "on"},
        either=(1, 2),
        words=frozenset({"a", "b"}),
        class_="x",
    )
    assert read("either: {name: x}").settings.either == Inner(name="x")
    assert read("either: 7").settings.either == 7
    assert read("{a: 1, b: [x]}", Plain).settings == Plain(1, ["x"])


def test_what_is_left_out_or_empty_has_its_default(read):
    """A section or list without a line in it is as if it were not there."""
    assert read("").settings == Outer()
    assert read("parts:\nspare:\nsizes:\nlabels:\nwords:\n").settings == Outer()


def test_all_problems_at_once(said):
    """Also those of entries beside each other, and inside what is wrong itself."""
    assert said(
        "parts:\n- {name: a b}\n- {size: 0, colour: bleu}\n- 7\nspare: {nmae: x}\nlabels: {x: y}\n"
    ) == [
        "2:10 name: expected a stable name: letters, digits, `_` and `-`, at most 64, starting with a letter or digit; found 'a b'",
        "3:3 name: missing from this inner: expected a stable name: letters, digits, `_` and `-`, at most 64, starting with a letter or digit",
        "3:10 size: expected a whole number of at least 1; found '0'",
        "3:21 colour: expected one of red, green; found 'bleu'",
        "4:3 parts: expected a section with the keys of an inner; found a text",
        "5:8 name: missing from this inner: expected a stable name: letters, digits, `_` and `-`, at most 64, starting with a letter or digit",
        "5:9 nmae: unknown key in this inner: did you mean name?",
        "6:10 labels: expected a whole number; found 'x'",
    ]


def test_what_does_not_fit_together_is_said_at_its_key(said):
    """A type that refuses a combination names the key, or else the section is the place."""
    assert said("parts: [{name: a, size: 6}]") == ["1:9 colour: a red one cannot be larger than 5"]
    assert said("parts: [{name: a, size: 6, colour: red}]") == [
        "1:36 colour: a red one cannot be larger than 5"
    ]
    assert said("parts: [{name: a, size: 4}]") == ["1:9 parts: 4 is nobody's size"]


def test_a_name_is_unique_over_the_whole_document(said):
    """Wherever it stands, and also beside other problems."""
    (message,) = said("parts: [{name: a}]\nspare: {name: a}\n")
    assert message.startswith("2:15 name: expected a name of its own for this part; found 'a' again")
    assert message.endswith("one.yaml:1:16")
    _, message = said("parts: [{name: a, size: 0}]\nspare: {name: a}\n")
    assert message.startswith("2:15 name: expected a name of its own")


def test_lengths_are_bounded(said):
    """Of lists and tables."""
    assert said("sizes: []") == ["1:8 sizes: expected a list of 1 to 2; found 0"]
    assert said("sizes: [1, 2, 3]") == ["1:8 sizes: expected a list of 1 to 2; found 3"]


def test_keys_of_a_table_are_unique_by_what_they_mean(said):
    """0x1 and 1 are one number."""
    assert said("labels: {1: a, 0x1: b}") == ["1:16 labels: 0x1 is given twice"]


def test_a_doubt_is_a_warning(read):
    """It stops nothing."""
    found = read("odd: abc")
    assert found.settings.odd == "abc"
    assert [problem.message for problem in found.warnings] == ["odd: is odd"]


@pytest.mark.parametrize(
    "written",
    ["hunter2", '"hunter2"', "[hunter2]", "{hunter2: x}", "{x: hunter2}", "!hunter2", "!hunter2 x", "!!str hunter2",
     "!secret hunter 2!", "!secret [hunter2]", "|\n  hunter2\n", "*hunter2", "&hunter2 x", "%hunter2", "'hunter2",
     '"\\hunter2"', "hunter2: x", "!secret\n  hunter2: x"],
)  # fmt: skip
@pytest.mark.parametrize("key", ["password", "pasword", "password: x\npassword"])
def test_what_stands_in_the_place_of_a_secret_is_never_said(said, key, written):
    """It may be the secret itself."""
    messages = said(f"{key}: {written}\n")
    assert messages
    assert "hunter" not in "".join(messages)


@pytest.mark.parametrize(
    "text",
    [
        "{password hunter2}",
        "password hunter2",
        "- password hunter2",
        "parts: [password hunter2]",
        "parts: password hunter2",
        "spare: {name: x, password=hunter2}",
    ],
)
def test_a_line_that_lost_its_colon_is_not_said_in_full(said, text):
    """It may be the one with the password."""
    messages = said(text)
    assert messages
    assert "hunter" not in "".join(messages)


@pytest.mark.parametrize(
    "type_", [complex, object, tuple[int, str], Inner | Outer, tuple[int, ...] | list[str], type("X", (), {})]
)
def test_what_cannot_be_a_setting_is_a_mistake_of_its_author(type_):
    """Said when the type is first used: no configuration could be right."""
    with pytest.raises(TypeError):
        document.schema(type_)


def test_places_are_found_by_path(read, tmp_path):
    """The place of a value; of what is around it where it is not written."""
    places = read("parts:\n- {name: a}\n- name: b\n  size: 2\n").places
    mark = str(tmp_path / "one.yaml")
    assert places.mark() == (mark, 1, 1)
    assert places.mark("parts", 1, "size") == (mark, 4, 9)
    assert places.mark("parts", 0, "size") == (mark, 2, 3)
    assert places.mark("parts", 7, "size") == (mark, 2, 1)
    assert places.mark("nothing") == (mark, 1, 1)
