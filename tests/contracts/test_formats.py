"""Every payload format behind the seam is found here and held to `agent.upstream.Format` and `FormatSession`."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import plugins
from agent.command import Command
from agent.fields import Place
from agent.sample import Lane, Point, Reason, Row, Sample, Shape, ValueType
from agent.upstream import FormatBase, FormatSession, Gateway, Message, Span

FORMATS = plugins.names("formats")
GATEWAY = Gateway(id="demo-01", place=Place(site="brukshuset", building="a"), version="0.1.0")
SHAPES = (
    Shape(
        "meter-1",
        (
            Point(name="voltage", unit="V", quantity_kind="Voltage"),
            Point(name="energy", type=ValueType.DECIMAL, unit="kW.h"),
            Point(name="count", type=ValueType.INTEGER),
            Point(name="door", type=ValueType.BOOLEAN),
        ),
    ),
    Shape(
        "label-1", (Point(name="text", type=ValueType.TEXT), Point(name="odd", type=ValueType.TEXT, unit="%"))
    ),
)
POINTS = {shape.device: shape.points for shape in SHAPES}


def begun(name: str) -> FormatSession:
    """A session with every setting at its default."""
    return plugins.format_(name).session(plugins.settings_type("formats", name)(kind=name), GATEWAY)


def rows(count: int = 20) -> list[Row]:
    """Rows of two stores, good and bad, trusted and not, whole and filtered."""
    sent, number = [], 1000
    for index in range(count):
        shape = SHAPES[index % 2]
        width = len(shape.points)
        bad = index % 5 == 4
        good = (230.1 + index, index * 1000, 2**60 + index, True) if width == 4 else ('a, "b"\n☃', "")
        sample = Sample(
            shape,
            index,
            (None,) * width if bad else good,
            bytes([Reason.TIMEOUT]) * width if bad else b"",
            (0, 250, 0, 1)[:width] if index % 3 == 0 else (),
        )
        cells = None if index % 4 else (0,)
        sent.append(Row("ab"[index % 7 == 6] * 32, number, sample, 10**18 + index, index % 2 == 0, cells))
        number += width
    return sent


def assert_sound(messages: Sequence[Message]) -> None:
    """Each is something that can be published: a topic without wildcards or empty levels, bytes, QoS 0 or 1."""
    for message in messages:
        assert type(message.payload) is bytes
        assert message.qos in {0, 1}
        assert all(message.topic.split("/")), message.topic
        assert not set(message.topic) & set("+#\0"), message.topic
        message.topic.encode()


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_a_module_with_settings_and_a_session(name: str) -> None:
    """Its settings derive from `FormatBase`, explain themselves, and have a default for everything but `kind`."""
    module = plugins.find("formats", name)
    type_ = plugins.settings_type("formats", name)
    assert issubclass(type_, FormatBase)
    assert type_(kind=name).kind == name
    assert inspect.getdoc(module)
    assert inspect.getdoc(type_)
    for field in msgspec.structs.fields(type_):
        assert field.name == "kind" or not field.required
    begun(name)


@pytest.mark.parametrize("name", FORMATS)
def test_what_frames_a_conversation_covers_no_readings(name: str) -> None:
    """Will, opening and closing messages are sound, and settle nothing."""
    conversation = begun(name)
    will = conversation.will()
    frame = [*([] if will is None else [will]), *conversation.opened(POINTS), *conversation.closing()]
    assert_sound(frame)
    assert [message for message in frame if message.covers] == []
    assert_sound(conversation.opened({}))


@pytest.mark.parametrize("lane", list(Lane))
@pytest.mark.parametrize("name", FORMATS)
def test_every_row_is_covered_whole_or_held(name: str, lane: Lane) -> None:
    """What a message covers are whole rows that it was given, each once in each message; QoS 0 covers none."""
    sent = rows()
    spans = {Span(row.store, row.number, row.end) for row in sent}
    conversation = begun(name)
    conversation.opened(POINTS)
    for limit in (10**6, 1000, 600):
        messages = conversation.encode(sent, lane, limit)
        assert_sound(messages)
        for message in messages:
            assert set(message.covers) <= spans
            assert max(Counter(message.covers).values(), default=1) == 1
            assert message.qos == 1 or not message.covers


@pytest.mark.parametrize("name", FORMATS)
def test_no_message_is_longer_than_the_limit(name: str) -> None:
    """At a limit that holds any single reading of these, none is longer, and everything is covered all the same."""
    conversation = begun(name)
    conversation.opened(POINTS)
    for limit in (600, 1000, 5000, 100_000):
        messages = conversation.encode(rows(), Lane.LIVE, limit)
        assert max(len(message.payload) for message in messages) <= limit


@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_made_of_nothing(name: str) -> None:
    """No rows, no messages."""
    assert list(begun(name).encode([], Lane.LIVE, 1000)) == []


@pytest.mark.parametrize("name", FORMATS)
def test_it_is_pure(name: str) -> None:
    """Two sessions that are told the same say the same; none changes what it was given."""
    first, second = begun(name), begun(name)
    for conversation in (first, second):
        conversation.opened(POINTS)
    assert first.encode(rows(), Lane.LIVE, 2000) == second.encode(rows(), Lane.LIVE, 2000)


@pytest.mark.parametrize("name", FORMATS)
@given(topic=st.text(max_size=50), payload=st.binary(max_size=200))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_from_upstream_does_no_harm(name: str, topic: str, payload: bytes) -> None:
    """`received` never raises, and what it gives are commands."""
    assert all(isinstance(command, Command) for command in begun(name).received(topic, payload))


def test_the_formats_are_found() -> None:
    """The walk above walks over something."""
    assert "json" in FORMATS
