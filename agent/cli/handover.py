"""`diaccess-agent handover`: a dated list of every point, read now, for whoever takes the installation over.

Each point with where it is, what its registers hold, the value and unit that follow, and whether it passes: it fails
without a value, and is to be looked at when something about the value is doubtful, or about how its whole device is
read. The last line is a checksum of all above it. Devices are read one after the other, as guests of their lines while
the agent runs.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from agent import __version__, control, guests, log, plugins, settings
from agent.cli import asking, common, exits, visiting
from agent.cli.lines import prose
from agent.cli.status import quality
from agent.cli.table import table
from agent.clock import Clock
from agent.commissioning import Guest
from agent.document import Problems
from agent.interfaces import Context, Misconfigured, Unavailable
from agent.memory import MemoryFile

NAME = "handover"
HELP = "write a dated list of every point, read now: raw, value, place, pass or fail"
EXAMPLES = """examples:
  diaccess-agent handover --config gateway.yaml -o handover.txt

"""
_RESULTS = {"good": "pass", "uncertain": "LOOK", "bad": "FAIL"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to, and which configuration."""
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the file to write (default: print it)"
    )
    visiting.add_visit(parser)
    asking.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 when every point passes; 1 when one fails or is to be looked at; 78 for a wrong configuration."""
    log.configure(log.LogSettings(level=log.Level.ERROR, form=log.Form.CONSOLE))
    try:
        root = settings.load(arguments.config)
        running = visiting.running_links(arguments.socket) is not None
    except Problems as problems:
        return common.refuse(problems)
    except control.NotAnswered as error:
        return asking.not_answered(error)
    if arguments.output is not None and (
        why := _not_writable(arguments.output)
    ):  # before a minute of reading
        return common.fail(f"handover: {arguments.output}: {why}", exits.FAILED)
    devices = [
        each
        for link in root.links
        for each in _doubted(link, asyncio.run(_link(arguments, link, running=running)))
    ]
    at = datetime.now(UTC).isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
    answer = {"gateway": root.gateway.id, "at": at, "version": __version__, "devices": devices}
    text = sealed("\n".join(lines(answer)))
    if arguments.output is not None:
        try:
            arguments.output.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            return common.fail(f"handover: {arguments.output}: {error.strerror}", exits.FAILED)
        text = f"{summary(devices)} Written to {arguments.output}."
    asking.show(arguments, answer, text)
    return exits.FINE if all(each == "pass" for each in results(devices)) else exits.FAILED


def _not_writable(file: Path) -> str:
    """Why this file could not be written, in the system's words; what it holds stays as it is."""
    there = file.exists()
    try:
        with file.open("a", encoding="utf-8"):
            pass
        if not there:
            file.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""


async def _link(arguments: argparse.Namespace, link: Any, *, running: bool) -> list[dict[str, Any]]:
    """Read all devices of a link: through the running agent, else directly. What cannot be read says why."""
    if running:
        return [_through_agent(arguments, link, device.id) for device in link.devices]
    clock = Clock()
    try:
        async with plugins.driver(link.driver).open(
            link, Context(clock, MemoryFile().part(link.id))
        ) as opened:
            return [
                {"link": link.id, **await guests.read_raw(link.driver, device, cast("Guest", opened), clock)}
                for device in link.devices
            ]
    except (Unavailable, Misconfigured) as error:
        return [_unread(link.id, device.id, str(error)) for device in link.devices]


def _through_agent(arguments: argparse.Namespace, link: Any, device: str) -> dict[str, Any]:
    try:
        return {"link": link.id, **control.ask(arguments.socket, "read", device=device, raw=True)}
    except control.NotAnswered as error:
        return _unread(link.id, device, str(error))


def _doubted(link: Any, devices: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """With what is doubtful about how a whole device is read, where its driver says so."""
    doubt = getattr(plugins.driver(link.driver), "doubt", None)
    for each, device in zip(link.devices, devices, strict=True):
        yield {**device, "doubt": doubt(each)} if doubt and doubt(each) else device


def _unread(link: str, device: str, why: str) -> dict[str, Any]:
    return {"link": link, "device": device, "points": [], "error": why}


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Lay it out for a person, and for a printer."""
    yield f"Handover of gateway {answer['gateway']}, {answer['at']}, diaccess-agent {answer['version']}"
    for device in answer["devices"]:
        yield ""
        yield f"device {device['device']} (link {device['link']})"
        if "error" in device:
            yield f"  FAIL: {device['error']}"
            continue
        if "doubt" in device:
            yield prose(f"LOOK, compare with its display; not verified: {device['doubt']}", "  ")
        yield table(
            ("", "POINT", "VALUE", "UNIT", "RAW", "PLACE", "DESIGNATION", "QUALITY"),
            [
                (
                    _result(device, entry),
                    entry["point"],
                    entry["value"],
                    entry["unit"] or "",
                    entry["raw"] or "",
                    entry["place"],
                    entry["designation"] or "",
                    quality(entry),
                )
                for entry in device["points"]
            ],
            "  ",
        )
    yield ""
    yield summary(answer["devices"])


def results(devices: Sequence[Mapping[str, Any]]) -> list[str]:
    """The result of each point; of a device that could not be read, one."""
    found = []
    for device in devices:
        found += ["FAIL"] if "error" in device else [_result(device, each) for each in device["points"]]
    return found


def _result(device: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    result = _RESULTS[entry["quality"]]
    return "LOOK" if result == "pass" and "doubt" in device else result


def summary(devices: Sequence[Mapping[str, Any]]) -> str:
    """How many pass."""
    found = results(devices)
    passed, look = found.count("pass"), found.count("LOOK")
    return f"{len(found)} point{'s' if len(found) != 1 else ''}: {passed} pass, {look} to be looked at, {found.count('FAIL')} fail."


def sealed(text: str) -> str:
    """With a line that shows whether anything above it was changed."""
    return f"{text}\nSHA-256 of all above: {hashlib.sha256(text.encode()).hexdigest()}"
