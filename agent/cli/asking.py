"""What the commands that ask the running agent have in common: the arguments, the question, the answer on the screen."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from agent import control
from agent.cli import common, exits

SOCKET_VARIABLE: Final = "DIACCESS_SOCKET"


def add_socket(parser: argparse.ArgumentParser) -> None:
    """`--socket`: where the agent answers; needed only where several run on one machine."""
    parser.add_argument(
        "--socket",
        type=Path,
        default=Path(os.environ.get(SOCKET_VARIABLE) or control.default_path()),
        metavar="PATH",
        help=f"the agent's control socket (default: ${SOCKET_VARIABLE}, else %(default)s)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`: the answer as it came, for scripts."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def show(arguments: argparse.Namespace, answer: Any, text: str) -> None:
    """Print the answer as it was asked for."""
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(answer, order="deterministic"), indent=2).decode())
    else:
        print(text)


def not_answered(error: control.NotAnswered) -> int:
    """Say why the agent gave no answer; the exit code."""
    return common.fail(
        str(error), exits.UNAVAILABLE if isinstance(error, control.NotRunning) else exits.FAILED
    )
