"""A local socket through which the command line asks the running agent.

One request a line, one answer a line, both JSON; a connection may ask again and again:

    {"ask": "read", "arguments": {"device": "meter-1"}}
    {"answer": [...]}    or    {"error": "read: no device has the id meter-1"}

This module knows nothing of what is asked. An answer is an async function; its parameters are what may be asked with,
and each argument is converted to the parameter's type before it is called. One of the type `Peer` is no argument, but
who asks, as the kernel says. Who may connect is decided by the socket's
mode: the agent's own user and its group. Whatever else arrives (other bytes, endless lines, a client that never
reads) costs one bounded conversation, never the agent.

Only one agent may run on a socket: it holds a lock on a file beside it, which the kernel lets go when it dies, so a
socket that was left behind is known to be one.
"""

from __future__ import annotations

import asyncio
import fcntl
import inspect
import os
import pwd
import socket
import stat
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import structlog

from agent.interfaces import Misconfigured, Unavailable

log = structlog.get_logger()

GROUP: Final = "diaccess-agent"
MODE: Final = 0o660

REQUEST_LIMIT: Final = 64 * 1024
"""Longest request in bytes: far above any command, and all that a client can make the agent keep."""
ANSWER_LIMIT: Final = 64 * 1024 * 1024
"""Longest answer in bytes: the state of some hundred thousand points."""
CLIENTS_LIMIT: Final = 32
"""Conversations at once: people and scripts on one gateway; a file descriptor each."""
ANSWER_TIME_S: Final = 30.0
"""Longest time for one answer: a device on a slow line, behind its retries."""
CLIENT_TIME_S: Final = 60.0
"""Longest time that a client may take for its next request, or to read its answer."""

Answer: TypeAlias = Callable[..., Awaitable[Any]]


class NotAnswered(Exception):
    """There is no answer; the message says why, and what to do."""


class NotRunning(NotAnswered):
    """No agent listens there."""


class Declined(NotAnswered):
    """The agent answered, and the answer is no. Raised by an answer, too, to say so in its own words."""


class AlreadyRunning(Unavailable):
    """Another agent serves this socket."""


def default_path() -> Path:
    """Where the agent's socket is: in the runtime folder that systemd made, or in the same place for who asks."""
    folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(folder or "/run/diaccess-agent") / "control"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection (unix(7), SO_PEERCRED)."""

    uid: int

    @property
    def name(self) -> str:
        """The user's name, or its number where it has none."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"


class _Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ask: str
    arguments: dict[str, Any] = {}


_decode_request = msgspec.json.Decoder(_Request).decode


# --- the agent's side ------------------------------------------------------------------------------------------


@asynccontextmanager
async def serve(path: Path, answers: Mapping[str, Answer]) -> AsyncIterator[None]:
    """Answer on this socket. Raises `AlreadyRunning` where another agent does, `Misconfigured` where it cannot be.

    An answer raises `Declined`, `Unavailable` or `Misconfigured` to say no; anything else is a bug: its traceback
    goes to the log, its name to whoever asked.
    """
    questions = {name: _question(name, answer) for name, answer in answers.items()}
    with _listening(path) as listener:
        # Not in the caller's task group: an error in the caller's block must not come out wrapped in a group.
        task = asyncio.create_task(_accept(listener, questions), name="control")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misconfigured(
            f"control: expected a folder that I may write in for {path}, found: {error}"
        ) from error
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"control: another agent is running on {path}; stop that one first"
            ) from error
        _bind(listener, path)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)
    finally:
        listener.close()
        os.close(lock)


def _bind(listener: socket.socket, path: Path) -> None:
    try:
        if path.is_symlink() or (path.exists() and not stat.S_ISSOCK(path.stat().st_mode)):
            raise Misconfigured(
                f"control: expected a socket or nothing at {path}, found something else; move it away"
            )
        path.unlink(missing_ok=True)
        os.fchmod(listener.fileno(), MODE)  # so that there is no moment at which others may connect
        listener.bind(str(path))
        path.chmod(MODE)  # the process' umask took its share
        listener.listen()
    except OSError as error:
        raise Misconfigured(f"control: cannot listen on {path}: {error}") from error


async def _accept(listener: socket.socket, questions: Mapping[str, _Question]) -> None:
    loop = asyncio.get_running_loop()
    talking: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as clients:
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                log.warning(
                    "control.no_connection", error=error
                )  # out of file descriptors: some will be closed
                await asyncio.sleep(1)
                continue
            if len(talking) < CLIENTS_LIMIT:
                task = clients.create_task(_converse(connection, questions), name="control client")
                talking.add(task)
                task.add_done_callback(talking.discard)
            else:
                with suppress(OSError), connection:
                    connection.send(_error(f"busy: {CLIENTS_LIMIT} others are asking; try again"))


async def _converse(connection: socket.socket, questions: Mapping[str, _Question]) -> None:
    peer = _peer(connection)
    reader, writer = await asyncio.open_unix_connection(sock=connection, limit=REQUEST_LIMIT)
    writer.transport.set_write_buffer_limits(0)  # drained means read by the client, or at least by its kernel
    try:
        while True:
            async with asyncio.timeout(CLIENT_TIME_S):
                try:
                    line = await reader.readline()
                except ValueError:
                    line, reply = (
                        b"",
                        _error(f"expected a request of at most {REQUEST_LIMIT} bytes in one line"),
                    )
                else:
                    reply = b""
            if line.endswith(b"\n"):
                reply = await _reply(line, questions, peer)
            if reply:
                writer.write(reply)
                async with asyncio.timeout(CLIENT_TIME_S):
                    await writer.drain()
            if not line.endswith(b"\n"):
                return
    except (OSError, TimeoutError) as error:
        log.debug("control.client_lost", error=error)
    except Exception:
        log.exception("control.failed")  # a bug; it must not take the other conversations with it
    finally:
        writer.transport.abort()  # everything that is to be sent was drained


def _peer(connection: socket.socket) -> Peer:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(_CREDENTIALS.unpack(credentials)[1])


_CREDENTIALS: Final = struct.Struct("3i")
"""struct ucred: process, user, group."""


@dataclass(frozen=True, slots=True)
class _Question:
    name: str
    answer: Answer
    parameters: type[msgspec.Struct]
    """Those that are arguments, as a type that these are converted to, all problems found on the way."""
    peer: tuple[str, ...]
    """Those that are who asks."""


def _question(name: str, answer: Answer) -> _Question:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    peer: list[str] = []
    for parameter in inspect.signature(answer, eval_str=True).parameters.values():
        kind = Any if parameter.annotation is parameter.empty else parameter.annotation
        required = parameter.default is parameter.empty
        if kind is Peer:
            peer.append(parameter.name)
        else:
            fields.append((parameter.name, kind) if required else (parameter.name, kind, parameter.default))
    parameters = msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)
    return _Question(name, answer, parameters, tuple(peer))


async def _reply(line: bytes, questions: Mapping[str, _Question], peer: Peer) -> bytes:
    try:
        request = _decode_request(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _error(f'expected {{"ask": ..., "arguments": {{...}}}}, found: {error}')
    question = questions.get(request.ask)
    if question is None:
        return _error(f"{request.ask[:64]!r} cannot be asked; what can: {', '.join(sorted(questions))}")
    try:
        arguments = msgspec.convert(request.arguments, type=question.parameters)
        async with asyncio.timeout(ANSWER_TIME_S):
            answer = await question.answer(
                **msgspec.structs.asdict(arguments), **dict.fromkeys(question.peer, peer)
            )
        return _encode({"answer": answer}) + b"\n"
    except (Declined, Unavailable, Misconfigured, msgspec.ValidationError) as error:
        return _error(f"{question.name}: {error}")
    except TimeoutError:
        return _error(f"{question.name}: no answer within {ANSWER_TIME_S:g} s")
    except Exception as error:
        log.exception("control.failed", asked=question.name)
        return _error(f"{question.name}: a bug, its traceback is in the log ({type(error).__name__})")


def _error(words: str) -> bytes:
    return msgspec.json.encode({"error": words.encode("utf-8", "backslashreplace").decode()}) + b"\n"


def _plain(value: object) -> object:
    """What JSON has no form for: exact numbers as numbers, everything else (a `Secret`, a path) as its text."""
    return float(value) if isinstance(value, Fraction) else str(value)


_encode = msgspec.json.Encoder(enc_hook=_plain, decimal_format="number").encode


# --- the command line's side -----------------------------------------------------------------------------------


def ask(path: Path, question: str, /, **arguments: Any) -> Any:
    """Ask the running agent, and wait for the answer: JSON's types, and a Decimal where a float loses a digit.

    Raises `NotRunning` where no agent listens, `Declined` when it says no, `NotAnswered` for everything else.
    """
    request = msgspec.json.encode({"ask": question, "arguments": arguments})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        connection.settimeout(ANSWER_TIME_S + 5)  # the agent's own limit comes first, and explains itself
        try:
            connection.connect(str(path))
            with suppress(BrokenPipeError):  # the agent may have said why it hung up
                connection.sendall(request + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline(ANSWER_LIMIT)
        except PermissionError as error:
            raise NotAnswered(
                f"control: you may not ask the agent on {path}; "
                f"add yourself to its group (sudo usermod -aG {GROUP} $USER) and log in again, or use sudo"
            ) from error
        except TimeoutError as error:
            raise NotAnswered(
                f"control: the agent on {path} does not answer; `systemctl status` may say why"
            ) from error
        except (FileNotFoundError, ConnectionError) as error:
            raise NotRunning(f"control: no agent is running on {path}") from error
        except OSError as error:
            raise NotAnswered(f"control: cannot ask on {path}: {error}") from error
    if not line.endswith(b"\n"):
        raise NotRunning(f"control: the agent on {path} ended before it had answered")
    reply: dict[str, Any] = _decode_reply(line)
    if "error" in reply:
        raise Declined(reply["error"])
    return reply["answer"]


def _number(digits: str) -> float | Decimal:
    near, exact = float(digits), Decimal(digits)
    return near if Decimal(repr(near)) == exact else exact


_decode_reply = msgspec.json.Decoder(float_hook=_number).decode
