"""docs/json.md says what the encoder does: its examples are what comes out, value for value."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent.fields import Place
from agent.formats.json import FormatSettings, session
from agent.sample import Class, Lane, Point, Reason, Row, Sample, Shape, ValueType
from agent.upstream import Gateway

DOCUMENT = Path(__file__).parents[4] / "docs" / "json.md"
STORE = "9f86d081884c7d659a2feaa0c55ad015"
GATEWAY = Gateway(id="demo-01", place=Place(site="brukshuset"), version="0.1.0")
NS = 1795576847_123456789  # 2026-11-25T03:20:47.123456789Z

METER = Shape(
    "meter-1",
    (
        Point(name="voltage_l1", unit="V"),
        Point(name="energy_import", type=ValueType.DECIMAL, unit="kW.h"),
        Point(name="breaker_closed", type=ValueType.BOOLEAN),
    ),
)
SENSOR = Shape(
    "co2-204",
    (Point(name="co2", type=ValueType.INTEGER, unit="[ppm]"), Point(name="temperature", unit="Cel")),
)


def examples() -> list[Any]:
    text = DOCUMENT.read_text(encoding="utf-8")
    return [_exactly(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


def _exactly(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


def test_the_readings_of_the_document_are_what_comes_out() -> None:
    """The first example is the payload of the two samples that it shows, and each key stands in its order."""
    conversation = session(FormatSettings(), GATEWAY)
    rows = [
        Row(
            STORE,
            4711,
            Sample(METER, 0, (230.1, Decimal("12345678901234.567"), True), ages_ms=(0, 120, 0)),
            NS,
            trusted=True,
        ),
        Row(
            STORE,
            4714,
            Sample(SENSOR, 0, (612, None), bytes([Reason.SENSOR_NOT_ACCURATE, Reason.SENSOR_FAILURE])),
            NS + 178_000_000,
            trusted=False,
        ),
    ]
    (message,) = conversation.encode(rows, Lane.LIVE, 100_000)
    assert message.topic == "diaccess/demo-01/live"
    assert _exactly(message.payload) == examples()[0]


def test_the_status_of_the_document_is_what_comes_out() -> None:
    """Online with the version; offline as the text says."""
    conversation = session(FormatSettings(), GATEWAY)
    assert _exactly(conversation.opened({})[0].payload) == examples()[1]
    text = DOCUMENT.read_text(encoding="utf-8")
    (closing,) = conversation.closing()
    assert json.dumps(_exactly(closing.payload)) in text
    assert _exactly(conversation.will().payload) == {**_exactly(closing.payload), "clean": False}


def test_the_points_of_the_document_are_what_comes_out() -> None:
    """The description of a device with one point."""
    point = Point(
        name="energy_import",
        type=ValueType.DECIMAL,
        unit="kW.h",
        quantity_kind="ActiveEnergy",
        class_=Class.BILLING,
        place=Place(site="brukshuset", building="a", storey="k1"),
        designation="1012_A_5701_EM1",
        brick_class="Electric_Energy_Sensor",
        counter=True,
        rollover=Decimal(1_000_000),
    )
    described = session(FormatSettings(), GATEWAY).opened({"meter-1": [point]})[1]
    assert described.topic == "diaccess/demo-01/points/meter-1"
    assert described.retain
    assert _exactly(described.payload) == examples()[2]


def test_the_document_names_every_reason_and_every_default() -> None:
    """No reason of the vocabulary and no default topic is missing in the text."""
    text = DOCUMENT.read_text(encoding="utf-8")
    missing = [
        reason.word for reason in Reason if reason is not Reason.GOOD and f"`{reason.word}`" not in text
    ]
    assert missing == []
    settings = FormatSettings()
    for name in ("topic", "status_topic", "points_topic"):
        assert f"{name}: {getattr(settings, name)} " in text
