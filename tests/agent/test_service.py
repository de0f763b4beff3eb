"""The notification protocol over a real socket, and the watchdog's decision in virtual time."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from agent.service import Notify, Progress, feed
from tests.emulators import virtual_time


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.settimeout(10)
        end.bind(str(tmp_path / "notify"))
        yield end


@pytest.fixture
def notify(manager: socket.socket) -> Iterator[Notify]:
    told = Notify.from_environment({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "6000000"})
    yield told
    told.close()


def message(manager: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in manager.recv(65536).decode().split("\n"))


def test_each_message_as_the_protocol_wants_it(manager, notify):
    """Each notification is one datagram of VAR=value lines, with the variables of sd_notify(3)."""
    notify.ready("12 devices")
    assert message(manager) == {"READY": "1", "STATUS": "12 devices"}
    notify.status("broker connected")
    assert message(manager) == {"STATUS": "broker connected"}
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify.reloading("new configuration")
    reloading = message(manager)
    assert reloading.pop("STATUS") == "new configuration"
    assert (
        before_us
        <= int(reloading.pop("MONOTONIC_USEC"))
        <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    )
    assert reloading == {"RELOADING": "1"}
    notify.stopping("told to stop")
    assert message(manager) == {"STOPPING": "1", "STATUS": "told to stop"}
    notify.failed("bad configuration", 22)
    assert message(manager) == {"STATUS": "bad configuration", "ERRNO": "22"}
    notify.ping()
    assert message(manager) == {"WATCHDOG": "1"}


def test_a_status_cannot_forge_a_message(manager, notify):
    """A line feed in a status, from a device's text perhaps, does not begin another assignment."""
    notify.status("lost\nSTOPPING=1\r\nERRNO=5")
    assert message(manager) == {"STATUS": "lost STOPPING=1 ERRNO=5"}


def test_abstract_sockets(tmp_path):
    """An address that begins with @ is in the abstract namespace."""
    name = f"\0{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(10)
        manager.bind(name)
        notify = Notify.from_environment({"NOTIFY_SOCKET": name.replace("\0", "@")})
        notify.ready("here")
        assert message(manager)["READY"] == "1"
        notify.close()


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({"WATCHDOG_USEC": "6000000"}, timedelta(seconds=6)),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": str(os.getpid())}, timedelta(seconds=6)),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_who_watches(manager, variables, interval):
    """The watchdog's interval counts only when it is meant for this process."""
    notify = Notify.from_environment({"NOTIFY_SOCKET": manager.getsockname(), **variables})
    assert notify.interval == interval
    notify.close()


def test_children_inherit_nothing(manager, monkeypatch):
    """The variables leave the environment, so that no child process speaks for the agent."""
    for name, value in {
        "NOTIFY_SOCKET": manager.getsockname(),
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "1",
    }.items():
        monkeypatch.setenv(name, value)
    Notify.from_environment().close()
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "/nowhere/notify"])
def test_nobody_to_notify(address):
    """Without a service manager, or with one that cannot be reached, every notification does nothing."""
    notify = Notify.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    assert notify.interval is None
    notify.ready("here")
    notify.ping()


def test_a_manager_that_goes_away_or_does_not_read_is_no_error(manager, notify):
    """Notifications that cannot be sent are lost within a bounded time, and nothing raises."""
    before_s = time.monotonic()
    manager.setblocking(False)  # noqa: FBT003  the standard library's own signature
    for _ in range(6):
        notify.status("x" * 60_000)  # more than the socket holds
    manager.close()
    notify.status("gone")
    assert time.monotonic() - before_s < 30


# --- progress --------------------------------------------------------------------------------------------------


class Now:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def test_overdue():
    """Work is overdue when longer than its allowance nothing came of it, counted from when it was expected."""
    now = Now()
    progress = Progress(now)
    progress.expect("commits", timedelta(seconds=30))
    progress.expect("link plant-room", timedelta(seconds=20))
    now.s += 20
    assert progress.overdue() == {}
    now.s += 5
    assert progress.overdue() == {"link plant-room": timedelta(seconds=25)}
    progress.made("link plant-room")
    now.s += 10
    assert progress.overdue() == {"commits": timedelta(seconds=35)}
    progress.made("commits")
    assert progress.overdue() == {}


def test_released_work_is_not_expected():
    """Work that was released is never overdue, also when it still reports; expected again, it has its time again."""
    now = Now()
    progress = Progress(now)
    progress.expect("link", timedelta(seconds=1))
    progress.release("link")
    progress.made("link")
    now.s += 100
    assert progress.overdue() == {}
    progress.expect("link", timedelta(seconds=1))
    assert progress.overdue() == {}
    now.s += 2
    assert progress.overdue() == {"link": timedelta(seconds=2)}


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 10)), max_size=30))
def test_overdue_is_per_kind(steps):
    """One kind's progress never stands in for another's."""
    now = Now()
    progress = Progress(now)
    last = dict.fromkeys(("a", "b"), now.s)
    for what in last:
        progress.expect(what, timedelta(seconds=7))
    for what, pause_s in steps:
        now.s += pause_s
        assert set(progress.overdue()) == {kind for kind, made_s in last.items() if now.s - made_s > 7}
        progress.made(what)
        last[what] = now.s


# --- feeding, in virtual time ----------------------------------------------------------------------------------


class Pings(Notify):
    def __init__(self) -> None:
        super().__init__(interval=timedelta(seconds=30))
        self.at_s: list[float] = []

    def ping(self) -> None:
        self.at_s.append(asyncio.get_running_loop().time())


def test_progress_feeds_the_watchdog():
    """Pings come three times an interval while work gets done; when it does not they stop, and the log says where."""
    pings = Pings()

    async def deep_inside() -> None:
        await asyncio.Event().wait()

    async def around() -> None:
        await deep_inside()

    async def main() -> None:
        progress = Progress(asyncio.get_running_loop().time)
        progress.expect("commits", timedelta(seconds=30))
        feeding = asyncio.create_task(feed(pings, progress))
        stuck = asyncio.create_task(around(), name="stuck")
        for _ in range(100):
            await asyncio.sleep(1)
            progress.made("commits")
        await asyncio.sleep(100)
        progress.made("commits")
        await asyncio.sleep(20)
        feeding.cancel()
        stuck.cancel()

    with structlog.testing.capture_logs() as events:
        virtual_time.run(main())
    assert pings.at_s == [*range(0, 131, 10), 200, 210]
    tasks = {event["task"]: event["at"] for event in events if event["event"] == "watchdog.task"}
    assert [event["event"] for event in events if event["event"] != "watchdog.task"] == [
        "watchdog.starving",
        "watchdog.fed",
    ]
    assert events[0]["commits"] == timedelta(seconds=40)
    assert re.fullmatch(
        r"agent/test_service.py:\d+ around > agent/test_service.py:\d+ deep_inside > .*", tasks["stuck"]
    )


async def test_nobody_watches():
    """Without a watchdog there is nothing to feed, and the task ends."""
    await asyncio.wait_for(feed(Notify(), Progress()), 10)


def test_an_aborted_process_says_where_it_hung(tmp_path):
    """SIGABRT, the watchdog's signal, prints the stack of every thread with the line that hangs."""
    program = tmp_path / "hang.py"
    program.write_text(
        "import time\n"
        "from agent.service import trace_aborts\n"
        "trace_aborts()\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(
        [sys.executable, str(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGABRT)
        _, stack = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGABRT
    assert 'hang.py", line ' in stack
