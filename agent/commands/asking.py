"""What the command line asks for, in plain values, and the answer in the same: over the control socket, or without an agent."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Final

from agent.clock import Clock
from agent.command import Command
from agent.commands.commands import Commands
from agent.commands.lease import wall

LIFE: Final = timedelta(minutes=1)
"""Whoever asks at the command line waits half as long for the answer."""


async def write(
    commands: Commands,
    clock: Clock,
    *,
    source: str,
    device: str,
    point: str,
    value: str,
    lease_s: float | None = None,
    take_over: bool = False,
    dry_run: bool = False,
) -> dict[str, Any]:
    """Have a value written, given as a person writes it; the outcome, and what a person needs to read it."""
    now = wall(clock)
    command = Command(
        id=uuid.uuid4().hex,
        device=device,
        point=point,
        value=commands.value(device, point, value),
        requested_at=now,
        expires_at=now + LIFE,
        lease=None if lease_s is None else timedelta(seconds=lease_s),
        source=source,
        takes_over=take_over,
    )
    outcome = await (commands.try_out(command) if dry_run else commands.execute(command))
    return {
        **commands.described(device, point),
        "id": command.id,
        "device": device,
        "point": point,
        "asked": command.value,
        "state": outcome.state,
        "detail": outcome.detail,
        "before": outcome.before,
        "found": outcome.found,
        "holds_until": outcome.holds_until,
        "unavailable": outcome.unavailable,
    }
