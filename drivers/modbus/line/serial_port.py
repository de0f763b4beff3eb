"""A connection over a serial port of this machine: opened by pyserial, moved by the event loop.

The port is ours alone while it is open (a lock on the file, flock(2), and the terminal's own exclusive mode,
ioctl_tty(2)): two programs on one line would take each other's answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Final

import serial
from serial.rs485 import RS485Settings

from agent.aside import aside
from drivers.modbus.line.connection import Connection
from drivers.modbus.line.ends import Level, Parity, Serial
from drivers.modbus.line.ports import holder, lasting_names
from drivers.modbus.line.transaction import Conversation
from drivers.modbus.settings import LinkSettings

_PARITY: Final = {
    Parity.NONE: serial.PARITY_NONE,
    Parity.EVEN: serial.PARITY_EVEN,
    Parity.ODD: serial.PARITY_ODD,
}

_GONE: Final = "the port is gone: was the adapter pulled out?"
_ABSENT: Final = {errno.ENOENT, errno.ENODEV, errno.ENXIO}
_TAKEN: Final = {errno.EWOULDBLOCK, errno.EBUSY}
_WORDS: Final = {
    errno.EACCES: "no permission: is the user in the port's group (dialout)?",
    errno.EPERM: "no permission: the service may open ttyUSB, ttyACM and ttyAMA; its unit says how to allow another port",
    errno.ENOTTY: "it is no serial port",
    errno.EINVAL: "it does not take these settings (speed, parity, stop_bits, data_bits)",
}


async def connect(
    settings: LinkSettings, conversation: Conversation, now_ns: Callable[[], int], stir: Callable[[], None]
) -> SerialPort:
    """Open the port. Raises `OSError` with words for a person."""
    if settings.serial is None:
        raise ValueError(f"link {settings.id}: no serial line")  # a bug of the caller
    line = settings.serial
    port = await aside(lambda: _open(line), f"open {line.port}")
    connection = SerialPort(port, conversation, now_ns, stir)
    asyncio.get_running_loop().add_reader(port.fileno(), connection.listen)
    return connection


def _open(line: Serial) -> serial.Serial:
    try:
        port = serial.Serial(
            str(line.port),
            baudrate=line.speed,
            bytesize=line.data_bits,
            parity=_PARITY[line.parity],
            stopbits=line.stop_bits,
            timeout=0,
            exclusive=True,
        )
    except (OSError, ValueError, termios.error) as error:
        raise _refusal(error, line.port) from error
    try:
        _say_when_empty(port)
        if line.rs485:
            _switch_direction(port, line)
        with contextlib.suppress(OSError):
            fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            port.set_low_latency_mode(True)  # an FTDI chip else keeps what comes for 16 ms
        port.reset_input_buffer()
    except termios.error as error:  # pulled out this very moment
        port.close()
        raise _refusal(error, line.port) from error
    except BaseException:
        port.close()
        raise
    return port


def _say_when_empty(port: serial.Serial) -> None:
    """Have reading tell a port with nothing to read from one that is gone (termios(3), VMIN: else both give no bytes)."""
    attributes = termios.tcgetattr(port.fileno())
    attributes[-1][termios.VMIN] = 1
    termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)


def _switch_direction(port: serial.Serial, line: Serial) -> None:
    if line.rs485 is None:
        return
    high = line.rs485.rts_when_sending is Level.HIGH
    try:
        port.rs485_mode = RS485Settings(
            rts_level_for_tx=high,
            rts_level_for_rx=not high,
            delay_before_tx=line.rs485.delay_before.total_seconds(),
            delay_before_rx=line.rs485.delay_after.total_seconds(),
        )
    except (OSError, ValueError) as error:
        raise OSError("its driver knows no RS-485 mode: leave `rs485` out") from error


def _refusal(error: Exception, port: Path) -> OSError:
    """The same in words for a person: of some errors pyserial has the number only in the error before it."""
    for each in (error, error.__context__):
        number = getattr(each, "errno", None) or (each.args[0] if each is not None and each.args else None)
        if number in _ABSENT:
            return OSError(f"there is no such port: is the adapter plugged in?{_others()}")
        if number in _TAKEN:
            return OSError(f"{holder(port)} has it open: stop that one, a line has one owner")
        if number in _WORDS:
            return OSError(_WORDS[number])
    return OSError(str(error))


def _others() -> str:
    """What is plugged in instead, if anything is."""
    names = lasting_names()
    return f" There are {', '.join(map(str, names))}" if names else ""


class SerialPort(Connection):
    """See `drivers.modbus.line.connection`."""

    def __init__(
        self,
        port: serial.Serial,
        conversation: Conversation,
        now_ns: Callable[[], int],
        stir: Callable[[], None],
    ) -> None:
        super().__init__(conversation, now_ns, stir)
        self._port = port
        self._fd = port.fileno()

    def _send(self, request: bytes) -> None:
        try:
            sent = os.write(self._fd, request)
        except OSError as error:
            self._end(_gone(error), failed=True)
            return
        if sent < len(request):  # the kernel holds many frames: something is wrong with the port
            self._end(f"the port took {sent} of {len(request)} bytes", failed=True)

    def _hang_up(self) -> None:
        self._loop.remove_reader(self._fd)
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._fd, termios.TIOCNXCL)
        with contextlib.suppress(OSError, termios.error):
            # What was not sent yet must not hold up closing: a line without power may never take it.
            termios.tcflush(self._fd, termios.TCIOFLUSH)
        self._port.close()

    def listen(self) -> None:
        """Take in what has come; called by the event loop, and after the loop stood still."""
        space = self._conversation.space()
        try:
            octets = os.read(self._fd, len(space))
        except BlockingIOError:
            return
        except OSError as error:
            self._end(_gone(error), failed=True)
            return
        if not octets:
            self._end(_GONE, failed=True)
            return
        space[: len(octets)] = octets
        self._received(len(octets))


def _gone(error: OSError) -> str:
    return _GONE if error.errno == errno.EIO else str(error)
