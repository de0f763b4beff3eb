"""`diaccess-agent read DEVICE`: one device, every point, now.

A line has one owner: while the agent runs, it is asked to read; only without one is the link opened from here.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing
from typing import Any

from agent import control, log
from agent.cli import asking, common, exits
from agent.cli.status import points
from agent.document import Problems
from agent.interfaces import Context, Unavailable

NAME = "read"
HELP = "read one device once and show every point"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which device, whom to ask, and how to print."""
    parser.add_argument("device", help="the device's id in the configuration")
    common.add_config(parser)
    asking.add_socket(parser)
    asking.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read through the running agent, else directly. 0 when the device answered, with good values or bad ones."""
    answer: dict[str, Any] | None = None
    try:
        answer = control.ask(arguments.socket, "read", device=arguments.device)
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
    asking.show(arguments, answer, f"device {answer['device']}\n{points(answer['points'])}")
    return exits.FINE


def _read_directly(arguments: argparse.Namespace) -> dict[str, Any]:
    """Open the link of the device for one sample. Raises as a driver does, and `Declined` for an unknown device."""
    from agent import plugins, report, settings  # noqa: PLC0415  # only needed here
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

    async def read() -> dict[str, Any]:
        try:
            async with (
                asyncio.timeout(report.READ_LIMIT_S),
                plugins.driver(link.driver).open(link, Context(clock, MemoryFile().part(link.id))) as opened,
                aclosing(opened.source(arguments.device)) as samples,
            ):
                opened.refresh(arguments.device)
                sample = await anext(samples)
        except TimeoutError:
            raise Unavailable(
                f"device {arguments.device}: no sample within {report.READ_LIMIT_S:.0f} s"
            ) from None
        return {"device": arguments.device, "points": report.readings(sample, clock)}

    return asyncio.run(read())
