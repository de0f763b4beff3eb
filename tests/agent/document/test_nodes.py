"""YAML is composed to nodes: the same by both loaders, bounded, and never an object."""

import time

import pytest
import yaml
from hypothesis import given, strategies
from hypothesis import settings as hypothesis_settings
from yaml.nodes import ScalarNode, SequenceNode

from agent.document import nodes
from agent.document.nodes import PureLoader, Unreadable, composed, mark_of
from agent.document.problem import Mark

YAMLISH = strategies.text(alphabet="ab:-[]{},#'\"|>&*!%@`?\n\t 0.~\\<=\x85\ufeff\U0001f600", max_size=60)


def plain(node):
    """A tree of nodes as Python lists, with tags and places."""
    mark = mark_of(node)
    if isinstance(node, ScalarNode):
        return node.tag, node.value, mark
    if isinstance(node, SequenceNode):
        return node.tag, [plain(each) for each in node.value], mark
    return node.tag, [(plain(key), plain(value)) for key, value in node.value], mark


def test_the_loader_in_c_is_used():
    """PyYAML's wheels have libyaml: seven times faster."""
    assert nodes.LOADER is not PureLoader


@pytest.mark.parametrize("loader", [nodes.LOADER, PureLoader])
def test_nodes_have_texts_places_and_only_the_tags_that_are_written(loader):
    """Nothing is resolved: an integer is a text, and no tag is understood here."""
    root = composed("a.yaml", "x: 1\ny: [on, !secret z]\nö: |\n  a\n  b\n", loader)
    assert plain(root) == (
        "",
        [
            (("", "x", Mark("a.yaml", 1, 1)), ("", "1", Mark("a.yaml", 1, 4))),
            (
                ("", "y", Mark("a.yaml", 2, 1)),
                (
                    "",
                    [("", "on", Mark("a.yaml", 2, 5)), ("!secret", "z", Mark("a.yaml", 2, 9))],
                    Mark("a.yaml", 2, 4),
                ),
            ),
            (("", "ö", Mark("a.yaml", 3, 1)), ("", "a\nb\n", Mark("a.yaml", 3, 4))),
        ],
        Mark("a.yaml", 1, 1),
    )


@pytest.mark.parametrize("loader", [nodes.LOADER, PureLoader])
@pytest.mark.parametrize("text", ["", "\n", "# a comment\n", "---\n", "\ufeff"])
def test_nothing_is_an_empty_section(loader, text):
    """So what is missing in it can be said."""
    root = composed("a.yaml", text, loader)
    assert root.value in ([], "")


@pytest.mark.parametrize("loader", [nodes.LOADER, PureLoader])
@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a:\n\tb: 1\n", (2, 1), "spaces, found a tab"),
        ("a: %\n", (1, 4), "begins with % needs quotes"),
        ("a: @b\n", (1, 4), "begins with @ needs quotes"),
        ("a: *b\n", (1, 4), "begins with * needs quotes"),
        ("a: &b 1\n", (1, 4), "anchors"),
        ("a: &b 1\nc: *b\n", (1, 4), "anchors"),
        ("&a [*a]\n", (1, 1), "anchors"),
        ("a: b: c\n", (1, 5), "this `:` is not expected here"),
        ("a: 1\n---\nb: 2\n", (2, 1), "one document"),
        ('a: "b\n', None, "not closed"),
        ("a: [1, 2\n", None, "not closed"),
        ("a:\n  b: 1\n c: 2\n", (3, 2), "indented wrongly"),
        ('a: "\\q"\n', None, "use single quotes"),
        ("a: \x07\n", (1, 4), "control character U+0007"),
        ("a: !e!b 1\n", (1, 4), "needs quotes"),
    ],
)  # fmt: skip
def test_what_is_no_yaml_says_what_to_do(loader, text, place, words):
    """By both loaders, though their own words differ; never with the words of the file, which may be a secret."""
    with pytest.raises(Unreadable) as raised:
        composed("a.yaml", text, loader)
    assert words in raised.value.message
    assert place is None or raised.value.mark[1:] == place


@pytest.mark.parametrize("loader", [nodes.LOADER, PureLoader])
@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "{a: " * 5000,
        "- " * 5000,
        "? " * 5000,
        "a:\n" + "".join(" " * n + "a:\n" for n in range(1, 300)),
    ],
)
def test_deep_nesting_is_refused(loader, text):
    """No recursion gets as deep as Python's limit, or as the C stack's."""
    with pytest.raises(Unreadable):
        composed("a.yaml", text, loader)


def test_what_is_very_deep_is_refused_at_once():
    """Refused where it gets too deep, not after all of it was read."""
    begun = time.process_time()
    with pytest.raises(Unreadable):
        composed("a.yaml", "[" * 5_000_000)
    assert time.process_time() - begun < 5  # 0.1 s; a parser that reads all of it takes many times that


def test_no_tag_makes_an_object():
    """Tags are texts here, also those that made PyYAML run commands."""
    root = composed("a.yaml", "a: !!python/object/apply:os.system ['exit 1']\n")
    assert root.value[0][1].tag == "tag:yaml.org,2002:python/object/apply:os.system"


@given(YAMLISH)
@hypothesis_settings(deadline=None, max_examples=400)
def test_any_text_is_nodes_or_a_message(text):
    """With a place in it, whatever the text; by both loaders."""
    lines = text.count("\n") + text.count("\x85") + 2
    for loader in (nodes.LOADER, PureLoader):
        try:
            place = mark_of(composed("a.yaml", text, loader))
        except Unreadable as error:
            place = error.mark
        assert 1 <= place.line <= lines
        assert place.column >= 1


DATA = strategies.recursive(
    strategies.text(alphabet="abc:# -'\"\n\tä0", max_size=8),
    lambda inner: (
        strategies.lists(inner, max_size=4)
        | strategies.dictionaries(strategies.text("abc", min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(DATA, strategies.booleans())
@hypothesis_settings(deadline=None)
def test_both_loaders_compose_the_same(data, flow):
    """What a program writes as YAML has the same nodes at the same places by both."""
    text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True)
    if "&" not in text:
        assert plain(composed("a", text, PureLoader)) == plain(composed("a", text, nodes.LOADER))
