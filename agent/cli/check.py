"""`diaccess-agent check`: everything that is wrong with a configuration, at once.

Each problem is one line, `file:line:column: what was expected, what was found`, with a guess at what was meant.
Secrets are looked up too, as the one who runs this: as root, or with --no-secrets where they are not at hand.
Nothing is opened: no link, no store, no network.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from agent.cli import common, exits

NAME = "check"
HELP = "say everything that is wrong with a configuration, with its line"
EXAMPLES = """examples:
  diaccess-agent check --config gateway.yaml
  diaccess-agent check --config gateway.yaml --no-secrets    where the secrets are not at hand

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which configuration, and whether to look up its secrets."""
    common.add_config(parser)
    parser.add_argument("--no-secrets", action="store_true", help="do not look whether the secrets are there")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(arguments: argparse.Namespace) -> int:
    """0 when the configuration is fine, with warnings or without; 78 when it is not."""
    from agent import settings  # noqa: PLC0415  --help needs none of it
    from agent.document import Problems  # noqa: PLC0415

    try:
        configuration = settings.read(arguments.config, secrets=not arguments.no_secrets)
    except Problems as error:
        if not arguments.json:
            return common.refuse(error)
        _print_json({"fine": False, "problems": _listed(error.problems), "warnings": [], "notes": []})
        return exits.CONFIGURATION
    root = configuration.root
    counts = {
        "links": len(root.links),
        "devices": configuration.devices,
        "points": configuration.points,
        "uplinks": len(root.uplinks),
    }
    notes = list(settings.notes(root))
    if arguments.json:
        warnings = _listed(configuration.warnings)
        _print_json({"fine": True, **counts, "problems": [], "warnings": warnings, "notes": notes})
        return exits.FINE
    for mark, message in configuration.warnings:
        print(f"{mark}: warning: {message}")
    for note in notes:
        print(note)
    print(f"{arguments.config}: fine: {', '.join(_counted(count, noun) for noun, count in counts.items())}")
    return exits.FINE


def _print_json(answer: dict[str, Any]) -> None:
    print(json.dumps(answer, indent=2, ensure_ascii=False))


def _listed(problems: Any) -> list[dict[str, Any]]:
    return [{**mark._asdict(), "message": message} for mark, message in problems]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun if count != 1 else noun[:-1]}"
