"""`diaccess-agent scan modbus`: who answers on a line, found with reads alone.

A line is given by --link (of the running agent, else of the configuration), by --host or by --serial. While the agent
runs a line, it is asked as a guest of that line, so that the readings go on. Nothing is ever written to find a device.
Progress goes to standard error; Ctrl-C ends the search, and what was found so far is shown.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from agent import control, log, plugins
from agent.cli import asking, common, exits, visiting
from agent.cli.lines import block, columns, flow, prose
from agent.commissioning import Found
from agent.interfaces import Unavailable

NAME = "scan"
HELP = "search a line for devices (reads only), and print the configuration for what is found"
EXAMPLES = """examples:
  diaccess-agent scan modbus --host 192.0.2.10                 every unit id behind a gateway
  diaccess-agent scan modbus --host 192.0.2.10 --units 1-20
  diaccess-agent scan modbus --serial /dev/serial/by-id/...    a serial line, at every usual speed and parity
  diaccess-agent scan modbus --link meters                     a line of the running agent

"""

_WHERE_WIDTH = 8
_ANSWER_WIDTH = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which protocol, and the options that its driver has for a search."""
    protocols = parser.add_subparsers(title="protocols", metavar="PROTOCOL", dest="driver", required=True)
    for name in plugins.names("drivers"):
        driver = plugins.driver(name)
        if hasattr(driver, "commissioning"):
            tool = visiting.tool(name)
            added = protocols.add_parser(
                name,
                help=f"a {name} line",
                description=parser.description,
                epilog=parser.epilog,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
            added.add_argument("--link", metavar="ID", help="search this configured line")
            tool.add_place(added)
            tool.add_scan(added)
            visiting.add_visit(added)
            asking.add_json(added)


def run(arguments: argparse.Namespace) -> int:
    """Search. 0 when something was found, 1 when not, 69 when no line can be had, 130 when it was interrupted."""
    tool = visiting.tool(arguments.driver)
    log.configure(log.LogSettings(level=log.Level.ERROR, form=log.Form.CONSOLE))
    try:
        visits = visiting.Visits.of(arguments, arguments.driver)
        places = visiting.places(arguments, tool, visits)
    except control.NotAnswered as error:
        return asking.not_answered(error)
    show = Show(as_json=arguments.json)
    for remark in visits.remarks(places):
        show.remarks(remark)
    failed = ""
    interrupted = False
    try:
        asyncio.run(tool.scan(arguments, places, visits.visit, show))
    except Unavailable as error:
        failed = str(error)
        if arguments.link is None:  # then its id is one that nobody chose
            failed = failed.removeprefix(f"link {places[0].id}: ")
    except KeyboardInterrupt:
        interrupted = True
    if show.all or arguments.json or not failed:
        show.ends(interrupted=interrupted, failed=bool(failed))
    if failed:
        return common.fail(failed, exits.UNAVAILABLE)
    if interrupted:
        return exits.INTERRUPTED
    return exits.FINE if show.all else exits.FAILED


class Show:
    """Tells a person, or collects for a script, what a search says; see `agent.commissioning.Search`."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._live = sys.stderr.isatty()
        self._begun_s = time.monotonic()
        self._longest_s = 0.0
        self._line = ""
        self._remarks: list[str] = []
        self.all: list[tuple[Mapping[str, Any], Found]] = []

    def begins(self, line: str, words: str, longest_s: float) -> None:
        """Say what will be done, and how long it may take."""
        self._line = line
        self._longest_s = longest_s
        self._say(f"searching {line}: {words}, {_time(longest_s)} if nobody answers")

    def goes_on(self, words: str, done: int, of: int) -> None:
        """Refresh the one line that moves."""
        if self._live:
            left = _time(self._longest_s * (of - done) / of)
            text = f"{self._line}: {words}, {done} of {of} asked, {len(self.all)} found, {left} left at most"
            print(f"\r\x1b[K{text[: columns() - 1]}", end="", file=sys.stderr, flush=True)

    def found(self, link: Mapping[str, Any], found: Found) -> None:
        """Print a row at once: who watches wants to see it."""
        if not self.all and not self._json:
            self._print(f"{'WHERE':{_WHERE_WIDTH}}  {'ANSWERS IN':>{_ANSWER_WIDTH}}  WHAT")
        self.all.append((link, found))
        if not self._json:
            answer = f"{found.answer_ms:.{0 if found.answer_ms >= 10 else 1}f} ms"  # noqa: PLR2004  # three digits
            self._print(f"{found.where:{_WHERE_WIDTH}}  {answer:>{_ANSWER_WIDTH}}  {found.what}")

    def remarks(self, words: str) -> None:
        """Say something that whoever searches should know."""
        self._remarks.append(words)
        self._say(prose(words))

    def ends(self, *, interrupted: bool, failed: bool) -> None:
        """Sum up, and print the configuration."""
        self._clear()
        took = _time(time.monotonic() - self._begun_s)
        if self._json:
            found = [{"link": link, **msgspec.to_builtins(one)} for link, one in self.all]
            answer = {"found": found, "remarks": self._remarks, "complete": not interrupted and not failed}
            print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
            return
        count = len(self.all)
        so_far = " so far (interrupted)" if interrupted else ""
        print(f"{count} device{'s' if count != 1 else ''} found{so_far} in {took}.")
        if any(found.configured is None for _, found in self.all):
            print("\nFor the configuration, under links (choose ids that last: consumers know them):\n")
            print(self._configuration())

    def _configuration(self) -> str:
        lines = []
        by_link: dict[str, list[Found]] = {}
        heads = {}
        for link, found in self.all:
            key = flow(link)
            heads[key] = link
            by_link.setdefault(key, [])
            if found.configured is None:
                by_link[key].append(found)
        for key, listed in by_link.items():
            lines.append(block(heads[key], "  "))
            lines.append("    devices:")
            for found in listed:
                lines.append(f"      {'- ' if found.ready else '# - '}{flow(found.device)}")
                if not found.ready:
                    lines[-1] += "  # needs a profile, or points"
        return "\n".join(lines)

    def _say(self, words: str) -> None:
        self._clear()
        print(words, file=sys.stderr, flush=True)

    def _print(self, words: str) -> None:
        self._clear()
        print(words, flush=True)

    def _clear(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _time(seconds: float) -> str:
    """Write a time as a person says it: `41 s`, `4 min 7 s`, `1 h 12 min`."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004  # a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004
