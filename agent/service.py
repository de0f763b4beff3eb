"""What the service manager is told: started, stopping, how it goes, and that work really gets done.

This module knows systemd's notification protocol (sd_notify(3)) and nothing of the agent; where nobody asked to be
notified, everything here does nothing.

The watchdog is fed by progress, not by a timer: a loop that runs while nothing gets done is as good as hung. Each
kind of work is registered in `Progress` with the longest time that it may take to get one piece done, well or badly:
an attempt that failed is progress (a building without power is no reason to restart), an attempt that never ends is
not. `feed` pings systemd as long as no kind is overdue; when one is, it says where every task waits. Then systemd
aborts the process, which prints the stack of every thread (`trace_aborts`), and starts it again.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

import structlog

log = structlog.get_logger()

_SEND_LIMIT_S: Final = 0.5
"""How long a message may wait for systemd to read earlier ones. They are few, and READY=1 must not get lost."""


class Notify:
    """Tells the service manager. A message that cannot be sent is lost: that must never end the daemon."""

    def __init__(self, socket: socket.socket | None = None, interval: timedelta | None = None) -> None:
        self._socket = socket
        self.interval: Final = interval
        """The process is aborted when it was not heard of for this long; `None` when nobody watches."""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self:
        """Take the variables that systemd set out of the environment: child processes must not inherit them."""
        address = environment.pop("NOTIFY_SOCKET", "")
        interval_us = environment.pop("WATCHDOG_USEC", "")
        watched = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        if not address.startswith(("/", "@")):
            return cls()
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        channel.settimeout(_SEND_LIMIT_S)
        try:
            channel.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
        except OSError as error:
            channel.close()
            log.warning("service.not_reachable", socket=address, error=error)
            return cls()
        watch = interval_us.isascii() and interval_us.isdecimal() and int(interval_us) > 0 and watched
        return cls(channel, timedelta(microseconds=int(interval_us)) if watch else None)

    def ready(self, status: str) -> None:
        """Started (or reloaded): the store is open and the sources are running."""
        self._send(READY=1, STATUS=status)

    def status(self, status: str) -> None:
        """One sentence for `systemctl status`."""
        self._send(STATUS=status)

    def reloading(self, status: str) -> None:
        """A new configuration is being taken in; `ready` ends it."""
        self._send(
            RELOADING=1, MONOTONIC_USEC=time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000, STATUS=status
        )

    def stopping(self, status: str) -> None:
        """Was told to stop, and is about to."""
        self._send(STOPPING=1, STATUS=status)

    def failed(self, status: str, number: int) -> None:
        """Is about to exit because of this; `number` is an errno, shown by `systemctl show -p StatusErrno`."""
        self._send(STATUS=status, ERRNO=number)

    def ping(self) -> None:
        """Still alive, and getting work done."""
        self._send(WATCHDOG=1)

    def close(self) -> None:
        """Give the socket back."""
        if self._socket:
            self._socket.close()

    def _send(self, **assignments: str | int) -> None:
        if self._socket is None:
            return
        # One assignment a line (sd_notify(3)): a line feed in a status would begin another one.
        lines = (f"{name}={' '.join(str(value).splitlines())}" for name, value in assignments.items())
        try:
            self._socket.send("\n".join(lines).encode("utf-8", "replace"))
        except OSError as error:
            log.debug("service.not_reachable", error=error)


class Progress:
    """When each kind of work last got a piece done, well or badly, and how long the next may take.

    `now_s` is a clock that stands still while the machine sleeps, as systemd's watchdog does.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._allowance_s: dict[str, float] = {}
        self._made_s: dict[str, float] = {}

    def expect(self, what: str, within: timedelta) -> None:
        """From now on, one piece of this work must end within this time of the one before. May be said again."""
        self._allowance_s[what] = within.total_seconds()
        self._made_s[what] = self._now_s()

    def release(self, what: str) -> None:
        """This work is not expected any more."""
        self._allowance_s.pop(what, None)
        self._made_s.pop(what, None)

    def made(self, what: str) -> None:
        """One piece of this work ended. Cheap; work that is not expected may be reported too."""
        self._made_s[what] = self._now_s()

    def overdue(self) -> dict[str, timedelta]:
        """The kinds of work that take longer than they may, and since when nothing came of them."""
        now_s = self._now_s()
        return {
            what: timedelta(seconds=now_s - self._made_s[what])
            for what, allowance_s in self._allowance_s.items()
            if now_s - self._made_s[what] > allowance_s
        }


async def feed(notify: Notify, progress: Progress) -> None:
    """Ping the watchdog three times an interval, as long as no work is overdue. Returns at once when nobody watches."""
    if notify.interval is None:
        return
    starving = False
    while True:
        overdue = progress.overdue()
        if not overdue:
            notify.ping()
        if bool(overdue) is not starving:
            starving = bool(overdue)
            if starving:
                log.critical("watchdog.starving", abort_after=notify.interval, **overdue)
                for task in asyncio.all_tasks():
                    log.error("watchdog.task", task=task.get_name(), at=_whereabouts(task))
            else:
                log.info("watchdog.fed")
        await asyncio.sleep(notify.interval.total_seconds() / 3)


def _whereabouts(task: asyncio.Task[Any]) -> str:
    """Where a task waits, from its outermost coroutine inwards; the stacks of threads do not show it."""
    waiting: Any = task.get_coro()
    places = []
    while waiting is not None:
        if frame := getattr(waiting, "cr_frame", None) or getattr(waiting, "ag_frame", None):
            file = "/".join(Path(frame.f_code.co_filename).parts[-2:])
            places.append(f"{file}:{frame.f_lineno} {frame.f_code.co_name}")
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "ag_await", None)
    return " > ".join(places)


def trace_aborts() -> None:
    """Print the stack of every thread when the process crashes, or is aborted by the watchdog (SIGABRT)."""
    faulthandler.enable()
