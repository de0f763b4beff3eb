"""A real mosquitto on loopback, for one test: started, stopped, killed and started again on the same port.

    async with Broker(folder) as broker:
        ...                          # broker.port
        await broker.kill()          # SIGKILL: nobody says goodbye
        await broker.start()
        async with broker.subscriber("diaccess/#") as seen:
            message = await seen.get()

Where mosquitto is missing, tests that need it are skipped; with CI set in the environment they fail instead.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from tests.emulators.ports import free_port

START_S = 20.0
"""Far more than it ever needs: a loaded machine."""


def mosquitto() -> str:
    """Path of the program; Debian puts it where an ordinary user's PATH does not look."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        words = "mosquitto is missing: apt install mosquitto"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return found


class Seen(NamedTuple):
    """A message as a subscriber got it."""

    topic: str
    payload: bytes
    retain: bool


class Broker:
    """One mosquitto. `passwords` and `access` (lines of an ACL file) and `tls` are set before it starts."""

    def __init__(
        self,
        folder: Path,
        *,
        listener: Sequence[str] = (),
        passwords: Mapping[str, str] | None = None,
        access: Sequence[str] = (),
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        self.port = free_port()
        self.log = folder / "mosquitto.log"
        self._folder = folder
        self._listener = list(listener)
        self._passwords = passwords
        self._access = access
        self._tls = tls
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._folder.mkdir(exist_ok=True)
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        settings = self._folder / "mosquitto.conf"
        settings.write_text("\n".join(await self._settings()), encoding="utf-8")
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                mosquitto(), "-c", settings, "-v", stdout=log, stderr=log
            )
        async with asyncio.timeout(START_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    if self._process.returncode is not None:
                        raise AssertionError(self.log.read_text(encoding="utf-8")) from None
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    async def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        await self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: the kernel still takes what is sent, and nobody reads it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def _end(self, with_signal: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.send_signal(with_signal)
            process.send_signal(signal.SIGCONT)
        await process.wait()

    async def _settings(self) -> list[str]:
        lines = [f"listener {self.port} 127.0.0.1", *self._listener]
        if self._tls is not None:
            certificate, key = self._tls
            lines += [f"certfile {certificate}", f"keyfile {key}"]
        if self._passwords is None:
            lines.append("allow_anonymous true")
        else:
            lines.append(f"password_file {await self._password_file(self._passwords)}")
        if self._access:
            file = self._folder / "access"
            file.write_text("\n".join(self._access) + "\n", encoding="utf-8")
            lines.append(f"acl_file {file}")
        if os.geteuid() == 0:
            lines.append("user root")  # else it changes to a user that cannot read the test's files
        return [*lines, "persistence false", "log_type all"]

    async def _password_file(self, passwords: Mapping[str, str]) -> Path:
        file = self._folder / "passwords"
        file.touch(mode=0o600)
        for user, password in passwords.items():
            process = await asyncio.create_subprocess_exec("mosquitto_passwd", "-b", file, user, password)
            assert await process.wait() == 0
        return file

    @asynccontextmanager
    async def subscriber(self, pattern: str) -> AsyncIterator[asyncio.Queue[Seen]]:
        """What the broker hands out under a topic filter, from the moment that it is entered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        seen: asyncio.Queue[Seen] = asyncio.Queue()
        writer.write(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00")  # CONNECT, 3.1.1, clean, no keep-alive
        topic = pattern.encode()
        body = b"\x00\x01" + struct.pack(">H", len(topic)) + topic + b"\x00"
        writer.write(b"\x82" + bytes([len(body)]) + body)
        async with asyncio.timeout(START_S):
            assert (await reader.readexactly(4))[3] == 0, "CONNACK"
            assert await reader.readexactly(5) == b"\x90\x03\x00\x01\x00", "SUBACK"
        listening = asyncio.create_task(_listen(reader, seen), name=f"subscriber {pattern}")
        try:
            yield seen
        finally:
            listening.cancel()
            writer.transport.abort()
            await asyncio.gather(listening, return_exceptions=True)


async def _listen(reader: asyncio.StreamReader, seen: asyncio.Queue[Seen]) -> None:
    while True:
        first = (await reader.readexactly(1))[0]
        length = shift = 0
        while True:
            byte = (await reader.readexactly(1))[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        body = await reader.readexactly(length)
        if first >> 4 == 3:
            end = 2 + int.from_bytes(body[:2], "big")
            seen.put_nowait(Seen(body[2:end].decode(), body[end:], bool(first & 1)))
