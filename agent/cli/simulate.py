"""`diaccess-agent simulate`: serve the configured devices as emulated ones, to try a configuration without hardware.

They listen where the configuration says that the real ones are: at host and port, or, for a serial line, on a
pseudo-terminal that is linked at the path of its port; --listen has them listen elsewhere. What is written to them is
kept. What they do wrong is said with --fault, or typed while they run.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.cli import common, exits
from agent.cli.stage import LANGUAGE, Stage
from agent.document import Problems
from agent.interfaces import Unavailable

NAME = "simulate"
HELP = "serve the configured devices as emulated ones, with values that move plausibly"

EXAMPLES = f"""{LANGUAGE}
  diaccess-agent simulate --config gateway.yaml
  diaccess-agent simulate --config gateway.yaml --listen line-1=/tmp/line-1 --fault meter-3=silent
  ... and typed while it runs:  meter-3 late 2s   meter-3 good   list   help

"""

HINT = """Emulated devices listen where the configuration says that the real ones are. Have them listen elsewhere with
--listen LINK=HOST:PORT or, for a serial line, --listen LINK=PATH, and give the agent that address in a copy of the
configuration; a port of 1024 or more and a path such as /tmp/line-1 need no rights."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which configuration, which of its links, where, and what goes wrong."""
    common.add_config(parser)
    for option, metavar, what in (
        ("--link", "ID", "only this link"),
        ("--listen", "LINK=WHERE", "serve this link at HOST:PORT, or at a path as a serial port"),
        (
            "--fault",
            "NAME=FAULT",
            "what a device or link does wrong from the start, such as meter-3=late:2s",
        ),
    ):
        parser.add_argument(
            option,
            action="append",
            default=[],
            metavar=metavar,
            help=f"{what} (may be given several times)",
        )
    parser.add_argument(
        "--certificate",
        metavar="FILE",
        type=Path,
        help="what the devices of links with `tls` show: a PEM file with a certificate that the agent trusts, and its key",
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
    listen = dict(each.partition("=")[::2] for each in arguments.listen)
    if unknown := [name for name in (*arguments.link, *listen) if name not in known]:
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
        asyncio.run(_serve(emulated, listen, arguments.certificate, arguments.fault))
    except Unavailable as error:
        return common.fail(f"simulate: {error}\n{HINT}", exits.UNAVAILABLE)
    except ValueError as error:
        return common.fail(f"simulate: --fault: {error}", exits.USAGE)
    return exits.FINE


async def _serve(
    emulated: list[tuple[Any, Any]], listen: Mapping[str, str], certificate: Path | None, faults: list[str]
) -> None:
    from agent.clock import Clock  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clock = Clock()
    async with contextlib.AsyncExitStack() as stack:
        stage = Stage()
        lines = []
        for link, driver in emulated:
            served = await stack.enter_async_context(
                driver.emulate(link, clock, listen=listen.get(link.id), certificate=certificate)
            )
            stage.add(link.id, [device.id for device in link.devices], served)
            lines.append(f"link {link.id}: {served.address} serves {', '.join(d.id for d in link.devices)}")
        lines += [stage.inflict(each) for each in faults]
        print(*lines, sep="\n")
        print("serving until Ctrl-C; type help to see what can go wrong", flush=True)
        with _typed(lambda line: print(stage.told(line), flush=True)):
            await stop.wait()


@contextmanager
def _typed(told: Callable[[str], None]) -> Iterator[None]:
    """Have every line of standard input handed over; none where that is a terminal that is not ours at the moment."""
    loop = asyncio.get_running_loop()
    if sys.stdin is None:  # closed by whoever started us
        yield
        return
    stdin = sys.stdin.fileno()
    if os.isatty(stdin) and os.tcgetpgrp(stdin) != os.getpgrp():  # reading would stop the process
        yield
        return
    rest = b""

    def readable() -> None:
        nonlocal rest
        octets = os.read(stdin, 4096)
        if not octets:
            loop.remove_reader(stdin)
        *lines, rest = (rest + octets).split(b"\n")
        for line in lines:
            told(line.decode(errors="replace"))

    try:
        loop.add_reader(stdin, readable)
    except PermissionError:  # a file, or nothing: it is all there at once
        for line in os.read(stdin, 1 << 20).decode(errors="replace").splitlines():
            told(line)
        yield
        return
    try:
        yield
    finally:
        loop.remove_reader(stdin)
