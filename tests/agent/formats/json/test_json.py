"""Plain JSON: what is lost on the way (next to nothing), what never leaves, and that everything is covered."""

from __future__ import annotations

import json
import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.fields import Place
from agent.formats.json import FormatSettings, session
from agent.formats.json.payload import Layout, stamp
from agent.interfaces import Misconfigured
from agent.sample import Class, Lane, Point, Quality, Reason, Row, Sample, Shape, ValueType, readings
from agent.upstream import Gateway, Message, Span

GATEWAY = Gateway(id="demo-01", place=Place(site="brukshuset"), version="0.1.0")
IDS = st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=12).map(
    lambda text: f"a{text}"
)
VALUES = {
    ValueType.BOOLEAN: st.booleans(),
    ValueType.INTEGER: st.integers(-(2**80), 2**80),
    ValueType.NUMBER: st.floats(allow_nan=False, allow_infinity=False),
    ValueType.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False),
    ValueType.TEXT: st.text(max_size=40),
}
NOT_VALUES = {
    ValueType.NUMBER: st.sampled_from([math.nan, math.inf, -math.inf]),
    ValueType.DECIMAL: st.sampled_from(
        [Decimal(text) for text in ("NaN", "-NaN", "sNaN", "NaN123", "Infinity", "-Infinity")]
    ),
}
TIMES_NS = st.integers(0, 2**63 - 1)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    names = draw(st.lists(IDS, min_size=1, max_size=9, unique=True))
    units = st.none() | st.sampled_from(["V", "%", "[ppm]", 'odd"%s{\\}'])
    points = (
        Point(
            name=name,
            type=draw(st.sampled_from(ValueType)),
            unit=draw(units),
            class_=draw(st.sampled_from(Class)),
        )
        for name in names
    )
    return Shape(draw(IDS), tuple(points))


@st.composite
def rows(draw: st.DrawFn, *, sound: bool = True) -> list[Row]:
    """Rows as the buffer may hand them out; unless `sound`, with cells that no driver may deliver."""
    known = draw(st.lists(shapes(), min_size=1, max_size=3))
    stores = draw(
        st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), min_size=1, max_size=2, unique=True)
    )
    numbers = dict.fromkeys(stores, draw(st.integers(0, 2**47)))
    made = []
    for _ in range(draw(st.integers(0, 6))):
        shape, store = draw(st.sampled_from(known)), draw(st.sampled_from(stores))
        numbers[store] += draw(st.integers(0, 3))
        row = Row(
            store,
            numbers[store],
            draw(samples(shape, sound=sound)),
            draw(TIMES_NS),
            draw(st.booleans()),
            draw(
                st.none()
                | st.sets(st.integers(0, len(shape.points) - 1)).map(lambda some: tuple(sorted(some)))
            ),
        )
        numbers[store] = row.end
        made.append(row)
    return made


@st.composite
def samples(draw: st.DrawFn, shape: Shape, *, sound: bool) -> Sample:
    count = len(shape.points)
    reasons = draw(
        st.just(b"") | st.lists(st.sampled_from(Reason), min_size=count, max_size=count).map(bytes)
    )
    values = []
    for index, point in enumerate(shape.points):
        value = VALUES[point.type]
        if sound:
            bad = bool(reasons) and reasons[index] >= 0x80
            values.append(None if bad else draw(value))
        else:
            values.append(draw(st.none() | value | NOT_VALUES.get(point.type, st.none())))
    ages = draw(st.just(()) | st.lists(st.integers(0, 10_000), min_size=count, max_size=count).map(tuple))
    return Sample(shape, 0, tuple(values), reasons, ages)


TOPICS = st.sampled_from(["t/{lane}", "t/{device}", "t/{class}", "{site}/{gateway}/{device}/{class}/{lane}"])
LIMITS = st.integers(1, 4000)


def taken_apart(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Every reading with what stands around it, as a careful consumer sees it: strict JSON, every digit."""
    found = []
    for message in messages:
        head = json.loads(message.payload, parse_float=Decimal, parse_constant=pytest.fail)
        for sample in head["samples"]:
            found += [
                {
                    "topic": message.topic,
                    "gateway": head["gateway"],
                    "store": head["store"],
                    "lane": head["lane"],
                    "device": sample["device"],
                    "clock": sample["clock"],
                    "time": reading.pop("time", sample["time"]),
                }
                | reading
                for reading in sample["readings"]
            ]
    return found


def same(sent: Any, got: Any) -> bool:
    """Whether a value came through with its type and every digit."""
    if isinstance(sent, bool) or isinstance(got, bool) or isinstance(sent, str):
        return sent is got or (isinstance(got, str) and sent == got)
    if isinstance(sent, Decimal):
        return Decimal(got).as_tuple() == sent.as_tuple() or (isinstance(got, int) and Decimal(got) == sent)
    return float(got) == sent if isinstance(sent, float) else got == sent


@given(rows(), st.sampled_from(Lane), LIMITS, TOPICS)
@settings(deadline=None)
def test_nothing_is_lost_but_fractions_of_a_millisecond(
    sent: list[Row], lane: Lane, limit: int, topic: str
) -> None:
    """Round trip: every wanted cell arrives once, with everything that docs/json.md says; times are cut to 1 ms."""
    messages = session(FormatSettings(topic=topic), GATEWAY).encode(sent, lane, limit)
    got = {(reading["store"], reading["number"]): reading for reading in taken_apart(messages)}
    expected = 0
    for row in sent:
        cells = range(len(row.sample.values)) if row.cells is None else row.cells
        for index, reading in enumerate(readings(row.sample, row.time_ns, row.number)):
            if index not in cells:
                continue
            expected += 1
            arrived = got[row.store, reading.number]
            assert arrived["gateway"] == "demo-01"
            assert arrived["lane"] == lane.value
            assert arrived["device"] == reading.device
            assert arrived["point"] == reading.point.name
            assert arrived.get("unit") == reading.point.unit
            assert arrived["quality"] == reading.quality.name.lower()
            assert arrived.get("reason", "good") == reading.reason.word
            assert arrived["clock"] == ("synchronised" if row.trusted else "unsynchronised")
            age = row.sample.ages_ms[index] if row.sample.ages_ms else 0
            exact = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=row.time_ns // 1_000_000 - age)
            assert datetime.fromisoformat(arrived["time"]) == exact
            assert ("value" in arrived) == (reading.value is not None)
            assert reading.value is None or same(reading.value, arrived["value"])
    assert expected == len(got) == len(taken_apart(messages))


def no_number(value: Any) -> bool:
    return not (
        value.is_finite()
        if isinstance(value, Decimal)
        else not isinstance(value, float) or math.isfinite(value)
    )


@given(rows(sound=False), LIMITS)
@settings(deadline=None)
def test_what_is_no_value_never_leaves_as_one(sent: list[Row], limit: int) -> None:
    """None, NaN and infinities become bad readings without a value, and a bad cell never has one, whatever came in."""
    messages = session(FormatSettings(), GATEWAY).encode(sent, Lane.LIVE, limit)
    got = {(reading["store"], reading["number"]): reading for reading in taken_apart(messages)}
    for row in sent:
        for index, value in enumerate(row.sample.values):
            if row.cells is not None and index not in row.cells:
                continue
            arrived = got[row.store, row.number + index]
            nothing = value is None or no_number(value)
            bad = bool(row.sample.reasons) and row.sample.reasons[index] >= 0x80
            assert ("value" in arrived) is not (nothing or bad)
            assert (arrived["quality"] == "bad") is (nothing or bad)
            assert "value" not in arrived or arrived["value"] is not None


@given(rows(), st.sampled_from(Lane), LIMITS, TOPICS)
@settings(deadline=None)
def test_every_row_is_covered_and_no_message_is_too_long(
    sent: list[Row], lane: Lane, limit: int, topic: str
) -> None:
    """A row is covered, whole, by exactly the messages that hold a reading of it (by one, if none is wanted).

    A message is longer than the limit only if it holds a single reading.
    """
    messages = session(FormatSettings(topic=topic), GATEWAY).encode(sent, lane, limit)
    covered = Counter(span for message in messages for span in message.covers)
    for row in sent:
        span = Span(row.store, row.number, row.end)
        holding = sum(
            any(row.number <= reading["number"] < row.end for reading in taken_apart([message]))
            for message in messages
            if json.loads(message.payload)["store"] == row.store
        )
        assert covered.pop(span) == max(1, holding)
    assert not covered
    for message in messages:
        assert len(set(message.covers)) == len(message.covers)
        assert len(message.payload) <= limit or len(taken_apart([message])) <= 1


def test_messages_are_few() -> None:
    """Rows are joined up to the limit: a message less would not hold them."""
    shape = Shape("meter-1", tuple(Point(name=f"p{index}", unit="V") for index in range(50)))
    sent = [
        Row("5" * 32, 50 * number, Sample(shape, 0, (1.5,) * 50), 0, trusted=True) for number in range(100)
    ]
    whole = len(session(FormatSettings(), GATEWAY).encode(sent, Lane.LIVE, 10**9)[0].payload)
    limit = 50_000
    messages = session(FormatSettings(), GATEWAY).encode(sent, Lane.LIVE, limit)
    assert len(messages) == math.ceil(whole / (limit - whole // 100))


def test_the_limit_is_used_to_the_last_byte() -> None:
    """Two, three, five rows fit into exactly the bytes that they take together; with one byte less, the last moves on."""
    shape = Shape("meter-1", (Point(name="p"),))
    sent = [Row("5" * 32, number, Sample(shape, 0, (number,)), 0, trusted=True) for number in range(10, 15)]
    for count in (2, 3, 5):
        (whole,) = session(FormatSettings(), GATEWAY).encode(sent[:count], Lane.LIVE, 10**6)
        for limit, expected in ((len(whole.payload), [count]), (len(whole.payload) - 1, [count - 1, 1])):
            messages = session(FormatSettings(), GATEWAY).encode(sent[:count], Lane.LIVE, limit)
            assert [len(message.covers) for message in messages] == expected
            assert all(len(message.payload) <= limit for message in messages)


@given(st.integers(-(2**63) // 10**6, 2**63 // 10**6))
@settings(deadline=None)
def test_a_stamp_is_the_millisecond(milliseconds: int) -> None:
    """RFC 3339 with three digits, over the whole range that nanoseconds in 64 bits can say."""
    text = stamp(milliseconds).decode()
    assert datetime.fromisoformat(text) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        milliseconds=milliseconds
    )
    assert len(text) == len("2026-11-25T03:20:47.123Z")


def test_a_reason_of_a_newer_release_keeps_its_quality() -> None:
    """A code that this release does not know is written by its number; its two top bits still say the quality."""
    known = {int(reason): reason.word for reason in Reason}
    shape = Shape("d", (Point(name="p"),))
    for code in range(256):
        row = Row(
            "5" * 32, 1, Sample(shape, 0, (None if code >= 0x80 else 1,), bytes([code])), 0, trusted=True
        )
        (written,) = json.loads(Layout(shape, None).write(row))["readings"]
        assert written["quality"] == Quality(min(code >> 6, 2)).name.lower()
        assert written.get("reason", "good") == known.get(code, f"code_{code:02x}")


def test_a_surrogate_without_its_partner_does_not_stop_the_row() -> None:
    """A text that UTF-8 cannot write leaves with a question mark in its place."""
    shape = Shape("d", (Point(name="a", type=ValueType.TEXT), Point(name="b", type=ValueType.INTEGER)))
    row = Row("5" * 32, 1, Sample(shape, 0, ("x\ud800y", 7)), 0, trusted=True)
    written = json.loads(Layout(shape, None).write(row))["readings"]
    assert [reading["value"] for reading in written] == ["x?y", 7]


BAD_TOPICS = [
    ("topic", "a/{devise}", "there is no field {devise} here; did you mean {device}?"),
    ("status_topic", "a/{lane}", "there is no field {lane} here"),
    ("status_topic", "a/{device}", "there is no field {device} here"),
    ("points_topic", "a/points", "{device} is missing"),
    ("points_topic", "a/{class}", "there is no field {class} here"),
]


@pytest.mark.parametrize(("field", "text", "words"), BAD_TOPICS)
def test_a_topic_that_cannot_be_is_found_when_settings_are_made(field: str, text: str, words: str) -> None:
    """The sentence begins with the setting and says what is wrong with it."""
    with pytest.raises(ValueError, match=f"^{field}: .*{re.escape(words)}"):
        FormatSettings(**{field: text})


def test_a_place_that_the_gateway_does_not_have_is_misconfigured() -> None:
    """A topic with {building} needs a gateway that has one: an empty level would be the alternative."""
    with pytest.raises(Misconfigured, match=r"status_topic: \{building\} needs gateway\.place\.building"):
        session(FormatSettings(status_topic="{site}/{building}/status"), GATEWAY)


def test_commands_are_not_taken() -> None:
    """Whatever comes from upstream is no command in this format, and never raises."""
    conversation = session(FormatSettings(), GATEWAY)
    assert conversation.received("diaccess/demo-01/command", b"\xff\x00{") == ()


def test_the_will_and_the_farewell_say_who_ended_it() -> None:
    """Both are retained in place of the online status; only the farewell is clean."""
    conversation = session(FormatSettings(), GATEWAY)
    online, *_ = conversation.opened({})
    (farewell,) = conversation.closing()
    for message in (conversation.will(), online, farewell):
        assert (message.topic, message.retain, message.qos) == ("diaccess/demo-01/status", True, 1)
        assert message.covers == ()
    assert json.loads(conversation.will().payload)["clean"] is False
    assert json.loads(farewell.payload)["clean"] is True


def test_what_is_remembered_of_shapes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A buffer that makes a shape object for each row does not fill the memory, and nothing is written wrongly."""
    monkeypatch.setattr("agent.formats.json.joining._REMEMBERED", 3)
    conversation = session(FormatSettings(), GATEWAY)
    for number in range(10):
        shape = Shape(f"d{number}", (Point(name="p"),))
        (message,) = conversation.encode(
            [Row("5" * 32, 1, Sample(shape, 0, (1.5,)), 0, trusted=True)], Lane.LIVE, 1000
        )
        assert json.loads(message.payload)["samples"][0]["device"] == f"d{number}"
    assert len(conversation._joiner._layouts) <= 3
    assert len(conversation._joiner._parts) <= 3
