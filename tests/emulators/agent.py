"""The agent as its own process, as it is installed; and a consumer that books what arrives at the broker.

async with AgentProcess(folder, settings) as agent:
    await agent.ready()
    agent.ask("status")
    await agent.kill()           # SIGKILL: nothing is written down
    await agent.start()
    code = await agent.stop()    # SIGTERM
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from agent import control
from tests.emulators.broker import Seen

ROOT = Path(__file__).parents[2]
LIMIT_S = 60.0
"""For anything that a loaded machine may take its time for."""


class AgentProcess:
    """`diaccess-agent run` with these settings (JSON is YAML), its log and its buffer in a folder."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.socket = folder / "control"
        self._config = folder / "gateway.yaml"
        self._log = folder / "agent.log"
        self.configure(settings)
        self._process: asyncio.subprocess.Process | None = None

    def configure(self, settings: Mapping[str, Any]) -> None:
        """For the next start."""
        base = {
            "gateway": {"id": "gw-1"},
            "log": {"form": "json"},
            "buffer": {"folder": "buffer", "commit_interval": "200ms"},
        }
        self._config.write_text(json.dumps({**base, **settings}), encoding="utf-8")

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start it; it may not be ready yet."""
        command = [sys.executable, "-m", "agent", "run", "--config", self._config, "--socket", self.socket]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=log, stderr=log)

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def kill(self) -> None:
        """SIGKILL."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT_S):
            return await self.process.wait()

    def reload(self) -> None:
        """SIGHUP: have it read the configuration again."""
        self.process.send_signal(signal.SIGHUP)

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """What it logged so far, over all of its lives; of one event, or of all."""
        entries = []
        for line in self._log.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"event": "not JSON", "text": line}
            if name in {None, entry["event"]}:
                entries.append(entry)
        return entries

    async def until(self, holds: Callable[[], Any]) -> Any:
        """Wait until this is true; what it gave. Fails with the log when the agent ends before."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                if found := holds():
                    return found
                assert self.process.returncode is None, self._log.read_text(encoding="utf-8")
                await asyncio.sleep(0.02)

    async def until_logged(self, event: str, times: int = 1) -> list[dict[str, Any]]:
        """Wait until it has logged this event so often."""
        found: list[dict[str, Any]] = await self.until(
            lambda: entries if len(entries := self.events(event)) >= times else None
        )
        return found

    async def ask(self, question: str, **arguments: Any) -> Any:
        """What the command line would ask; waits until a starting agent answers."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                try:
                    return await asyncio.to_thread(control.ask, self.socket, question, **arguments)
                except control.NotRunning:
                    assert self.process.returncode is None, self._log.read_text(encoding="utf-8")
                    await asyncio.sleep(0.05)


async def until(holds: Callable[[], Any]) -> None:
    """Wait until this is true."""
    async with asyncio.timeout(LIMIT_S):
        while not holds():  # noqa: ASYNC110  # what it waits for is another process
            await asyncio.sleep(0.02)


class Consumer:
    """Books what arrives at the broker as docs/json.md says: repeats are told by store and number."""

    def __init__(self) -> None:
        self.readings: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        """By store id, then number."""
        self.repeats = 0
        self.lanes: set[str] = set()

    def book(self, seen: Seen) -> None:
        """Take one message; a repeat must say the same as what it repeats."""
        document = json.loads(seen.payload)
        if "samples" not in document:
            return
        self.lanes.add(document["lane"])
        booked = self.readings[document["store"]]
        for sample in document["samples"]:
            for reading in sample["readings"]:
                entry = {**reading, "device": sample["device"]}
                if (before := booked.setdefault(reading["number"], entry)) is not entry:
                    assert before == entry
                    self.repeats += 1

    async def listen(self, seen: asyncio.Queue[Seen]) -> None:
        """Book for ever."""
        while True:
            self.book(await seen.get())

    @property
    def count(self) -> int:
        """Different readings so far."""
        return sum(map(len, self.readings.values()))

    def of(self, device: str) -> list[dict[str, Any]]:
        """The readings of a device, in the order of their numbers."""
        return [
            reading
            for booked in self.readings.values()
            for _, reading in sorted(booked.items())
            if reading["device"] == device
        ]
