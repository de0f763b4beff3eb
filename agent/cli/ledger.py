"""`diaccess-agent ledger`: what was read, stored, dropped and acknowledged, and whether it balances."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from agent import control
from agent.cli import asking, exits
from agent.cli.table import table

NAME = "ledger"
HELP = "show what was read, stored, dropped and acknowledged; it must balance"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whom to ask, and how to print."""
    asking.add_socket(parser)
    asking.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask the running agent: 0 when the ledger balances, 1 when not, 69 when no agent runs."""
    try:
        answer = control.ask(arguments.socket, "ledger")
    except control.NotAnswered as error:
        return asking.not_answered(error)
    asking.show(arguments, answer, "\n".join(lines(answer)))
    return exits.FAILED if answer["problems"] else exits.FINE


def lines(ledger: Mapping[str, Any]) -> Iterator[str]:
    """Lay out the answer for a person; every figure is a number of readings since the store began."""
    yield f"read {ledger['read']}   stored {ledger['stored']}   not stored {_reasons(ledger['dropped'])}"
    yield ""
    yield table(
        ("UPLINK", "STORED", "ACKNOWLEDGED", "WAITING", "FILTERED", "REFUSED", "DROPPED"),
        [
            (
                name,
                of["stored"],
                of["acknowledged"],
                of["waiting"],
                of["filtered"],
                of["refused"],
                _reasons(of["dropped"]),
            )
            for name, of in ledger["uplinks"].items()
        ],
    )
    yield ""
    yield "\n".join(f"DOES NOT BALANCE: {problem}" for problem in ledger["problems"]) or "It balances."


def _reasons(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{count} ({reason})" for reason, count in dropped.items() if count) or "0"
