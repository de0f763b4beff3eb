"""What the commands that read the configuration have in common: where it is, and how its problems are said."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.cli import exits

if TYPE_CHECKING:
    from agent.document import Problems

CONFIG_VARIABLE: Final = "DIACCESS_CONFIG"
CONFIG_PATH: Final = "/etc/diaccess-agent/gateway.yaml"


class Misused(Exception):
    """What stands on the command line makes no sense together; as argparse's own mistakes, it ends with `exits.USAGE`."""


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config`, a `Path`."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        default=Path(os.environ.get(CONFIG_VARIABLE) or CONFIG_PATH),
        help=f"the configuration (default: ${CONFIG_VARIABLE}, else {CONFIG_PATH})",
    )


def refuse(problems: Problems) -> int:
    """Print everything that is wrong with a configuration."""
    count = len(problems.problems)
    print(problems, file=sys.stderr)
    return fail(f"{count} problem{'s' if count != 1 else ''} in the configuration", exits.CONFIGURATION)


def fail(message: str, code: int) -> int:
    """Print what went wrong; gives the code, for the command to return."""
    print(f"diaccess-agent: {message}", file=sys.stderr)
    return code
