"""`diaccess-agent watch`: the newest readings of the running agent, as they come.

On a terminal a table that refreshes itself, until Ctrl-C; into a pipe or with --lines a line for each new reading.
Only what the agent has read anyway is shown: no device is asked more often for it. A pattern is a device, a point or
device/point, as in a shell: meter-1, "*temperature*", "vent-*/supply*".
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from shutil import get_terminal_size
from typing import Any, Final

import msgspec

from agent import control
from agent.cli import asking, exits
from agent.cli.status import quality
from agent.cli.table import ago, cell_text, table

NAME = "watch"
HELP = "show the newest readings of the running agent as they come, until Ctrl-C"
EXAMPLES = """examples:
  diaccess-agent watch                       every point
  diaccess-agent watch meter-1 "*co2*"       all of one device, and whatever is called so
  diaccess-agent watch --lines | grep bad    a line for each new reading

"""

EVERY_S: Final = 1.0
"""How often the agent is asked what is new."""
_HOME = "\x1b[H"
_CLEAR = "\x1b[J"
_ENTER, _LEAVE = "\x1b[?1049h", "\x1b[?1049l"
"""The terminal's other screen, so that what stood there before comes back."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to show, and how."""
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="a device, a point, or device/point")
    parser.add_argument("--lines", action="store_true", help="a line for each new reading, not a table")
    parser.add_argument(
        "--for", dest="seconds", type=float, metavar="SECONDS", help="end after so long (default: at Ctrl-C)"
    )
    asking.add_socket(parser)
    parser.add_argument("--json", action="store_true", help="print each new reading as a line of JSON")


def run(arguments: argparse.Namespace) -> int:
    """Show until Ctrl-C; 69 when no agent runs, or it ends meanwhile; 1 when no point matches."""
    try:
        first = _ask(arguments)
        if not first:
            wanted = " ".join(arguments.patterns) or "anything"
            print(
                f"diaccess-agent: nothing was read yet that matches {wanted}; `status` lists the points",
                file=sys.stderr,
            )
            return exits.FAILED
        if arguments.lines or arguments.json or not sys.stdout.isatty():
            _as_lines(arguments, first)
        else:
            _as_table(arguments, first)
    except control.NotAnswered as error:
        return asking.not_answered(error)
    return exits.FINE


def _ask(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    answer: list[dict[str, Any]] = control.ask(arguments.socket, "latest", patterns=arguments.patterns)
    return answer


def _rounds(arguments: argparse.Namespace, first: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """What the agent says, now and every second, until the time is over."""
    end_s = None if arguments.seconds is None else time.monotonic() + arguments.seconds
    yield first
    while end_s is None or time.monotonic() < end_s:
        time.sleep(EVERY_S if end_s is None else max(0.0, min(EVERY_S, end_s - time.monotonic())))
        yield _ask(arguments)


# --- lines -----------------------------------------------------------------------------------------------------


def _as_lines(arguments: argparse.Namespace, first: list[dict[str, Any]]) -> None:
    seen: dict[tuple[str, str], int] = {}
    for entries in _rounds(arguments, first):
        now = datetime.now().astimezone()
        for entry in new(entries, seen):
            if arguments.json:
                print(msgspec.json.encode(entry).decode(), flush=True)
            else:
                print(line(entry, now - timedelta(seconds=entry["age_s"])), flush=True)


def new(
    entries: Sequence[Mapping[str, Any]], seen: dict[tuple[str, str], int]
) -> Iterator[Mapping[str, Any]]:
    """Those that were not there the last time; `seen` remembers."""
    for entry in entries:
        key, at_ns = (entry["device"], entry["point"]), entry["monotonic_ns"]
        if seen.get(key) != at_ns:
            seen[key] = at_ns
            yield entry


def line(entry: Mapping[str, Any], at: datetime) -> str:
    """`08:30:01 meter-1/voltage_l1 230.1 V good`."""
    parts = [f"{at:%H:%M:%S}", f"{entry['device']}/{entry['point']}", _value(entry), quality(entry)]
    return " ".join(parts)


# --- a table ---------------------------------------------------------------------------------------------------


def _as_table(arguments: argparse.Namespace, first: list[dict[str, Any]]) -> None:
    shown = ""
    print(_ENTER, end="")
    try:
        for entries in _rounds(arguments, first):
            size = get_terminal_size()
            shown = screen(entries, size.columns, size.lines, datetime.now().astimezone())
            print(f"{_HOME}{_CLEAR}{shown}", end="", flush=True)
    except KeyboardInterrupt:
        pass  # the way to end it
    finally:
        print(_LEAVE, end="")
    print(shown)


def screen(entries: Sequence[Mapping[str, Any]], columns: int, lines: int, now: datetime) -> str:
    """A table that fits the terminal: rows that do not fit are counted, and long ones cut."""
    bad = sum(entry["quality"] == "bad" for entry in entries)
    head = f"{now:%H:%M:%S}  {len(entries)} points, {bad} bad  (Ctrl-C ends)"
    rows = [
        (entry["device"], entry["point"], _value(entry), ago(entry["age_s"]), quality(entry))
        for entry in entries
    ]
    room = max(lines - 4, 1)  # the head, an empty line, the heads of the columns, and what did not fit
    text = table(("DEVICE", "POINT", "VALUE", "AGE", "QUALITY"), rows[:room]).splitlines()
    if len(rows) > room:
        text.append(f"... and {len(rows) - room} more: name devices or points to see them")
    return "\n".join(each[:columns] for each in [head, "", *text])


def _value(entry: Mapping[str, Any]) -> str:
    label = f" ({entry['label']})" if entry.get("label") else ""
    unit = f" {entry['unit']}" if entry["unit"] not in {None, "1"} and entry["value"] is not None else ""
    return f"{cell_text(entry['value'])}{unit}{label}"
