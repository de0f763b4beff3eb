"""`diaccess-agent probe`: some registers, in every type and order that they could be read in.

The raw words stand first, then every reading of them, the most plausible first (>>, then >). Ranked by: what --expect
says; else what is usual for --unit-of-measure; else ordinary size, 0.001 to 10 million. Among equals: common types
before bcd and float16, the number as it stands before one with a scale, the orders ABCD, CDAB, DCBA, BADC, and
smaller numbers before larger. One, two or four registers are read as one value; in a longer range whatever fits is
shown at each address. Only reads.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from agent import control, log
from agent.cli import asking, exits, visiting
from agent.cli.lines import flow, prose
from agent.cli.table import table
from agent.commissioning import Commissioning, Probed
from agent.interfaces import Misconfigured

NAME = "probe"
HELP = "read some registers and show every type and byte order, the most plausible first"
EXAMPLES = """examples:
  diaccess-agent probe meters --unit 3 --table input --address 40 --unit-of-measure W
  diaccess-agent probe --host 192.0.2.10 --address 18 --count 1 --unit-of-measure Cel --expect 18..25

"""
DRIVER = "modbus"
"""The only protocol whose devices do not say what their data are."""
_MARKS = ("", "", ">", ">")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which line, and what of it."""
    tool = visiting.tool(DRIVER)
    parser.add_argument(
        "link", nargs="?", metavar="LINK", help="a line of the running agent, else of the configuration"
    )
    tool.add_place(parser)
    tool.add_probe(parser)
    visiting.add_visit(parser)
    asking.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read once and lay it out; 69 when nothing comes, with what to try next."""
    tool = visiting.tool(DRIVER)
    log.configure(log.LogSettings(level=log.Level.ERROR, form=log.Form.CONSOLE))
    try:
        visits = visiting.Visits.of(arguments, DRIVER)
        (place,) = visiting.places(arguments, tool, visits)[:1]
    except control.NotAnswered as error:
        return asking.not_answered(error)
    try:
        answer = asyncio.run(_probe(arguments, tool, visits, place))
    except ValueError as error:
        raise Misconfigured(f"probe: {error}") from error
    asking.show(arguments, answer, text(answer))
    return exits.FINE


async def _probe(
    arguments: argparse.Namespace, tool: Commissioning, visits: visiting.Visits, place: Any
) -> Probed:
    async with visits.visit(place) as guest:
        return await tool.probe(arguments, guest)


def text(answer: Probed) -> str:
    """Lay it out for a person."""
    parts = [
        answer.title,
        table(
            ("ADDRESS", "HEX", "UNSIGNED", "SIGNED", "BITS", "TEXT"),
            [(w.address, w.hex, w.unsigned, w.signed, w.bits, w.text) for w in answer.words],
        ),
    ]
    if answer.candidates:
        parts.append(
            table(
                ("", "ADDRESS", "READ AS", "RAW", "SCALE", "VALUE"),
                [
                    (
                        ">>" if each.best else _MARKS[each.fit],
                        each.address,
                        each.read_as,
                        _number(each.raw),
                        each.scale,
                        _number(each.value),
                    )
                    for each in answer.candidates
                ],
            )
        )
    parts += [prose(remark) for remark in answer.remarks]
    if answer.proposals:
        points = "\n".join(f"  - {flow(point)}" for point in answer.proposals)
        parts.append(f"For the configuration, under points:\n\n{points}")
    return "\n\n".join(parts)


def _number(value: float | str | None) -> str:
    """Write a number in at most twelve characters."""
    if value is None:
        return "no number"
    if isinstance(value, float):
        return f"{value:.7g}"
    return str(value)
