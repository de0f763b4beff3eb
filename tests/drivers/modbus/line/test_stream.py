"""Modbus over TLS: both ends prove who they are, and what is wrong is said in words that tell what to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from contextlib import aclosing
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from agent.clock import Clock
from agent.interfaces import Context, Misconfigured, Unavailable
from agent.memory import MemoryFile
from drivers.modbus import look
from drivers.modbus import open as open_link
from drivers.modbus.line.ends import Tls
from drivers.modbus.profile import PointSettings
from drivers.modbus.settings import DeviceSettings, LinkSettings
from drivers.modbus.values.registers import Table, Type
from tests.emulators.certificates import Authority
from tests.emulators.modbus import Server, garbage, register

LIMIT_S = 30.0
NAME = "localhost"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"))


def shown(authority: Authority, name: str = f"DNS:{NAME}", wants: Authority | None = None, **valid):
    """How a device speaks TLS: with this certificate; `wants` one of this authority from whoever asks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server(name, **valid))
    if wants:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(wants.file)
    return context


def link(port: int, **tls) -> LinkSettings:
    point = PointSettings(name="at-100", table=Table.HOLDING, address=100, register_type=Type.UINT16)
    device = DeviceSettings(
        id="unit-5",
        unit_id=5,
        points=(point,),
        interval=timedelta(seconds=0.1),
        timeout=timedelta(seconds=LIMIT_S),
    )
    return LinkSettings(
        id="chiller",
        driver="modbus",
        host="127.0.0.1",
        port=port,
        tls=Tls(server_name=NAME, **tls),
        devices=(device,),
    )


async def first_value(settings: LinkSettings):
    """What the first reading is. Raises what the source raises."""
    context = Context(Clock(), MemoryFile().part("test"))
    async with asyncio.timeout(LIMIT_S), open_link(settings, context) as here:
        async with aclosing(here.source("unit-5")) as samples:
            return (await anext(samples)).values[0]


async def test_both_prove_who_they_are(authority):
    """With our certificate, and its authority as the only one that is trusted, there are readings."""
    certificate, key = authority.server("DNS:gateway")
    async with Server(tls=shown(authority, wants=authority)) as server:
        settings = link(server.port, ca_file=authority.file, certificate_file=certificate, key_file=key)
        assert await first_value(settings) == register(5, 100)
        assert list(look(settings)) == []


class Strict:
    """A device that says why it does not let us in, and hangs up (asyncio's servers hang up without a word)."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(LIMIT_S)

    def _serve(self) -> None:
        while True:
            try:
                raw, _ = self._listening.accept()
            except OSError:
                return
            raw.settimeout(LIMIT_S)
            with raw:
                tls = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
                with tls, contextlib.suppress(OSError):
                    try:
                        tls.do_handshake()
                    except ssl.SSLError:
                        under = socket.socket(fileno=os.dup(tls.fileno()))
                        with under:
                            under.shutdown(socket.SHUT_WR)
                            while under.recv(1024):
                                pass


VERSIONS = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)


@VERSIONS
async def test_a_device_that_wants_a_certificate_of_ours(authority, version):
    """Without one the link is lost, with words that say so: also in TLS 1.3, which refuses after the handshake."""
    context = shown(authority, wants=authority)
    context.maximum_version = version
    with Strict(context) as device:
        with pytest.raises(
            Unavailable, match=rf"127.0.0.1:{device.port}: it .*asks for a certificate of ours"
        ):
            await first_value(link(device.port, ca_file=authority.file))


@VERSIONS
async def test_a_device_that_does_not_know_our_authority(authority, stranger, version):
    """Our certificate is there, and signed by somebody whom the device does not trust."""
    context = shown(authority, wants=authority)
    context.maximum_version = version
    certificate, key = stranger.server("DNS:gateway")
    with Strict(context) as device:
        settings = link(device.port, ca_file=authority.file, certificate_file=certificate, key_file=key)
        with pytest.raises(Unavailable, match="does not trust the authority that signed our certificate"):
            await first_value(settings)


async def test_a_device_that_hangs_up_without_a_word(authority):
    """Nobody says what is wrong; the words say what it often means, whether it is found in the handshake or behind it."""
    hint = "as a device does that wants a certificate of ours"
    old = shown(authority, wants=authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with Server(tls=old) as server:
        with pytest.raises(Unavailable, match=hint):
            await first_value(link(server.port, ca_file=authority.file))
    async with Server(tls=shown(authority, wants=authority)) as server:
        with capture_logs() as logs:
            assert await first_value(link(server.port, ca_file=authority.file)) is None
    [silent] = [entry for entry in logs if entry["event"] == "device.silent"]
    assert hint in silent["error"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"days": (-3, -1)}, "its certificate has expired: this machine's clock says .* is it right"),
        ({"days": (1, 2)}, "its certificate is not valid yet: this machine's clock says"),
        ({"name": "DNS:elsewhere"}, "its certificate is for another name: .*localhost"),
    ],
    ids=["expired", "not yet valid", "another name"],
)
async def test_a_certificate_that_is_not_good(authority, wrong, words):
    """The link cannot be opened, and the words say which of three things to look at."""
    async with Server(tls=shown(authority, **wrong)) as server:
        with pytest.raises(Unavailable, match=words):
            await first_value(link(server.port, ca_file=authority.file))


async def test_an_authority_that_is_not_trusted(authority, stranger):
    """A device that is somebody else's, or a certificate that it signed itself."""
    async with Server(tls=shown(authority)) as server:
        with pytest.raises(Unavailable, match="comes from an authority that is not trusted"):
            await first_value(link(server.port, ca_file=stranger.file))


async def test_a_port_that_speaks_no_tls(authority):
    """What comes in place of a handshake is said to be none."""
    async with Server(default=garbage(b"HTTP/1.1 400 Bad Request\r\n")) as server:
        with pytest.raises(Unavailable, match=f"127.0.0.1:{server.port}: it does not speak TLS on this port"):
            await first_value(link(server.port, ca_file=authority.file))


async def test_files_that_do_not_hold_what_they_should(authority, stranger, tmp_path):
    """`check` says which file and what was expected; a running agent waits for one that is not there, and for no other."""
    certificate, key = authority.server("DNS:gateway")
    _, other_key = stranger.server("DNS:gateway")
    empty, gone = tmp_path / "empty.pem", tmp_path / "gone.pem"
    empty.write_text("nothing")
    for files, setting, error, words in (
        ({"ca_file": empty}, "ca_file", Misconfigured, f"expected certificates in PEM form; found none in {empty}"),
        ({"ca_file": gone}, "ca_file", Unavailable, f"{gone}: no such file"),
        ({"certificate_file": gone}, "certificate_file", Unavailable, f"{gone}: no such file"),
        ({"certificate_file": certificate, "key_file": gone}, "key_file", Unavailable, f"{gone}: no such file"),
        ({"certificate_file": certificate}, "certificate_file", Misconfigured, "the key of the certificate"),
        (
            {"certificate_file": certificate, "key_file": other_key},
            "key_file",
            Misconfigured,
            f"expected the key of the certificate in PEM form, without a password; found none in {other_key}",
        ),
        ({"certificate_file": certificate, "key_file": key, "ca_file": gone}, "ca_file", Unavailable, "no such"),
    ):  # fmt: skip
        settings = link(1, **files)
        [(path, message)] = look(settings)
        assert path == ("tls", setting)
        assert message.startswith(f"{setting}: ")
        assert words in message
        with pytest.raises(error, match=setting):
            await first_value(settings)
