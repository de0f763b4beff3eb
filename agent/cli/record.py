"""`diaccess-agent record LINK`: everything that passes on a line, with its time, into a file.

While the agent runs, it goes on reading and is asked for what passed; without one the link is opened from here, and
its configured devices are read as the agent would. The file is what `replay` takes: a fault in a boiler room becomes
a test on a desk. It holds addresses and values of the devices, and no secrets of the configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO, cast

from agent import control, log, plugins, recording
from agent.cli import asking, common, exits, visiting
from agent.clock import Clock
from agent.fields import duration
from agent.interfaces import Context, Link, Misconfigured, TappedLink, Unavailable
from agent.memory import MemoryFile
from agent.recording import Frame

NAME = "record"
HELP = "write everything that passes on a line into a file, for replay"
EXAMPLES = """examples:
  diaccess-agent record meters --for 60s -o meters.ndjson
  diaccess-agent replay meters.ndjson --config gateway.yaml

"""
EVERY_S = 1.0
"""How often the agent is asked for what passed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which line, how long, and where to."""
    parser.add_argument("link", metavar="LINK", help="the link's id in the configuration")
    parser.add_argument(
        "--for",
        dest="length",
        type=_length,
        default=timedelta(seconds=60),
        metavar="TIME",
        help="how long (default: 60s); Ctrl-C ends it before",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the file to write")
    visiting.add_visit(parser)
    parser.add_argument("--json", action="store_true", help="print what was recorded as JSON, for programs")


def run(arguments: argparse.Namespace) -> int:
    """Record. 0 when something passed, 1 when nothing did, 69 when the line cannot be had."""
    log.configure(log.LogSettings(level=log.Level.ERROR, form=log.Form.CONSOLE))
    try:
        links = visiting.running_links(arguments.socket)
    except control.NotAnswered as error:
        return asking.not_answered(error)
    try:
        with arguments.output.open("w", encoding="utf-8") as file:
            tape = _Tape(file, arguments.link, arguments.length.total_seconds())
            take = _from_line if links is None else _from_agent
            if sys.stderr.isatty():
                print(
                    f"recording {arguments.link} for {tape.left_s:.0f} s; Ctrl-C ends it before",
                    file=sys.stderr,
                )
            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(take(arguments, tape))
    except OSError as error:
        return common.fail(f"record: {arguments.output}: {error.strerror}", exits.FAILED)
    except control.NotAnswered as error:
        return asking.not_answered(error)
    summary = {
        "file": str(arguments.output),
        "frames": tape.frames,
        "lost": tape.lost,
        "seconds": round(tape.seconds, 1),
    }
    lost = f"; {tape.lost} more were lost, as nobody fetched them in time" if tape.lost else ""
    text = f"{tape.frames} frames in {tape.seconds:.0f} s: {arguments.output}{lost}"
    print(json.dumps(summary) if arguments.json else text)
    return exits.FINE if tape.frames else exits.FAILED


class _Tape:
    """The file while it is written."""

    def __init__(self, file: TextIO, link: str, length_s: float) -> None:
        self._file = file
        self._length_s = length_s
        self._link = link
        self._origin_ns: int | None = None
        self._begun_s = time.monotonic()
        self.frames = 0
        self.lost = 0

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._begun_s

    @property
    def left_s(self) -> float:
        """How long it is still to run."""
        return max(self._length_s - self.seconds, 0.0)

    @property
    def over(self) -> bool:
        """Whether it has run its time."""
        return not self.left_s

    def begin(self, driver: str) -> None:
        """Write the first line."""
        began = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        print(json.dumps(recording.head(self._link, driver, began)), file=self._file)

    def add(self, frames: Iterable[Frame]) -> None:
        """Write frames."""
        for frame in frames:
            if self._origin_ns is None:
                self._origin_ns = frame.ns
            self.frames += 1
            self._file.writelines(f"{line}\n" for line in recording.lines((frame,), self._origin_ns))
        self._file.flush()


async def _from_agent(arguments: argparse.Namespace, tape: _Tape) -> None:
    """Fetch what passed, every second."""
    cursor: int | None = None
    while True:
        over = tape.over
        answer = await asyncio.to_thread(
            control.ask, arguments.socket, "record", link=arguments.link, cursor=cursor
        )
        if cursor is None:
            tape.begin(answer["driver"])
        cursor = answer["cursor"]
        tape.lost += answer["lost"]
        tape.add(_frame(each) for each in answer["frames"])
        if over:
            return
        await asyncio.sleep(min(EVERY_S, tape.left_s))


def _frame(entry: dict[str, Any]) -> Frame:
    direction = "sent" if "sent" in entry else "received"
    return Frame(entry["ns"], direction, bytes.fromhex(entry[direction]))


async def _from_line(arguments: argparse.Namespace, tape: _Tape) -> None:
    """Open the link, read its devices, and listen."""
    settings = visiting.configured(arguments.config, arguments.link)
    context = Context(Clock(), MemoryFile().part(settings.id))
    async with plugins.driver(settings.driver).open(settings, context) as link:
        if not hasattr(link, "tap"):
            raise Misconfigured(
                f"link {settings.id}: its driver, {settings.driver}, lets nobody listen to its line"
            )
        tape.begin(settings.driver)
        cast("TappedLink", link).tap = lambda direction, data, ns: tape.add((Frame(ns, direction, data),))
        tasks = [asyncio.create_task(_drain(link, device.id)) for device in settings.devices]
        try:
            ended, _ = await asyncio.wait(tasks, timeout=tape.left_s, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()  # raises what ended the source
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _drain(link: Link, device: str) -> None:
    async with aclosing(link.source(device)) as samples:
        async for _ in samples:
            pass
    raise Unavailable(f"device {device}: its readings ended")


def _length(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}, found {text!r}") from None
