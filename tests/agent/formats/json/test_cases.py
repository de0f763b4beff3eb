"""Golden cases of plain JSON: tests/cases/json/<what holds>.json has rows, and the messages that they become.

A case says its rule, shapes by name, rows (values of decimal points as text), and settings, lane and limit where they
are not the default.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.fields import Place
from agent.formats.json import FormatSettings, session
from agent.sample import Lane, Point, Reason, Row, Sample, Shape, ValueType
from agent.upstream import Gateway, Message

CASES = sorted((Path(__file__).parents[3] / "cases" / "json").glob("*.json"))
GATEWAY = Gateway(id="demo-01", place=Place(site="brukshuset", building="a"), version="0.1.0")
TIME_NS = 1795576847_123456789


def encoded(case: dict[str, Any]) -> Sequence[Message]:
    """The messages that the case's rows become."""
    shapes = {
        name: Shape(shape["device"], tuple(msgspec.convert(point, Point) for point in shape["points"]))
        for name, shape in case["shapes"].items()
    }
    settings = msgspec.convert({"kind": "json"} | case.get("settings", {}), FormatSettings)
    return session(settings, GATEWAY).encode(
        [_row(row, shapes[row["shape"]]) for row in case["rows"]],
        Lane(case.get("lane", "live")),
        case.get("limit", 100_000),
    )


def _row(row: dict[str, Any], shape: Shape) -> Row:
    values = tuple(
        Decimal(value) if point.type is ValueType.DECIMAL and value is not None else value
        for point, value in zip(shape.points, row["values"], strict=True)
    )
    reasons = bytes(Reason[reason.upper()] for reason in row.get("reasons", ()))
    sample = Sample(shape, 0, values, reasons, tuple(row.get("ages_ms", ())))
    cells = None if row.get("cells") is None else tuple(row["cells"])
    return Row(
        row["store"], row["number"], sample, row.get("time_ns", TIME_NS), row.get("trusted", True), cells
    )


def described(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as a case shows them, every digit as text."""
    return [
        {
            "topic": message.topic,
            "covers": [[span.store, span.low, span.high] for span in message.covers],
            "length": len(message.payload),
            "payload": json.loads(message.payload, parse_float=str),
        }
        for message in messages
    ]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    """The rows of the case become exactly its messages."""
    case = json.loads(path.read_text(encoding="utf-8"))
    messages = encoded(case)
    assert described(messages) == case["messages"]
    assert {(message.qos, message.retain, message.content_type) for message in messages} == {
        (1, False, "application/json")
    }


def test_there_are_cases() -> None:
    """The folder is where this test looks for it."""
    assert len(CASES) >= 10
