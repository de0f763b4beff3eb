"""The control socket: what may be asked, who may ask, and that nobody who asks can do harm."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import control
from agent.control import AlreadyRunning, Declined, NotAnswered, NotRunning, ask, serve
from agent.fields import Place, Secret
from agent.interfaces import Misconfigured, Unavailable
from agent.sample import Class, Point


async def echo(value: Any) -> Any:
    return value


async def read(device: str, points: tuple[str, ...] = (), *, again: bool = False) -> list[Any]:
    return [device, points, again]


async def declined() -> None:
    raise Declined("not today")


async def unavailable() -> None:
    raise Unavailable("link roof is not open")


async def misconfigured() -> None:
    raise Misconfigured("device d: expected a unit id, found none")


async def bug() -> None:
    raise KeyError("x")


async def endless() -> None:
    await asyncio.Event().wait()


async def values() -> dict[str, Any]:
    return {
        "time": datetime(2026, 11, 25, 3, 23, tzinfo=UTC),
        "energy": Decimal("12345678901234567890.123"),
        "small": Decimal("21.50"),
        "float": 0.1,
        "big": 1 << 80,
        "point": Point(name="co2", class_=Class.BILLING, place=Place(room="204")),
        "secret": Secret("mqtt-password"),
        "third": Fraction(1, 4),
        "path": Path("/var/lib"),
        "none": None,
    }


async def unwritable() -> str:
    return "\udcff"


async def large(size: int = 5_000_000) -> str:
    return "x" * size


async def who(peer: control.Peer, greeting: str = "hello") -> str:
    return f"{greeting} {peer.name}, {peer.uid}"


ANSWERS = {
    answer.__name__: answer
    for answer in (
        echo,
        read,
        declined,
        unavailable,
        misconfigured,
        bug,
        endless,
        values,
        unwritable,
        large,
        who,
    )
}


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    """Where an agent answers."""
    async with serve(tmp_path / "run" / "control", ANSWERS):
        yield tmp_path / "run" / "control"


async def asked(path: Path, question: str, **arguments: Any) -> Any:
    return await asyncio.to_thread(ask, path, question, **arguments)


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(str(path), limit=8 * 1024 * 1024)
    try:
        yield reader, writer
    finally:
        writer.close()


async def line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next answer, within a generous time."""
    return json.loads(await asyncio.wait_for(reader.readline(), 60))


# --- asking ----------------------------------------------------------------------------------------------------


async def test_a_question_with_arguments(path):
    """Arguments reach the answer by name, converted to the types of its parameters."""
    assert await asked(path, "read", device="meter-1", points=["co2"], again=True) == [
        "meter-1",
        ["co2"],
        True,
    ]
    assert await asked(path, "read", device="meter-1") == ["meter-1", [], False]


async def test_who_asks_is_no_argument(path):
    """It is what the kernel says, and nobody can say that he is another; a user without a name has a number."""
    me = os.getuid()
    assert await asked(path, "who", greeting="hej") == f"hej {control.Peer(me).name}, {me}"
    with pytest.raises(Declined, match="peer"):
        await asked(path, "who", peer={"uid": 0})
    assert control.Peer(3_999_999_999).name == "uid 3999999999"


async def test_values_of_every_kind_arrive(path):
    """Times are ISO 8601, enumerations their word, secrets their name; no digit of a Decimal is lost."""
    answer = await asked(path, "values")
    assert answer == {
        "time": "2026-11-25T03:23:00Z",
        "energy": Decimal("12345678901234567890.123"),
        "small": 21.5,
        "float": 0.1,
        "big": 1 << 80,
        "point": {"name": "co2", "class": "billing", "place": {"room": "204"}},
        "secret": "!secret mqtt-password",
        "third": 0.25,
        "path": "/var/lib",
        "none": None,
    }
    assert isinstance(answer["energy"], Decimal)
    assert isinstance(answer["small"], float)


async def test_an_answer_may_be_large(path):
    """An answer of some megabytes arrives whole."""
    assert len(await asked(path, "large")) == 5_000_000


@pytest.mark.parametrize("size", range(50_000, 500_000, 50_000))
async def test_who_closes_its_half_gets_the_whole_answer(path, size):
    """A client that will ask nothing more and reads late gets every byte, whatever the kernel's buffers hold."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b'{"ask": "large", "arguments": {"size": %d}}\n' % size)
        client.shutdown(socket.SHUT_WR)
        for _ in range(50):
            await asyncio.sleep(0)  # turns of the loop in which the agent answers, and could hang up
        client.settimeout(60)
        answer = await asyncio.to_thread(client.makefile("rb").read)
    assert len(answer) == len(b'{"answer":""}\n') + size


@pytest.mark.parametrize(
    ("question", "arguments", "words"),
    [
        ("declined", {}, "declined: not today"),
        ("unavailable", {}, "unavailable: link roof is not open"),
        ("misconfigured", {}, "misconfigured: device d: expected a unit id, found none"),
        ("read", {}, "read: Object missing required field `device`"),
        ("read", {"device": 7}, "read: Expected `str`, got `int` - at `$.device`"),
        ("read", {"device": "d", "colour": "red"}, "read: Object contains unknown field `colour`"),
        ("nothing", {}, "'nothing' cannot be asked; what can: bug, declined, "),
    ],
)
async def test_no_is_said_in_words(path, question, arguments, words):
    """A refusal, a wrong argument and an unknown question come back as a sentence that begins with the question."""
    with pytest.raises(Declined) as no:
        await asked(path, question, **arguments)
    assert str(no.value).startswith(words)


@pytest.mark.parametrize(("question", "error"), [("bug", "KeyError"), ("unwritable", "UnicodeEncodeError")])
async def test_a_bug_in_an_answer_stays_there(path, question, error):
    """A bug is named to who asked, its traceback is logged, and the next question is answered."""
    with structlog.testing.capture_logs() as events, pytest.raises(Declined, match=f"a bug.*{error}"):
        await asked(path, question)
    assert [(event["event"], event["asked"]) for event in events] == [("control.failed", question)]
    assert events[0]["exc_info"] is True
    assert await asked(path, "echo", value=1) == 1


async def test_an_answer_has_a_time_limit(path, monkeypatch):
    """An answer that does not come is given up, and says so."""
    monkeypatch.setattr(control, "ANSWER_TIME_S", 0.05)
    async with connected(path) as (reader, writer):
        writer.write(b'{"ask": "endless"}\n')
        assert await line(reader) == {"error": "endless: no answer within 0.05 s"}


async def test_a_silent_client_is_let_go(path, monkeypatch):
    """A client that asks nothing does not keep its connection."""
    monkeypatch.setattr(control, "CLIENT_TIME_S", 0.05)
    async with connected(path) as (reader, _):
        assert await asyncio.wait_for(reader.read(), 60) == b""


async def test_one_connection_may_ask_again_and_again(path):
    """Answers come in the order of the questions, also when these are sent at once."""
    async with connected(path) as (reader, writer):
        for number in range(100):
            writer.write(b'{"ask": "echo", "arguments": {"value": %d}}\n' % number)
        for number in range(100):
            assert await line(reader) == {"answer": number}


async def test_many_ask_at_once(path):
    """As many as the limit allows are answered side by side, with one who never reads among them."""
    async with connected(path) as (_, writer):
        writer.write(b'{"ask": "large"}\n')
        answers = await asyncio.gather(
            *(asked(path, "echo", value=n) for n in range(control.CLIENTS_LIMIT - 1))
        )
    assert answers == list(range(control.CLIENTS_LIMIT - 1))


async def test_too_many_are_told(path):
    """Who comes when the limit is reached is told that it is busy, and is served when another has gone."""
    waiting = [await asyncio.open_unix_connection(str(path)) for _ in range(control.CLIENTS_LIMIT)]
    for reader, writer in waiting:
        writer.write(b'{"ask": "echo", "arguments": {"value": 1}}\n')
        assert await line(reader) == {"answer": 1}
    with pytest.raises(Declined, match="busy: 32 others are asking; try again"):
        await asked(path, "echo", value=2)
    for _, writer in waiting:
        writer.close()
    async with asyncio.timeout(60):
        while True:
            try:
                assert await asked(path, "echo", value=3) == 3
            except Declined:
                continue
            break


# --- hostile clients -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        b"\n",
        b"{}\n",
        b"[]\n",
        b'{"ask": 1}\n',
        b'{"ask": "echo", "arguments": []}\n',
        b'{"ask": "echo", "other": 1}\n',
        b'{"ask": "\xff"}\n',
        b'{"ask": "echo", "arguments": {"value": ' + b"[" * 60_000 + b"\n",
        b"\0\n",
        b"GET / HTTP/1.1\r\n",
    ],
)
async def test_other_bytes_are_answered_by_what_was_expected(path, request_):
    """What is not a request is answered by a sentence, and the conversation goes on."""
    async with connected(path) as (reader, writer):
        writer.write(request_ + b'{"ask": "echo", "arguments": {"value": 1}}\n')
        assert (await line(reader))["error"].startswith('expected {"ask": ...')
        assert await line(reader) == {"answer": 1}


async def test_an_endless_line_is_cut_off(path):
    """A request longer than the limit is refused and the connection closed, however much is still coming."""
    async with connected(path) as (reader, writer):
        writer.write(b"x" * (control.REQUEST_LIMIT + 1))
        assert await line(reader) == {"error": "expected a request of at most 65536 bytes in one line"}
        assert await asyncio.wait_for(reader.read(), 60) == b""


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_no_bytes_do_harm(tmp_path_factory, pieces):
    """Whatever is sent, in whatever pieces: each line gets one answer, nothing is a bug, and the next one is served."""
    folder = tmp_path_factory.mktemp("fuzz")

    async def conversation() -> None:
        async with serve(folder / "c", ANSWERS):
            async with connected(folder / "c") as (reader, writer):
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.sleep(0)
                writer.write_eof()
                replies = (await asyncio.wait_for(reader.read(), 60)).splitlines()
            assert len(replies) == b"".join(pieces).count(b"\n")
            assert all("error" in json.loads(reply) for reply in replies)
            async with connected(folder / "c") as (reader, writer):
                writer.write(b'{"ask": "echo", "arguments": {"value": 1}}\n')
                assert await line(reader) == {"answer": 1}

    with structlog.testing.capture_logs() as events:
        asyncio.run(conversation())
    assert not [event for event in events if event["log_level"] != "debug"]


async def test_a_client_that_hangs_up_is_no_error(path):
    """A client that goes away in the middle of anything leaves nothing behind but a debug line."""
    with structlog.testing.capture_logs() as events:
        for sent in (b"", b'{"ask": ', b'{"ask": "large"}\n' * 3):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(sent)
        assert await asked(path, "echo", value=1) == 1
    assert {event["log_level"] for event in events} <= {"debug"}


# --- the socket ------------------------------------------------------------------------------------------------


async def test_mode(tmp_path):
    """The socket is open to user and group and nobody else, whatever the umask; the folder is made where missing."""
    for umask in (0o000, 0o022, 0o077):
        before = os.umask(umask)
        try:
            async with serve(tmp_path / f"{umask}" / "control", {}):
                mode = (tmp_path / f"{umask}" / "control").stat().st_mode
                assert stat.S_ISSOCK(mode)
                assert stat.S_IMODE(mode) == 0o660
                assert stat.S_IMODE((tmp_path / f"{umask}").stat().st_mode) & 0o007 == 0
        finally:
            os.umask(before)


async def test_gone_when_stopped(tmp_path):
    """After a clean stop the socket is gone, and who asks is told that no agent is running."""
    path = tmp_path / "control"
    async with serve(path, ANSWERS):
        assert await asked(path, "echo", value=1) == 1
    assert not path.exists()
    with pytest.raises(NotRunning, match=f"no agent is running on {path}"):
        ask(path, "echo", value=1)


async def test_a_second_agent_is_refused(path):
    """A second agent on the same socket is refused with a reason, and the first goes on answering."""
    with pytest.raises(AlreadyRunning, match="another agent is running"):
        async with serve(path, ANSWERS):
            pass
    assert await asked(path, "echo", value=1) == 1


async def test_a_socket_left_behind_is_replaced(tmp_path):
    """A socket of an agent that was killed does not hinder the next one; who asks before it is told that none runs."""
    path = tmp_path / "control"
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom agent.control import serve\n"
        "async def main():\n"
        "    async with serve(Path(sys.argv[1]), {}):\n"
        "        print('up', flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(path), stdout=asyncio.subprocess.PIPE, cwd=Path.cwd()
    )
    try:
        assert killed.stdout
        assert await asyncio.wait_for(killed.stdout.readline(), 60) == b"up\n"
        with pytest.raises(AlreadyRunning):
            async with serve(path, ANSWERS):
                pass
    finally:
        killed.kill()
        await killed.communicate()
    assert path.exists()
    with pytest.raises(NotRunning):
        ask(path, "echo", value=1)
    async with serve(path, ANSWERS):
        assert await asked(path, "echo", value=1) == 1


@pytest.mark.parametrize("kind", ["file", "folder", "symlink"])
async def test_nothing_else_is_replaced(tmp_path, kind):
    """Something at the socket's path that is not a socket is left alone, and said."""
    path = tmp_path / "control"
    match kind:
        case "file":
            path.write_text("precious")
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Misconfigured, match="expected a socket or nothing"):
        async with serve(path, {}):
            pass
    assert path.exists() or path.is_symlink()


async def test_a_path_that_no_socket_can_have(tmp_path):
    """A path longer than the kernel takes, or below a file, is a problem of the configuration, in words."""
    with pytest.raises(Misconfigured, match="cannot listen on"):
        async with serve(tmp_path / ("x" * 120), {}):
            pass
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="expected a folder"):
        async with serve(tmp_path / "file" / "control", {}):
            pass
    with pytest.raises(NotAnswered, match="cannot ask on"):
        ask(tmp_path / ("x" * 120), "echo")


async def test_stopping_ends_every_conversation(tmp_path):
    """A stop waits for nobody: answers in the making and clients that never read are cut off; no task is left."""
    path = tmp_path / "control"
    async with serve(path, ANSWERS):
        clients = [await asyncio.open_unix_connection(str(path)) for _ in range(3)]
        for (_, writer), sent in zip(
            clients, (b"", b'{"ask": "endless"}\n', b'{"ask": "large"}\n'), strict=True
        ):
            writer.write(sent)
        assert await asked(path, "echo", value=1) == 1
    assert asyncio.all_tasks() == {asyncio.current_task()}
    for reader, writer in clients:
        await asyncio.wait_for(reader.read(), 60)
        writer.close()


async def test_an_error_in_the_block_comes_out_as_it_is(tmp_path):
    """An error of the caller's own is not wrapped in a group by the socket around it."""
    with pytest.raises(ZeroDivisionError):
        async with serve(tmp_path / "control", ANSWERS):
            raise ZeroDivisionError


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_who_may_not_ask_is_told_what_to_do(tmp_path):
    """Who is neither the agent's user nor in its group is told which group to join."""
    folder = Path("/tmp") / f"control-{os.getpid()}"
    folder.mkdir(mode=0o755)
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom agent.control import NotAnswered, ask\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n    ask(Path(sys.argv[1]), 'echo', value=1)\n"
        "except NotAnswered as error:\n    print(error)\n"
    )
    try:
        async with serve(folder / "control", ANSWERS):
            arguments = [sys.executable, "-c", program, str(folder / "control")]
            run = await asyncio.to_thread(
                subprocess.run,
                arguments,
                capture_output=True,
                text=True,
                timeout=60,
                cwd=Path.cwd(),
                check=True,
            )
    finally:
        (folder / "control.lock").unlink()
        folder.rmdir()
    assert "usermod -aG diaccess-agent" in run.stdout


def test_where_it_is(monkeypatch):
    """The socket is in the runtime folder that systemd gives, the first of several, or else in /run."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/a:/run/b")
    assert control.default_path() == Path("/run/a/control")
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    assert control.default_path() == Path("/run/diaccess-agent/control")
