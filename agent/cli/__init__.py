"""The command line: one file a command.

A command is a module of this package that has `NAME` (as its file is called), `HELP` (one line), `add_arguments` and
`run`, which returns an exit code of `exits`; its docstring is shown by `--help`, and `EXAMPLES`, if it has them, too.
Only the command that is used is imported; the list in `--help` imports them all, so they import what is heavy only
when they run. A module here without a `NAME` serves the others.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from typing import Any

from agent import __version__
from agent.cli import exits

PROGRAM = "diaccess-agent"

DESCRIPTION = (
    """Reads building sensors, keeps their readings on the local disk, and forwards them upstream."""
)

BEGIN = f"""to begin:
  {PROGRAM} check --config gateway.yaml      every mistake in a configuration, with its line
  {PROGRAM} simulate --config gateway.yaml   its devices, emulated: try it without hardware
  {PROGRAM} run --config gateway.yaml        the agent itself, until Ctrl-C
  {PROGRAM} status                           what works right now

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code. An error that a person can mend is one line; a bug is a traceback."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A file name or a text from a device may be no UTF-8, and the terminal no more than ASCII.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    parsed = _parser(given).parse_args(given)
    try:
        code = _run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough (`| head`); Python would complain once more when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    return code


def _run(parsed: argparse.Namespace) -> int:
    from agent.cli import common  # noqa: PLC0415  not for --version
    from agent.interfaces import Misconfigured, Unavailable  # noqa: PLC0415

    try:
        code: int = parsed.run(parsed)
    except common.Misused as error:
        return common.fail(str(error), exits.USAGE)
    except Misconfigured as error:
        return common.fail(str(error), exits.CONFIGURATION)
    except Unavailable as error:
        return common.fail(str(error), exits.UNAVAILABLE)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    return code


def commands() -> dict[str, Any]:
    """All commands by name, each imported."""
    modules = (importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def command(name: str) -> Any | None:
    """One command alone; `None` when there is none of this name."""
    if name not in {each.name for each in pkgutil.iter_modules(__path__)}:
        return None
    module = importlib.import_module(f"{__name__}.{name}")
    return module if hasattr(module, "NAME") else None


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=BEGIN + exits.EXPLAINED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    choices = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    used = command(given[0]) if given else None
    for each in [used] if used else commands().values():
        _add(choices, each)
    return parser


def _add(choices: Any, command: Any) -> None:
    about = (command.__doc__ or "").partition(": ")[2] or command.HELP
    added = choices.add_parser(
        command.NAME,
        help=command.HELP,
        description=f"{about[:1].upper()}{about[1:]}".strip(),
        epilog=getattr(command, "EXAMPLES", "") + exits.EXPLAINED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(added)
    added.set_defaults(run=command.run)
