"""`diaccess-agent write DEVICE POINT VALUE`: write one point, if the configuration allows it, and read it back.

A line has one owner: while the agent runs, it writes, and keeps what is to be known of it; only without one is the
link opened from here, by the same rules. Then nothing can be held for a while, since nobody would end it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import pwd
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from agent import control, log
from agent.cli import PROGRAM, asking, common, exits
from agent.cli.table import cell_text
from agent.document import Problems
from agent.fields import duration
from agent.interfaces import Misconfigured

if TYPE_CHECKING:
    from agent.interfaces import LinkBase, WritableLink

NAME = "write"
HELP = "write one point that the configuration allows to be written, and read it back"
EXAMPLES = """examples:
  diaccess-agent write vent-1 temperature_setpoint 21.5 --lease 2h    for two hours, then the fallback returns
  diaccess-agent write vent-1 temperature_setpoint 21.5 --dry-run     whether it may be, and what it is now

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to write, for how long, whom to ask, and how to print."""
    parser.add_argument("device", help="the device's id in the configuration")
    parser.add_argument("point", help="the point's name")
    parser.add_argument(
        "value", help="in the point's unit; on, off or a label where it has such (-5 is written: -- -5)"
    )
    parser.add_argument(
        "--lease",
        type=_duration,
        metavar="TIME",
        help="how long it holds before the fallback returns: 30min, 2h (default: as the configuration says)",
    )
    parser.add_argument(
        "--take-over", action="store_true", help="write although somebody else holds the point by a lease"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything and read the point; write nothing"
    )
    common.add_config(parser)
    asking.add_socket(parser)
    asking.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write through the running agent, else directly. The exit code says what became of it."""
    what = {
        "device": arguments.device,
        "point": arguments.point,
        "value": arguments.value,
        "lease_s": arguments.lease,
        "take_over": arguments.take_over,
        "dry_run": arguments.dry_run,
    }
    answer: dict[str, Any] | None = None
    try:
        answer = control.ask(arguments.socket, "write", **what)
    except control.NotRunning:
        pass  # then the line is free
    except control.NotAnswered as error:
        return asking.not_answered(error)
    try:
        answer = answer or _write_directly(arguments, what)
    except Problems as problems:
        return common.refuse(problems)
    except PermissionError as error:
        return common.fail(str(error), exits.REFUSED)
    asking.show(arguments, answer, "\n".join(lines(answer)))
    return exits.UNAVAILABLE if answer.get("unavailable") else CODES[answer["state"]]


CODES: Final = {
    "applied": exits.FINE,
    "accepted": exits.FINE,
    "rejected": exits.REFUSED,
    "failed": exits.FAILED,
    "expired": exits.FAILED,
}


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Lay out the answer for a person: what it was, what was asked, what it is now."""
    yield f"{answer['device']} {answer['point']}"
    for words, key in (("was", "before"), ("asked", "asked"), ("is now", "found")):
        if answer[key] is not None:
            yield f"  {words:<8}{_shown(answer, answer[key])}"
    yield f"{answer['state']}: {answer['detail']}"
    if answer["holds_until"]:
        until = datetime.fromisoformat(answer["holds_until"]).astimezone()
        yield f"holds until {until:%F %T}, then {answer['fallback']} returns"


def _shown(answer: Mapping[str, Any], value: Any) -> str:
    label = answer["labels"].get(str(value))
    unit = f" {answer['unit']}" if answer["unit"] else ""
    return f"{cell_text(value)}{unit}" + (f" ({label})" if label else "")


def _duration(text: str) -> float:
    try:
        return duration(text).total_seconds()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}; found {text!r}") from error


def _write_directly(arguments: argparse.Namespace, what: dict[str, Any]) -> dict[str, Any]:
    """Open the link of the device for one write, by all the rules. Raises as a driver does, and `PermissionError`."""
    import msgspec  # noqa: PLC0415  # only needed here

    from agent import commands, plugins, settings  # noqa: PLC0415
    from agent.clock import Clock  # noqa: PLC0415
    from agent.interfaces import Context  # noqa: PLC0415
    from agent.memory import open_memory  # noqa: PLC0415

    log.configure(log.LogSettings(level=log.Level.ERROR, form=log.Form.CONSOLE))
    root = settings.load(arguments.config)
    folder, clock = root.buffer.folder, Clock()
    if not os.access(folder, os.W_OK) and not arguments.dry_run:
        raise PermissionError(
            f"{folder}: expected a folder that you may write in, for what is written is recorded there; do it as the agent's "
            f"user: sudo -u {control.GROUP} {PROGRAM} write ..."
        )

    async def write() -> dict[str, Any]:
        async with contextlib.AsyncExitStack() as stack:
            memory = await stack.enter_async_context(open_memory(folder / "learnt.json"))
            owners = [_Owner(link) for link in root.links]
            for owner in owners:
                if arguments.device in {device.id for device in owner.settings.devices}:
                    link = owner.settings
                    context = Context(clock, memory.part(f"link {link.id}"))
                    owner.link = await stack.enter_async_context(
                        plugins.driver(link.driver).open(link, context)
                    )
            carrying = commands.Commands(
                lambda: owners,
                records=commands.Records(memory.part("commands"), clock, memory.write),
                audit=commands.Audit(folder / commands.NAME),
                clock=clock,
                holds=False,
            )
            running = asyncio.create_task(carrying.run(), name="commands")
            await asyncio.sleep(0)
            try:
                return await commands.write(carrying, clock, source=_user(), **what)
            finally:
                running.cancel()
                await asyncio.wait([running])

    encoder = msgspec.json.Encoder(decimal_format="number")
    answer: dict[str, Any] = msgspec.json.decode(encoder.encode(asyncio.run(write())))
    return answer


class _Owner:
    """Whoever keeps a link open: we, for as long as the command takes."""

    def __init__(self, settings: LinkBase) -> None:
        self.settings = settings
        self.link: Any = None

    def writable(self) -> WritableLink:
        """The link; no other than the open one is asked for."""
        if not hasattr(self.link, "write"):
            raise Misconfigured(f"link {self.settings.id}: its driver, {self.settings.driver}, only reads")
        link: WritableLink = self.link
        return link


def _user() -> str:
    try:
        return f"user {pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"user uid {os.getuid()}"
