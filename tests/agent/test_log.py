"""Logging: what an event looks like in each form, and that nothing stops the daemon on the way."""

from __future__ import annotations

import array
import asyncio
import enum
import gc
import io
import json
import logging
import mmap
import os
import select
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import journal, log
from agent.fields import Secret
from agent.log import Form, Level, LogSettings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Undo what `configure` does to the process."""
    before = structlog.get_config()
    levels = {name: logging.getLogger(name).level for name in log.LIBRARY_LEVELS}
    excepthook = sys.excepthook
    yield
    after = structlog.get_config()["logger_factory"]
    if isinstance(after, log._Output):
        after.close()
    structlog.configure(**before)
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, log._FromLibrary)]
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=False)
    sys.excepthook = excepthook


class JournalSocket:
    """What journald does at the other end of its socket, in so far as it matters here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.open()

    def open(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.settimeout(10)
        self.socket.bind(str(self.path))

    def close(self) -> None:
        self.socket.close()
        self.path.unlink(missing_ok=True)

    def entry(self) -> dict[str, str]:
        """The next entry, parsed as the protocol says."""
        received, ancillary, *_ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        if ancillary:
            assert not received
            descriptor = array.array("i", ancillary[0][2])[0]
            with (
                os.fdopen(descriptor, "rb") as file,
                mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as content,
            ):
                received = bytes(content)
        return parsed(received)


def parsed(entry: bytes) -> dict[str, str]:
    """Read an entry of the journal's native protocol; a field that comes twice is an error."""
    fields: dict[str, str] = {}
    while entry:
        line, _, entry = entry.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            length = int.from_bytes(entry[:8], "little")
            value, end, entry = entry[8 : 8 + length], entry[8 + length : 9 + length], entry[9 + length :]
            assert end == b"\n"
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[JournalSocket]:
    end = JournalSocket(tmp_path / "journal")
    yield end
    end.close()


def to_journal(journald: JournalSocket, level: Level = Level.INFO) -> None:
    log.configure(LogSettings(form=Form.JOURNAL, level=level), journal_socket=str(journald.path))


def test_facts_are_fields(journald):
    """Under systemd each fact of an event is a field that can be queried, and the message can be read."""
    to_journal(journald)
    structlog.get_logger().warning("link.lost", link="plant-room", point="co2", error=TimeoutError(), tries=3)
    assert journald.entry() == {
        "MESSAGE": "link.lost link=plant-room point=co2 error=TimeoutError tries=3",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "diaccess-agent",
        "EVENT": "link.lost",
        "LINK": "plant-room",
        "POINT": "co2",
        "ERROR": "TimeoutError",
        "TRIES": "3",
    }


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("critical", 2)]
)
def test_levels_are_priorities(journald, level, priority):
    """Each level becomes the priority of syslog(3) by which `journalctl -p` selects."""
    to_journal(journald, Level.DEBUG)
    getattr(structlog.get_logger(), level)("device.silent")
    assert journald.entry()["PRIORITY"] == str(priority)


def test_several_lines_stay_one_entry(journald):
    """A value of several lines, such as a traceback, does not become several entries or forge a field."""
    to_journal(journald)
    structlog.get_logger().error("device.broken", error="first\nPRIORITY=0\n\nlast")
    entry = journald.entry()
    assert entry["ERROR"] == "first\nPRIORITY=0\n\nlast"
    assert entry["PRIORITY"] == "3"


def test_facts_cannot_replace_the_entrys_own_fields(journald):
    """A fact that is called like a field of the entry itself comes under another name."""
    to_journal(journald)
    structlog.get_logger().info("x", message="m", priority=0, Event="e")
    entry = journald.entry()
    assert (entry["PRIORITY"], entry["EVENT"]) == ("6", "x")
    assert (entry["MESSAGE_"], entry["PRIORITY_"], entry["EVENT_"]) == ("m", "0", "e")


def test_a_large_entry_arrives_whole(journald):
    """An entry that no datagram can hold reaches the journal as a sealed file, in the same order."""
    to_journal(journald)
    structlog.get_logger().info("answer.bad", frame="x" * 5_000_000)
    structlog.get_logger().info("answer.good")
    assert len(journald.entry()["FRAME"]) == 5_000_000
    assert journald.entry()["EVENT"] == "answer.good"


def test_the_journal_may_be_restarted(journald):
    """While journald is away nothing raises; what it missed is counted, and told before the next entry."""
    to_journal(journald)
    structlog.get_logger().info("a")
    assert journald.entry()["EVENT"] == "a"
    journald.close()
    for _ in range(3):
        structlog.get_logger().info("b")
    journald.open()
    structlog.get_logger().info("c")
    dropped = journald.entry()
    assert (dropped["EVENT"], dropped["COUNT"], dropped["PRIORITY"]) == ("log.dropped", "3", "4")
    assert journald.entry()["EVENT"] == "c"


def test_a_full_journal_does_not_block(journald):
    """When journald does not read, entries are dropped and counted; each event is either there or counted."""
    to_journal(journald)
    for number in range(5000):
        structlog.get_logger().info("flood", number=number)
    arrived = 0
    while select.select([journald.socket], [], [], 0)[0]:
        assert journald.entry()["NUMBER"] == str(arrived)
        arrived += 1
    assert 0 < arrived < 5000
    structlog.get_logger().info("after")
    assert journald.entry()["COUNT"] == str(5000 - arrived)
    assert journald.entry()["EVENT"] == "after"


def test_an_absent_journal_is_no_error(tmp_path):
    """Where there is no journal at all, logging to it does nothing."""
    log.configure(LogSettings(form=Form.JOURNAL), journal_socket=str(tmp_path / "none"))
    structlog.get_logger().error("link.lost")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("device", "DEVICE"),
        ("unit_id", "UNIT_ID"),
        ("_hidden", "HIDDEN"),
        ("3phase", "F3PHASE"),
        ("å-b.c", "B_C"),
    ],
)
def test_names_of_fields(name, field):
    """A fact's name becomes one that journald accepts."""
    assert journal.field_name(name) == field


@given(st.text())
def test_names_of_fields_are_always_valid(name):
    """Whatever a fact is called, its field has a name that journald accepts."""
    field = journal.field_name(name)
    assert field[0].isascii()
    assert field[0].isalpha()
    assert len(field) <= 64
    assert set(field) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


# --- console and JSON ------------------------------------------------------------------------------------------


def test_console_line(capsys):
    """A line on the console is time, level, event and facts; what has spaces or could move the cursor is quoted."""
    log.configure(LogSettings(form=Form.CONSOLE))
    structlog.get_logger().warning(
        "link.lost", link="plant-room", error="no route", raw="\x1b[2Jå\n", place="källare"
    )
    time, rest = capsys.readouterr().err.split(" ", 1)
    assert datetime.fromisoformat(time).tzinfo == UTC
    assert (
        rest
        == 'warning  link.lost link=plant-room error="no route" raw="\\u001b[2J\\u00e5\\n" place=källare\n'
    )


def test_json_line(capsys):
    """A JSON line keeps numbers, truth values and nulls as they are; everything else is text."""
    log.configure(LogSettings(form=Form.JSON))
    structlog.get_logger().info(
        "x", n=3, f=1.5, t=True, none=None, big=1 << 80, d=Decimal("1.50"), level="mine"
    )
    line = json.loads(capsys.readouterr().err)
    assert datetime.fromisoformat(line.pop("time")).tzinfo == UTC
    assert line == {
        "level": "info",
        "event": "x",
        "n": 3,
        "f": 1.5,
        "t": True,
        "none": None,
        "big": str(1 << 80),
        "d": "1.50",
        "level_": "mine",
    }


class Colour(enum.Enum):
    RED = "red"


class Unwritable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Secret("mqtt-password"), "!secret mqtt-password"),
        ([Secret("a"), {"b": Secret("c")}], "!secret a, {'b': !secret c}"),
        (timedelta(seconds=90), "90s"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (b"\x01\xff", "01 ff"),
        (Colour.RED, "red"),
        (ConnectionRefusedError(), "ConnectionRefusedError"),
        (ValueError("expected a number"), "expected a number"),
        ("\udcff", "\\udcff"),
        (Unwritable(), "<Unwritable that cannot be written>"),
    ],
)
def test_facts_in_words(value, words):
    """Every kind of fact has a readable form; a secret is its name, and what cannot be written does not raise."""
    assert log.text(value) == words


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(), st.binary(), st.floats(), st.integers(), st.none()), max_size=4))
def test_nothing_that_is_logged_raises(values):
    """Whatever the facts, each form is bytes: one line for console and JSON, a sound entry for the journal."""
    facts = {f"fact{number}": value for number, value in enumerate(values)}
    assert log._console_line("info", "e", facts, "").count(b"\n") == 1
    assert len(json.loads(log._json_line("info", "e", facts, ""))) == 3 + len(facts)
    assert len(parsed(log._journal_entry("info", "e", facts, ""))) == 4 + len(facts)


@pytest.mark.parametrize("form", [Form.CONSOLE, Form.JSON, Form.JOURNAL])
def test_a_bug_comes_with_its_traceback(form, journald, capsys):
    """The traceback of a bug is in the log whatever its form, its lines as lines; values of variables are not."""
    log.configure(LogSettings(form=form), journal_socket=str(journald.path))
    hidden = "hunter" + str(2)

    def bug(password: str) -> None:
        raise ExceptionGroup("both", [ZeroDivisionError("divided"), KeyError("k")])

    try:
        bug(hidden)
    except ExceptionGroup:
        structlog.get_logger().exception("device.broken", device="meter-1")
    if form is Form.JOURNAL:
        entry = journald.entry()
        shown, level = entry["MESSAGE"], {"3": "error"}[entry["PRIORITY"]]
        assert shown.startswith("device.broken device=meter-1\n")
    elif form is Form.JSON:
        line = json.loads(capsys.readouterr().err)
        shown, level = line["traceback"], line["level"]
    else:
        shown = capsys.readouterr().err
        level = shown.split()[1]
    assert level == "error"
    assert "ZeroDivisionError: divided" in shown
    assert shown.count("\n") > 5
    assert hidden not in shown


def test_a_closed_console_is_no_error(monkeypatch):
    """When nobody reads standard error any more, logging goes on doing nothing."""
    closed = io.StringIO()
    closed.close()
    log.configure(LogSettings(form=Form.CONSOLE))
    monkeypatch.setattr(sys, "stderr", closed)
    structlog.get_logger().info("x")


def test_auto_is_the_journal_only_where_stderr_leads_there(tmp_path):
    """`auto` takes the journal when $JOURNAL_STREAM names the very file that standard error is."""
    with (tmp_path / "stderr").open("w") as stderr:
        status = os.fstat(stderr.fileno())
        assert log.choose(Form.AUTO, f"{status.st_dev}:{status.st_ino}", stderr) is Form.JOURNAL
        assert log.choose(Form.AUTO, f"{status.st_dev}:{status.st_ino + 1}", stderr) is Form.CONSOLE
        assert log.choose(Form.AUTO, None, stderr) is Form.CONSOLE
        assert log.choose(Form.JSON, f"{status.st_dev}:{status.st_ino}", stderr) is Form.JSON
    assert log.choose(Form.AUTO, "1:2", io.StringIO()) is Form.CONSOLE
    assert log.choose(Form.AUTO, "1:2", None) is Form.CONSOLE


# --- levels and libraries --------------------------------------------------------------------------------------


def test_a_level_may_change_while_running(capsys):
    """A second `configure` changes what loggers write that were made, and used, before it."""
    logger = structlog.get_logger()
    log.configure(LogSettings(form=Form.CONSOLE, level=Level.WARNING))
    logger.info("quiet")
    logger.warning("loud")
    log.configure(LogSettings(form=Form.CONSOLE, level=Level.DEBUG))
    logger.debug("detail")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[2] for line in lines] == ["loud", "detail"]


def test_libraries_come_the_same_way(capsys):
    """What libraries log comes as `library.said` from warnings up, pymodbus only when critical; never raw, never twice."""
    log.configure(LogSettings(form=Form.JSON))
    log.configure(LogSettings(form=Form.JSON))
    logging.getLogger("paho").info("no")
    logging.getLogger("pymodbus.logging").error("no")
    logging.getLogger("aiomqtt").warning("pending calls: %d", 11)
    logging.getLogger("websockets").error("lost")
    warnings.showwarning("old", DeprecationWarning, "file.py", 1)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["library"]) for line in lines] == [
        ("warning", "aiomqtt"),
        ("error", "websockets"),
        ("warning", "py.warnings"),
    ]
    assert lines[0]["event"] == "library.said"
    assert lines[0]["said"] == "pending calls: 11"


async def test_asyncio_comes_the_same_way(capsys):
    """The traceback of a task that nobody awaited is in the log, with its level."""
    log.configure(LogSettings(form=Form.JSON))

    async def broken() -> None:
        raise ZeroDivisionError

    task = asyncio.create_task(broken())
    await asyncio.wait([task])
    del task
    gc.collect()
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["library"]) == ("error", "asyncio")
    assert "ZeroDivisionError" in line["traceback"]


def test_a_plain_process_prints_nothing_raw(tmp_path):
    """In a process of its own, everything on standard error is a JSON line: warnings, libraries, and what ends it."""
    program = (
        "import logging, warnings, structlog\n"
        "from agent.log import *\n"
        "configure(LogSettings(form=Form.JSON))\n"
        "logging.getLogger('pymodbus').error('frames')\n"
        "logging.getLogger('x').warning('%d', 'not a number')\n"
        "warnings.warn('old', stacklevel=1)\n"
        "structlog.get_logger().info('app.started')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path.cwd(),
    )
    events = [json.loads(line)["event"] for line in run.stderr.splitlines()]
    assert events == ["library.said", "library.said", "app.started"]
    assert run.stdout == ""
