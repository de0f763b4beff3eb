"""`diaccess-agent read DEVICE`: one device, every point, now.

A line has one owner: while the agent runs, it is asked to read; only without one is the link opened from here.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing
from typing import Any, cast

from agent import control, log
from agent.cli import asking, common, exits
from agent.cli.status import points, quality
from agent.cli.table import table
from agent.commissioning import Guest
from agent.document import Problems
from agent.interfaces import Context, Link, Unavailable
from agent.newest import Newest
from agent.sample import Reason

NAME = "read"
HELP = "read one device once and show every point"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which device, whom to ask, and how to print."""
    parser.add_argument("device", help="the device's id in the configuration")
    parser.add_argument(
        "--raw",
        action="store_true",
        help="show what each value was made of too; reads the device now, as a guest of its line",
    )
    common.add_config(parser)
    asking.add_socket(parser)
    asking.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read through the running agent, else directly. 0 when the device answered, with good values or bad ones; else 69."""
    answer: dict[str, Any] | None = None
    try:
        answer = control.ask(arguments.socket, "read", device=arguments.device, raw=arguments.raw)
    except control.NotRunning:
        pass  # then the line is free
    except control.NotAnswered as error:
        return asking.not_answered(error)
    try:
        answer = answer or _read_directly(arguments)
    except Problems as problems:
        return common.refuse(problems)
    except control.Declined as error:
        return asking.not_answered(error)
    of = answer["points"]
    asking.show(
        arguments, answer, f"device {answer['device']}\n{raw_points(of) if arguments.raw else points(of)}"
    )
    return exits.FINE if answered(of) else exits.UNAVAILABLE


def answered(entries: list[dict[str, Any]]) -> bool:
    """Whether the device said anything at all; one without points has nothing to say."""
    return not entries or any(entry["reason"] not in _NO_ANSWER for entry in entries)


_NO_ANSWER = frozenset(
    reason.word for reason in (Reason.NOT_CONNECTED, Reason.TIMEOUT, Reason.COMMUNICATION_ERROR)
)


def _read_directly(arguments: argparse.Namespace) -> dict[str, Any]:
    """Open the link of the device for one sample. Raises as a driver does, and `Declined` for an unknown device."""
    from agent import guests, judging, plugins, report, settings  # noqa: PLC0415  # only needed here
    from agent.clock import Clock  # noqa: PLC0415
    from agent.memory import MemoryFile  # noqa: PLC0415

    log.configure(log.LogSettings(level=log.Level.WARNING, form=log.Form.CONSOLE))
    root = settings.load(arguments.config)
    links = {device.id: link for link in root.links for device in link.devices}
    if arguments.device not in links:
        known = ", ".join(sorted(links))
        raise control.Declined(
            f"device {arguments.device}: not in {arguments.config}; expected one of {known}"
        )
    link = links[arguments.device]
    clock = Clock()

    driver = plugins.driver(link.driver)

    async def read(opened: Link) -> dict[str, Any]:
        device = next(each for each in link.devices if each.id == arguments.device)
        if arguments.raw:
            return await guests.read_raw(link.driver, device, cast("Guest", opened), clock)
        newest, wanted, judge = Newest(), driver.points(device), judging.judge(driver, device)
        async with aclosing(opened.source(arguments.device)) as samples:
            opened.refresh(arguments.device)
            while len(newest.cells(wanted)) < len(wanted):  # not all may come in one sample
                sample = await anext(samples)
                newest.learnt(judge.judge(sample).sample if judge else sample)
        return {"device": arguments.device, "points": report.readings(newest.cells(wanted), clock)}

    async def visit() -> dict[str, Any]:
        try:
            async with (
                asyncio.timeout(report.READ_LIMIT_S),
                driver.open(link, Context(clock, MemoryFile().part(link.id))) as opened,
            ):
                return await read(opened)
        except TimeoutError:
            raise Unavailable(
                f"device {arguments.device}: no sample within {report.READ_LIMIT_S:.0f} s"
            ) from None

    return asyncio.run(visit())


def raw_points(entries: list[dict[str, Any]]) -> str:
    """Lay out readings with what they were made of."""
    return table(
        ("POINT", "RAW", "VALUE", "UNIT", "QUALITY"),
        [
            (entry["point"], entry["raw"] or None, entry["value"], entry["unit"] or "", quality(entry))
            for entry in entries
        ],
    )
