"""From a name to an open wire: what hangs is given up, and what fails says so in one line."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.interfaces import Unavailable
from agent.tls import tls_words
from agent.uplinks.mqtt.connecting import Target
from agent.upstream import Answer
from tests.emulators.mqtt_session import connect, numbered
from tests.emulators.ports import free_port
from tests.emulators.stub_broker import StubBroker

SECOND = timedelta(seconds=1)


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """What somebody waits for until the test is over."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_look_up_that_hangs_is_given_up(
    monkeypatch: pytest.MonkeyPatch, hang: threading.Event
) -> None:
    """Without a network the C library's look-up may take half a minute; nobody has to wait for it."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hang.wait())
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable, match=r"no-answer\.example:1883: no connection within 1 s"):
            async with connect(1883, host="no-answer.example", connect_timeout=SECOND):
                pass


async def test_the_first_address_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may have addresses where nobody listens before the one where the broker does."""
    async with StubBroker() as broker, asyncio.timeout(20):
        dead = ("127.0.0.1", free_port())

        def look_up(*_: Any, **__: Any) -> list[Any]:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", at) for at in (dead, ("127.0.0.1", broker.port))
            ]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        async with connect(1883, host="two.example") as session:
            assert (await session.publish(numbered(1))).answer is Answer.ACCEPTED
    with pytest.raises(Unavailable) as caught:
        async with connect(1883, host="two.example"):
            pass
    assert str(caught.value) == "two.example:1883: " + ", ".join(["connection refused (127.0.0.1)"] * 2)


async def test_a_black_hole_does_not_take_the_time_of_the_next_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each address has its share of the time limit."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.socket() as first, socket.socket() as second:
            # The queue of a socket that never accepts: further connections get no answer.
            for filler in (first, second):
                filler.setblocking(0)
                filler.connect_ex(full.getsockname())
            async with StubBroker() as broker, asyncio.timeout(20):
                addresses = [full.getsockname(), ("127.0.0.1", broker.port)]
                monkeypatch.setattr(
                    socket,
                    "getaddrinfo",
                    lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", at) for at in addresses],
                )
                async with connect(1883, host="two.example", connect_timeout=2 * SECOND) as session:
                    assert (await session.publish(numbered(1))).answer is Answer.ACCEPTED


@pytest.mark.parametrize(
    ("host", "text"), [("broker.example", "broker.example:8883"), ("fe80::1%eth0", "[fe80::1%eth0]:8883")]
)
def test_an_address_is_written_as_people_write_it(host: str, text: str) -> None:
    """IPv6 in brackets."""
    assert str(Target(host, 8883, 1, 1)) == text


def certificate_error(code: int, message: str = "x") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = code, message
    return error


def test_each_certificate_error_has_its_remedy() -> None:
    """The clock for what is a matter of time, the CA file for trust, the name for the name; the rest as OpenSSL says it."""
    now = datetime(2026, 11, 25, 3, 20, tzinfo=UTC)
    words = {code: tls_words(certificate_error(code), now) for code in (9, 10, 18, 20, 62, 23)}
    assert "not valid yet: this machine's clock says 2026-11-25 03:20 UTC" in words[9]
    assert "has expired: this machine's clock says 2026-11-25 03:20 UTC" in words[10]
    assert "set `tls.ca_file`" in words[18]
    assert "set `tls.ca_file`" in words[20]
    assert "for another name" in words[62]
    assert words[23] == "its certificate is not accepted: x"
