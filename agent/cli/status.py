"""`diaccess-agent status`: what works right now, and the last value of every point."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from agent import control
from agent.cli import asking, exits
from agent.cli.table import ago, bytes_text, cell_text, table

NAME = "status"
HELP = "show what works right now: store, uplinks, links, devices and their last values"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whom to ask, and how to print."""
    asking.add_socket(parser)
    asking.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask the running agent; 69 when there is none."""
    try:
        answer = control.ask(arguments.socket, "status")
    except control.NotAnswered as error:
        return asking.not_answered(error)
    asking.show(arguments, answer, "\n".join(lines(answer)))
    return exits.FINE


def lines(status: Mapping[str, Any]) -> Iterator[str]:
    """Lay out the answer for a person."""
    store = status["store"]
    durable = "durable" if store["durable"] else f"NOT DURABLE: {store['why_not_durable']}"
    yield f"gateway {status['gateway']}  diaccess-agent {status['version']}  up {ago(status['up_s'])}  clock {status['clock']}"
    yield f"store   {durable}  {bytes_text(store['bytes'])} of {bytes_text(store['bound'])}  id {store['id']}"
    yield ""
    yield table(
        ("UPLINK", "STATE", "FOR", "LIVE WAITING", "BACKLOG WAITING", "ERROR"),
        [
            (
                u["id"],
                u["state"],
                ago(u["for_s"]),
                u["waiting"]["live"],
                u["waiting"]["backlog"],
                u["error"] or "",
            )
            for u in status["uplinks"]
        ],
    )
    if status.get("leases"):
        yield ""
        yield table(
            ("HELD", "AT", "BY", "FOR", "THEN", "ERROR"),
            [
                (
                    f"{lease['device']} {lease['point']}",
                    lease["value"],
                    lease["source"],
                    ago(lease["left_s"]),
                    lease["fallback"],
                    lease["error"] or "",
                )
                for lease in status["leases"]
            ],
        )
    for link in status["links"]:
        said = {**link["counts"], **link.get("figures", {})}
        counts = "  ".join(fact(name, amount) for name, amount in said.items() if amount)
        error = f"  {link['error']}" if link["error"] else ""
        yield ""
        yield f"link {link['id']} ({link['driver']})  {link['state']} for {ago(link['for_s'])}{error}"
        if counts:
            yield f"  {counts}"
        for device in link["devices"]:
            yield ""
            yield f"  device {device['id']}  {answering(device)}"
            yield points(device["points"], indent="    ")


def answering(device: Mapping[str, Any]) -> str:
    """Say how a device does: its condition, or that it is silent, and what its driver counts."""
    counts = dict(device["answering"])
    silent = counts.pop("state", "ok") == "silent"
    facts = [fact(name, amount) for name, amount in counts.items() if amount]
    return "  ".join(
        ["SILENT" if silent else device["state"], *([device["error"]] if device["error"] else []), *facts]
    )


def quality(entry: Mapping[str, Any]) -> str:
    """How far a reading can be trusted, and why not."""
    return str(entry["quality"]) + (f" ({entry['reason']})" if entry["reason"] else "")


def points(entries: list[dict[str, Any]], indent: str = "") -> str:
    """Lay out the readings of one device."""
    return table(
        ("POINT", "VALUE", "UNIT", "QUALITY", "AGE"),
        [
            (
                entry["point"],
                value(entry),
                entry["unit"] or "",
                quality(entry),
                ago(entry["age_s"]),
            )
            for entry in entries
        ],
        indent,
    )


def value(entry: Mapping[str, Any]) -> Any:
    """The value of a reading, with what it means where it is one of an enumeration: `2 (heating)`."""
    return f"{entry['value']} ({label})" if (label := entry.get("label")) else entry["value"]


def fact(name: str, amount: Any) -> str:
    """One of the things that a driver counts or measures: three digits are enough of a measure, and a share is per cent."""
    if not isinstance(amount, float):
        return f"{name} {cell_text(amount)}"
    return f"{name} {amount:.1%}" if name == "utilisation" else f"{name} {amount:.3g}"
