"""`diaccess-agent replay FILE`: the readings that follow from a recording, under a configuration.

The driver itself reads from somebody who answers as it was recorded, with the same delays; nothing outside of this
machine is opened. So a fault that was recorded in a boiler room can be looked at on a desk, and another type, order
or profile can be tried on it: registers that were recorded are answered however they are asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

from agent import log, recording, report
from agent.cli import common, exits, visiting
from agent.cli.status import quality
from agent.clock import Clock
from agent.commissioning import Replay
from agent.interfaces import Context, Misconfigured
from agent.memory import MemoryFile
from agent.newest import cells
from agent.recording import Frame

NAME = "replay"
HELP = "print the readings that follow from a recording of a line"
EXAMPLES = """examples:
  diaccess-agent record meters --for 60s -o meters.ndjson
  diaccess-agent replay meters.ndjson --config gateway.yaml

"""
LONGER_S = 5.0
"""So much longer than the recording it may take: for what is waited for in vain."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which recording, and which configuration."""
    parser.add_argument("file", type=Path, metavar="FILE", help="what `record` wrote")
    parser.add_argument(
        "--link", metavar="ID", help="the configured link to read it as (default: the one that was recorded)"
    )
    common.add_config(parser)
    parser.add_argument("--json", action="store_true", help="print each sample as a line of JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the readings; 1 when none follow, 78 when file or configuration is wrong."""
    log.configure(log.LogSettings(level=log.Level.ERROR, form=log.Form.CONSOLE))
    try:
        lines = arguments.file.read_text(encoding="utf-8").splitlines()
        head, frames = recording.parse(lines, str(arguments.file))
    except OSError as error:
        return common.fail(f"replay: {arguments.file}: {error.strerror}", exits.FAILED)
    except ValueError as error:  # UnicodeDecodeError is one
        raise Misconfigured(str(error)) from error
    settings = visiting.configured(arguments.config, arguments.link or str(head.get("link")))
    if settings.driver != head["driver"]:
        raise Misconfigured(
            f"{arguments.file}: recorded on a {head['driver']} line; link {settings.id} is {settings.driver}"
        )
    if asyncio.run(_replay(settings, frames, as_json=arguments.json)):
        return exits.FINE
    return common.fail(
        f"{arguments.file}: nothing of the devices of link {settings.id} was recorded", exits.FAILED
    )


async def _replay(settings: Any, frames: tuple[Frame, ...], *, as_json: bool) -> int:
    """Read until every device has said all that was recorded of it; how many samples that made."""
    clock = Clock()
    context = Context(clock, MemoryFile().part(settings.id))
    length_s = (frames[-1].ns - frames[0].ns) / 1e9 if frames else 0.0
    shown = 0

    async def read(replay: Replay, device: str) -> None:
        nonlocal shown
        number = 0
        async with aclosing(replay.link.source(device)) as samples:
            async for sample in samples:
                if replay.over(device):
                    return
                number += 1
                shown += 1
                _print(device, number, report.readings(cells(sample), clock), as_json=as_json)
                replay.link.refresh(device)

    async with visiting.tool(settings.driver).replay(settings, frames, context) as replay:
        tasks = [asyncio.create_task(read(replay, device), name=device) for device in replay.devices]
        if not tasks:
            return 0
        try:
            ended, late = await asyncio.wait(tasks, timeout=length_s + LONGER_S)
            for task in ended:
                task.result()
            unheard = sorted(task.get_name() for task in late)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for remark in replay.remarks():
            common.fail(remark, exits.FINE)
        if unheard:
            common.fail(f"ended before the end of what was recorded of {', '.join(unheard)}", exits.FINE)
    return shown


def _print(device: str, number: int, entries: list[dict[str, Any]], *, as_json: bool) -> None:
    """The readings of one sample; `number` counts the samples of the device."""
    if as_json:
        points = [{key: value for key, value in each.items() if key != "age_s"} for each in entries]
        print(json.dumps({"device": device, "number": number, "points": points}, default=float), flush=True)
        return
    for entry in entries:
        unit = f" {entry['unit']}" if entry["unit"] and entry["value"] is not None else ""
        value = "-" if entry["value"] is None else entry["value"]  # with every digit: a test may expect it
        print(f"{device} {number} {entry['point']} {value}{unit} {quality(entry)}", flush=True)
