import asyncio
import socket
import threading

import pytest

from agent.aside import aside
from agent.clock import Clock
from agent.interfaces import Context, Unavailable
from agent.memory import MemoryFile
from drivers.modbus import DeviceSettings, LinkSettings
from drivers.modbus import open as open_link
from drivers.modbus.point import PointSettings
from drivers.modbus.values.registers import Table, Type


@pytest.fixture
def hang():
    """What somebody waits for until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_a_thread_that_hangs_does_not_hold_up_the_end(hang):
    """The loop closes while the thread still waits, and the thread's late answer does no harm."""

    async def give_up():
        async with asyncio.timeout(0.1):
            await aside(hang.wait, "hangs")

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "hangs")
    assert thread.daemon, "or the interpreter would wait for it"
    hang.set()
    thread.join(10)
    assert not thread.is_alive()


async def test_what_goes_wrong_there_is_raised_here():
    """A failure of the call is the caller's."""
    with pytest.raises(ZeroDivisionError):
        await aside(lambda: 1 / 0, "fails")


async def test_a_modbus_link_gives_up_a_name_that_is_not_found_in_time(monkeypatch, hang):
    """Without a network the look-up of a gateway's name may take half a minute; its link is unavailable before."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hang.wait())
    point = PointSettings(name="p", table=Table.HOLDING, address=0, register_type=Type.UINT16)
    settings = LinkSettings(
        id="line",
        driver="modbus",
        host="gateway.example",
        devices=(DeviceSettings(id="meter", points=(point,)),),
    )
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable, match=r"line.*gateway\.example"):
            async with open_link(settings, Context(Clock(), MemoryFile().part("test"))):
                pass
