"""`diaccess-agent simulate`: serve the configured devices as emulated ones, to try a configuration without hardware."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from typing import Any

from agent.cli import common, exits
from agent.document import Problems
from agent.interfaces import Unavailable

NAME = "simulate"
HELP = "serve the configured devices as emulated ones, with values that move plausibly"

HINT = (
    "Emulated devices listen where the configuration says that the real ones are. "
    "To try it on this machine, give the link `host: 127.0.0.1` and a free `port` from 1024 up."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which configuration, and which of its links."""
    common.add_config(parser)
    parser.add_argument(
        "--link",
        action="append",
        default=[],
        metavar="ID",
        help="only this link (may be given several times)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; 69 when an address cannot be had."""
    from agent import log, plugins, settings  # noqa: PLC0415  # the other commands start faster without them

    try:
        root = settings.load(arguments.config)
    except Problems as problems:
        return common.refuse(problems)
    log.configure(root.log)
    known = [link.id for link in root.links]
    if unknown := [name for name in arguments.link if name not in known]:
        return common.fail(
            f"simulate: no link {unknown[0]} in {arguments.config}; expected one of {', '.join(known)}",
            exits.USAGE,
        )
    links = [link for link in root.links if not arguments.link or link.id in arguments.link]
    emulated = [(link, plugins.driver(link.driver)) for link in links]
    emulated = [(link, driver) for link, driver in emulated if hasattr(driver, "emulate")]
    if not emulated:
        return common.fail("simulate: no configured link has a driver that can be emulated", exits.USAGE)
    try:
        asyncio.run(_serve(emulated))
    except Unavailable as error:
        return common.fail(f"simulate: {error}\n{HINT}", exits.UNAVAILABLE)
    return exits.FINE


async def _serve(emulated: list[tuple[Any, Any]]) -> None:
    from agent.clock import Clock  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clock = Clock()
    async with contextlib.AsyncExitStack() as stack:
        for link, driver in emulated:
            where = await stack.enter_async_context(driver.emulate(link, clock))
            devices = ", ".join(device.id for device in link.devices)
            print(f"link {link.id}: {where} serves {devices}", flush=True)
        print("serving until Ctrl-C", flush=True)
        await stop.wait()
