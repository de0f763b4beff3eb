"""`diaccess-agent simulate` as a process of its own, as an operator starts it and types into it.

async with Simulated(config, "--fault", "line=baud-true") as devices:
    assert await devices.told("meter-1 silent") == "meter-1: silent"
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
LIMIT_S = 60.0
"""For anything that a loaded machine may take its time for."""


class Simulated:
    """The devices of a configuration."""

    def __init__(self, config: Path, *arguments: str) -> None:
        self._config = config
        self._arguments = arguments
        self.said: list[str] = []
        """What it printed when it began."""

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "agent", "simulate", "--config", self._config, *self._arguments]
        self.process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
        )
        while not self.said or not self.said[-1].startswith("serving"):
            self.said.append(await self._line())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def told(self, order: str) -> str:
        """Type an order; what is said to it, in one line."""
        assert self.process.stdin
        self.process.stdin.write(f"{order}\n".encode())
        return await self._line()

    async def stop(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C, or another signal; the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        await asyncio.wait_for(self.process.communicate(), LIMIT_S)
        assert self.process.returncode is not None
        return self.process.returncode

    async def _line(self) -> str:
        assert self.process.stdout
        line = await asyncio.wait_for(self.process.stdout.readline(), LIMIT_S)
        assert line, "simulate has ended"
        return line.decode().rstrip("\n")
