"""Topic templates: whatever a template lets through is a topic that a broker takes."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.topics import LONGEST_TOPIC, Template

FIELDS = ("gateway", "device", "class")
IDS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64)

WRONG = [
    (
        "a/{devise}",
        "there is no field {devise} here; did you mean {device}? (known: {class} {device} {gateway})",
    ),
    ("a/{0}", "there is no field {0} here (known"),
    ("a/{}", "there is no field {} here"),
    ("a/{device.x}", "there is no field {device.x} here"),
    ("a/{device[0]}", "there is no field {device[0]} here"),
    ("a/{device", "a brace without its partner"),
    ("a/device}", "a brace without its partner"),
    ("a/{device!r}", "a field is a name in braces and nothing else"),
    ("a/{device:>9}", "a field is a name in braces and nothing else"),
    ("a/{device:{class}}", "a field is a name in braces and nothing else"),
    ("a/+/b", "contains '+'"),
    ("a/#", "contains '#'"),
    ("a\nb", "contains '\\n'"),
    ("a\0b", "contains '\\x00'"),
    ("a\ud800b", "contains '\\ud800'"),
    ("", "has an empty level"),
    ("/a", "has an empty level"),
    ("a//b", "has an empty level"),
    ("a/", "has an empty level"),
    ("$SYS/a", "starts with $"),
    ("a" * 513, "512 is the limit"),
    ("/".join(["{device}"] * 8), "512 is the limit"),
]


@pytest.mark.parametrize(("text", "words"), WRONG, ids=lambda text: ascii(text)[:20])
def test_what_is_wrong_is_said_when_the_template_is_made(text: str, words: str) -> None:
    """Never later, when there are readings to send."""
    with pytest.raises(ValueError, match=re.escape(words)):
        Template(text, FIELDS)


def test_fields_are_filled_in() -> None:
    """With more values than the template asks for; a doubled brace is a brace."""
    template = Template("a/{gateway}/{{x}}/{device}", FIELDS)
    assert template.fields == {"gateway", "device"}
    assert template.fill({"gateway": "g", "device": "d", "class": "c"}) == "a/g/{x}/d"


@given(
    st.text(max_size=30)
    | st.lists(st.sampled_from(["a", "{device}", "/", "{class}", "å", "$"]), max_size=9).map("".join),
    IDS,
)
@settings(deadline=None)
def test_what_is_let_through_is_a_topic(text: str, value: str) -> None:
    """MQTT 5.0, 4.7: no wildcard, no NUL, not empty, not the broker's own; and here no empty level, and not too long."""
    try:
        template = Template(text, FIELDS)
    except ValueError:
        return
    topic = template.fill(dict.fromkeys(FIELDS, value))
    assert all(topic.split("/"))
    assert not set(topic) & set("+#\0")
    assert not topic.startswith("$")
    assert len(topic.encode()) <= LONGEST_TOPIC
