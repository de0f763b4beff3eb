"""`diaccess-agent read DEVICE`: one device, every point, now.

A line has one owner: while the agent runs, it is asked to read; only without one is the link opened from here.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing
from typing import Any

from agent.cli import common, exits
from agent.cli.status import points

NAME = "read"
HELP = "read one device once and show every point"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which device, whom to ask, and how to print."""
    parser.add_argument("device", help="the device's id in the configuration")
    common.add_config(parser)
    common.add_socket(parser)
    common.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read through the running agent, else directly. 0 when the device answered, with good values or bad ones."""
    answer = common.ask(arguments, "read", device=arguments.device, alone=lambda: _read_directly(arguments))
    if answer is None:
        return exits.UNAVAILABLE
    common.show(arguments, answer, f"device {answer['device']}\n{points(answer['points'])}")
    return exits.FINE


def _read_directly(arguments: argparse.Namespace) -> dict[str, Any]:
    """Open the link of the device for one sample. Raises as a driver does, and `LookupError` for an unknown device."""
    from agent import plugins, report, settings  # noqa: PLC0415  # only needed here
    from agent.clock import Clock  # noqa: PLC0415
    from agent.interfaces import Context  # noqa: PLC0415

    root = settings.load(arguments.config)
    links = {device.id: link for link in root.links for device in link.devices}
    if arguments.device not in links:
        known = ", ".join(sorted(links))
        raise LookupError(f"device {arguments.device}: not in {arguments.config}; expected one of {known}")
    link = links[arguments.device]
    clock = Clock()

    async def read() -> dict[str, Any]:
        async with plugins.driver(link.driver).open(link, Context(clock)) as opened:
            async with asyncio.timeout(report.READ_LIMIT_S), aclosing(opened.source(arguments.device)) as samples:
                opened.refresh(arguments.device)
                sample = await anext(samples)
        return {"device": arguments.device, "points": report.readings(sample, clock)}

    return asyncio.run(read())
