"""The one place that configures logging: to the journal with fields to query, to a console, or as JSON lines.

Everybody else writes `structlog.get_logger().warning("link.lost", link=..., error=...)` and knows nothing of where it
goes: an event is a constant, everything else a fact with a name. Here each event becomes bytes (pure functions), and
an output sends them.

Under systemd the bytes go to the journal's own socket, because JSON on stdout is not parsed there: `journalctl
EVENT=link.lost LINK=plant-room`. That socket never blocks: when the journal is full or absent the event is dropped
and counted, and the next one that gets through is preceded by `log.dropped`. Nothing in here raises, whatever it is
given, and a `Secret` prints as its name.

What libraries log through the standard library comes the same way, as `library.said`, from warnings up, and so does
an error that ends the process. Tracebacks
are those of the standard library, without the values of variables: those could be secrets. (structlog would bring
in rich for them where that is installed; nothing here uses it.)
"""

from __future__ import annotations

import enum
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Annotated, Any, Final, Self

import msgspec
import structlog

from agent import journal
from agent.fields import duration_text
from agent.interfaces import Settings


class Level(enum.Enum):
    """From which level on events are written."""

    DEBUG = "debug"
    """Also repeats of a failure that was already said."""
    INFO = "info"
    """What began, ended and recovered."""
    WARNING = "warning"
    """What failed; it is being retried."""
    ERROR = "error"
    """What stays broken until a person acts, and bugs."""


class Form(enum.Enum):
    """Where events go, and what they look like."""

    AUTO = "auto"
    """The journal when standard error leads there, a console otherwise."""
    CONSOLE = "console"
    """A line to read on standard error."""
    JSON = "json"
    """A JSON object a line on standard error."""
    JOURNAL = "journal"
    """Fields to query, through the journal's own socket."""


class LogSettings(Settings, frozen=True):
    """What is logged, and in which form."""

    level: Annotated[Level, msgspec.Meta(description="The least important level that is written.")] = (
        Level.INFO
    )
    form: Annotated[
        Form,
        msgspec.Meta(description="`auto`: the journal when standard error leads there, a console otherwise."),
    ] = Form.AUTO


IDENTIFIER: Final = "diaccess-agent"

LIBRARY_LEVELS: Final = {
    "": logging.WARNING,
    # It dumps the frames of all links at every level below; its failures reach us as exceptions.
    "pymodbus": logging.CRITICAL,
}

_PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""syslog(3) priorities of structlog's method names."""


def configure(settings: LogSettings, *, journal_socket: str = journal.SOCKET) -> None:
    """Send every event of this process where the settings say. May be called again, at any time.

    Loggers are not cached: a filtered event then costs 3 us in place of 0.3, and in return a reload that changes the
    level reaches every module's logger at once. (What works as it should logs nothing, so few are filtered.)
    """
    render: _Render
    match choose(settings.form, os.environ.get("JOURNAL_STREAM"), sys.stderr):
        case Form.JOURNAL:
            outlet = journal.Journal(journal_socket, _dropped_entry)
            render, output = _journal_entry, _Output(outlet.write, outlet.close)
        case Form.JSON:
            render, output = _json_line, _Output(_write_to_stderr)
        case _:
            render, output = _console_line, _Output(_write_to_stderr)
    before = structlog.get_config()["logger_factory"]
    structlog.configure(
        processors=[_Renderer(render)],
        wrapper_class=structlog.make_filtering_bound_logger(settings.level.value),
        logger_factory=output,
        cache_logger_on_first_use=False,
    )
    if isinstance(before, _Output):
        before.close()
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _FromLibrary)]:
        root.removeHandler(handler)
    root.addHandler(_FromLibrary())
    for library, level in LIBRARY_LEVELS.items():
        logging.getLogger(library).setLevel(level)
    logging.captureWarnings(capture=True)
    sys.excepthook = _last_words


def _last_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What ends the process is an event like the others: one entry, however many lines its traceback has."""
    if issubclass(kind, Exception):
        structlog.get_logger().critical("process.broken", error=kind.__name__, exc_info=(kind, error, trace))
    else:
        sys.__excepthook__(kind, error, trace)


def choose(form: Form, journal_stream: str | None, stderr: Any) -> Form:
    """Settle what `auto` means: systemd tells in $JOURNAL_STREAM which file leads to the journal (systemd.exec(5))."""
    if form is not Form.AUTO:
        return form
    try:
        status = os.fstat(stderr.fileno())
    except (AttributeError, OSError, ValueError):
        return Form.CONSOLE
    return Form.JOURNAL if journal_stream == f"{status.st_dev}:{status.st_ino}" else Form.CONSOLE


# --- an event becomes bytes ------------------------------------------------------------------------------------

_Facts = Mapping[str, Any]
_Render = Callable[[str, str, _Facts, str], bytes]
"""Level, event, facts and traceback (empty when there is none) to the bytes of one entry."""


class _Renderer:
    """structlog's last processor: takes the event dictionary apart and renders it."""

    def __init__(self, render: _Render) -> None:
        self._render = render

    def __call__(self, _logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> bytes:
        event = text(event_dict.pop("event", ""))
        trace = _trace(event_dict.pop("exc_info", None))
        return self._render(method if method in _PRIORITIES else "info", event, event_dict, trace)


def text(value: object) -> str:
    """Write a fact so that a person can read it and nothing in it is lost or secret. Never raises."""
    match value:
        case str():
            written = value
        case BaseException():
            written = str(value) or type(value).__name__
        case timedelta():
            written = duration_text(value)
        case bytes() | bytearray():
            written = value.hex(" ")
        case enum.Enum():
            written = str(value.value)
        case datetime():
            written = value.isoformat()
        case list() | tuple() | set() | frozenset():
            written = ", ".join(map(text, value))
        case _:
            try:
                written = str(value)
            except Exception:  # noqa: BLE001  a fact that cannot be written must not end what is being logged
                written = f"<{type(value).__name__} that cannot be written>"
    # A lone surrogate (a file name, a device's text) has no UTF-8.
    return written.encode("utf-8", "backslashreplace").decode()


def _trace(exc_info: object) -> str:
    match exc_info:
        case None | False:
            return ""
        case BaseException():
            error: BaseException | None = exc_info
        case (_, BaseException() | None as error, TracebackType() | None):
            pass
        case _:
            error = sys.exception()
    return text("".join(traceback.format_exception(error)).rstrip()) if error else ""


def _message(event: str, facts: _Facts) -> str:
    parts = [event]
    for name, value in facts.items():
        written = text(value)
        # Quoted where it would not be one word, or could draw on the operator's terminal: devices send anything.
        if not written or not written.isprintable() or set(written) & {" ", '"'}:
            written = json.dumps(written, ensure_ascii=not written.isprintable())
        parts.append(f"{name}={written}")
    return " ".join(parts)


def _console_line(level: str, event: str, facts: _Facts, trace: str) -> bytes:
    line = f"{_now()} {level:<8} {_message(event, facts)}"
    return "\n".join(filter(None, (line, trace, ""))).encode() + b"\n"


def _json_line(level: str, event: str, facts: _Facts, trace: str) -> bytes:
    entry: dict[str, Any] = {"time": _now(), "level": level, "event": event}
    for name, value in facts.items():
        plain = isinstance(value, bool | float | None) or (isinstance(value, int) and abs(value) < 1 << 63)
        entry[f"{name}_" if name in entry else name] = value if plain else text(value)
    if trace:
        entry["traceback"] = trace
    return msgspec.json.encode(entry) + b"\n"


def _journal_entry(level: str, event: str, facts: _Facts, trace: str) -> bytes:
    fields = {
        "MESSAGE": "\n".join(filter(None, (_message(event, facts), trace))),
        "PRIORITY": str(_PRIORITIES[level]),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "EVENT": event,
    }
    for name, value in facts.items():
        key = journal.field_name(name)
        fields[f"{key}_" if key in fields else key] = text(value)
    return journal.entry(fields)


def _dropped_entry(count: int) -> bytes:
    return _journal_entry("warning", "log.dropped", {"count": count}, "")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- the bytes go out ------------------------------------------------------------------------------------------


class _Output:
    """structlog's logger, and the factory that gives it: every level's method writes the rendered bytes."""

    def __init__(self, write: Callable[[bytes], None], close: Callable[[], None] = lambda: None) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = write
        self.close = close

    def __call__(self, *_: object) -> Self:
        return self


def _write_to_stderr(line: bytes) -> None:
    try:
        sys.stderr.write(line.decode())
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody reads it any more; that must not end the daemon


class _FromLibrary(logging.Handler):
    """Brings what libraries say through the standard library's logging to the same place."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = record.getMessage()
        except Exception:  # noqa: BLE001  a library's broken format string must not print a traceback of its own
            said = text(record.msg)
        structlog.get_logger().log(
            min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL),
            "library.said",
            library=record.name,
            said=said,
            exc_info=record.exc_info,
        )
