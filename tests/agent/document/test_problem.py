"""Problems are said in order, each once, and without anything that a terminal would obey."""

import gc

from agent import document
from agent.document import Mark, Problem, Problems
from agent.document.problem import closest, listed, meant, one_of, shown


def test_each_is_said_once_in_the_order_of_files_and_lines():
    """A profile with a mistake is named by fifty devices, and has one mistake."""
    b2, a9, a10 = (Problem(Mark(file, line), "x: no") for file, line in (("b", 2), ("a", 9), ("a", 10)))
    assert Problems([b2, a10, a9, b2, a10]).problems == (b2, a9, a10)
    assert str(Problems([a10, a9, a9])) == "a:9:1: x: no\na:10:1: x: no"


def test_what_was_found_is_shortened_and_printable():
    """Escape sequences, line ends and directions of writing are escaped."""
    assert shown("a\x1b[31m\n\u202e") == "'a\\x1b[31m\\n\\u202e'"
    assert len(shown("x" * 1000)) < 70


def test_names_are_guessed_whatever_their_case():
    """By difflib; nothing is guessed from afar, and long texts cost nothing."""
    assert meant("Prot", ["port", "host"]) == ": did you mean port?"
    assert meant("request-delay", ["request_delay"]) == ": did you mean request_delay?"
    assert meant("x", ["port"]) == ""
    assert closest("y" * 10**6, ["port"]) is None


def test_names_are_listed_up_to_a_point():
    """A list of a hundred profiles helps nobody."""
    assert listed(map(str, range(25))).endswith("19 and 5 more")
    assert (one_of(["a"]), one_of(["a", "b"]), one_of([])) == (
        "a",
        "one of a, b",
        "nothing, for there is none",
    )


def test_garbage_collection_is_as_it_was(tmp_path):
    """It only rests while a configuration is read."""
    (tmp_path / "a.yaml").write_text("- x")
    for switch, enabled in ((gc.disable, False), (gc.enable, True)):
        switch()
        document.read(list[str], tmp_path / "a.yaml")
        assert gc.isenabled() is enabled
