"""The MQTT uplink against a real mosquitto."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from agent.fields import Secret
from agent.interfaces import Misconfigured, Unavailable
from agent.uplinks import mqtt
from agent.uplinks.mqtt.settings import TlsSettings, Version
from agent.upstream import Answer, Message
from tests.emulators.broker import Broker, Seen
from tests.emulators.certificates import Authority
from tests.emulators.mqtt_session import connect, numbered, settings

IN_TIME_S = 20.0

WILL = Message("t/status", b"gone", retain=True)


@pytest.mark.parametrize("protocol", list(Version))
async def test_messages_arrive_and_are_accepted(broker: Broker, protocol: Version) -> None:
    """What is published arrives at a subscriber as it was, and the broker answers for each."""
    async with (
        broker.subscriber("t/#") as seen,
        connect(broker.port, protocol=protocol) as session,
        asyncio.timeout(IN_TIME_S),
    ):
        messages = [numbered(number, 2000) for number in range(100)]
        verdicts = await asyncio.gather(*map(session.publish, messages))
        assert {verdict.answer for verdict in verdicts} == {Answer.ACCEPTED}
        got = [await seen.get() for _ in messages]
        assert sorted(got) == sorted(Seen(one.topic, one.payload, retain=False) for one in messages)


@pytest.mark.parametrize("protocol", list(Version))
async def test_a_clean_end_keeps_the_will_unsaid(broker: Broker, protocol: Version) -> None:
    """What is published last arrives, and then a DISCONNECT: the broker forgets the will."""
    async with broker.subscriber("t/#") as seen, asyncio.timeout(IN_TIME_S):
        async with connect(broker.port, WILL, protocol=protocol) as session:
            await session.publish(Message("t/status", b"bye", retain=True))
        async with connect(broker.port) as session:
            await session.publish(numbered(1))
        assert [(await seen.get()).payload for _ in range(2)] == [b"bye", b"1"]
    async with broker.subscriber("t/status") as seen, asyncio.timeout(IN_TIME_S):
        assert await seen.get() == Seen("t/status", b"bye", retain=True)


async def test_cancellation_is_a_clean_end(broker: Broker) -> None:
    """A session that is left by cancellation, as at the stop of the agent, says goodbye too."""
    opened = asyncio.Event()

    async def hold() -> None:
        async with connect(broker.port, WILL):
            opened.set()
            await asyncio.Event().wait()

    async with broker.subscriber("t/#") as seen, asyncio.timeout(IN_TIME_S):
        holding = asyncio.create_task(hold())
        await opened.wait()
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding
        async with connect(broker.port) as session:
            await session.publish(numbered(1))
        assert (await seen.get()).payload == b"1"


async def test_any_other_end_leaves_the_will_to_speak(broker: Broker) -> None:
    """A session that is left by an exception is broken off, and the broker publishes the will, retained."""
    async with broker.subscriber("t/#") as seen, asyncio.timeout(IN_TIME_S):
        with pytest.raises(ZeroDivisionError):
            async with connect(broker.port, WILL):
                raise ZeroDivisionError
        assert (await seen.get()).payload == b"gone"
    async with broker.subscriber("t/status") as seen, asyncio.timeout(IN_TIME_S):
        assert await seen.get() == Seen("t/status", b"gone", retain=True)


async def test_a_killed_broker_fails_everything_in_flight_at_once(broker: Broker) -> None:
    """When the broker dies, every publish that waits raises `Unavailable` then, not at some time limit."""
    async with asyncio.timeout(IN_TIME_S), connect(broker.port, ack_timeout=timedelta(minutes=5)) as session:
        broker.freeze()
        waiting = [asyncio.create_task(session.publish(numbered(number))) for number in range(60)]
        lost = asyncio.create_task(session.lost())
        await asyncio.sleep(0)
        await broker.kill()
        for outcome in await asyncio.gather(*waiting, lost, return_exceptions=True):
            assert isinstance(outcome, Unavailable)
            assert str(outcome).startswith(f"127.0.0.1:{broker.port}: the connection was lost: ")
        with pytest.raises(Unavailable):
            await session.publish(numbered(1))


async def test_a_restarted_broker_is_served_again(broker: Broker) -> None:
    """A new session works as soon as the broker is back on its port, after SIGTERM as after SIGKILL."""
    async with asyncio.timeout(2 * IN_TIME_S):
        for end in (broker.stop, broker.kill):
            async with connect(broker.port) as session:
                await session.publish(numbered(1))
                await end()
                with pytest.raises(Unavailable):
                    await session.lost()
            with pytest.raises(Unavailable, match="connection refused"):
                async with connect(broker.port):
                    pass
            await broker.start()
        async with connect(broker.port) as session:
            assert (await session.publish(numbered(2))).answer is Answer.ACCEPTED


async def test_a_second_client_of_the_same_id_is_suspected(broker: Broker) -> None:
    """A session that the broker ends without a reason, as mosquitto does at a take-over, says what that may be."""
    async with asyncio.timeout(IN_TIME_S), connect(broker.port) as first, connect(broker.port) as second:
        with pytest.raises(
            Unavailable, match="closed by the broker without a word; has another client the id gw-1"
        ):
            await first.lost()
        assert (await second.publish(numbered(1))).answer is Answer.ACCEPTED


async def test_the_right_password_opens_and_a_wrong_one_says_what_to_check(tmp_path: Path) -> None:
    """A wrong password can be put right at the broker too: it is `Unavailable`, with the remedy."""
    secrets = {"right": "s3cret", "wrong": "other"}
    async with Broker(tmp_path / "b", passwords={"gw": "s3cret"}) as broker, asyncio.timeout(IN_TIME_S):
        async with connect(
            broker.port, username="gw", password=Secret("right", secrets.__getitem__)
        ) as session:
            assert (await session.publish(numbered(1))).answer is Answer.ACCEPTED
        for changes in ({}, {"username": "gw", "password": Secret("wrong", secrets.__getitem__)}):
            for protocol in Version:
                with pytest.raises(
                    Unavailable, match=r"the broker refused the session: .*: (check|the broker)"
                ) as caught:
                    async with connect(broker.port, protocol=protocol, **changes):
                        pass
                assert "other" not in str(caught.value)


async def test_a_secret_that_is_nowhere_is_misconfigured_before_anything_is_opened(broker: Broker) -> None:
    """What a person must put right here is not retried."""

    def nowhere(name: str) -> str:
        raise Misconfigured(f"{name} is nowhere")

    with pytest.raises(Misconfigured, match="pw is nowhere"):
        async with connect(broker.port, username="gw", password=Secret("pw", nowhere)):
            pass


async def test_what_the_access_list_forbids_is_refused(tmp_path: Path) -> None:
    """With MQTT 5 a message that mosquitto drops by its access list is refused aloud, and the session lives on."""
    async with (
        Broker(tmp_path / "b", access=["topic write t/allowed"]) as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port) as session,
    ):
        refused, taken = await asyncio.gather(
            session.publish(numbered(1, topic="t/forbidden")), session.publish(numbered(2, topic="t/allowed"))
        )
        assert (refused.answer, refused.words) == (Answer.REFUSED, "not authorized")
        assert taken.answer is Answer.ACCEPTED


async def test_a_message_that_mosquitto_finds_too_long_is_refused(tmp_path: Path) -> None:
    """It answers with 0x95, which a PUBACK may not have: it is a refusal, not the end of the session."""
    async with (
        Broker(tmp_path / "b", listener=["message_size_limit 1000"]) as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port) as session,
    ):
        verdict = await session.publish(numbered(1, 2000))
        assert (verdict.answer, verdict.words) == (Answer.REFUSED, "packet too large")
        assert (await session.publish(numbered(2))).answer is Answer.ACCEPTED


async def test_the_announced_packet_size_is_kept(tmp_path: Path) -> None:
    """What is longer than the broker announced is refused here: sent, it would end every session anew."""
    async with (
        Broker(tmp_path / "b", listener=["max_packet_size 5000"]) as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port) as session,
    ):
        assert 4000 < session.limit < 5000
        assert (await session.publish(numbered(1, session.limit - 1))).answer is Answer.ACCEPTED
        verdict = await session.publish(numbered(2, 5000))
        assert verdict.answer is Answer.REFUSED
        assert verdict.words.endswith("5000 are the limit")
        assert (await session.publish(numbered(3))).answer is Answer.ACCEPTED


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("protocol", list(Version))
async def test_tls_with_the_right_authority(tmp_path: Path, authority: Authority, protocol: Version) -> None:
    """Messages travel in TLS, many and long ones too, to a broker whose certificate the CA file vouches for."""
    async with (
        Broker(tmp_path / "b", tls=authority.server("IP:127.0.0.1")) as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port, protocol=protocol, tls=TlsSettings(ca_file=authority.file)) as session,
        connect(broker.port, tls=TlsSettings(ca_file=authority.file), client_id="other") as other,
    ):
        verdicts = await asyncio.gather(
            *(one.publish(numbered(number, 60_000)) for number in range(50) for one in (session, other))
        )
        assert {verdict.answer for verdict in verdicts} == {Answer.ACCEPTED}


@pytest.mark.parametrize(
    ("name", "days", "words"),
    [
        (
            "IP:127.0.0.1",
            (1, 2),
            "its certificate is not valid yet: this machine's clock says 20.* is it right?",
        ),
        ("IP:127.0.0.1", (-3, -1), "its certificate has expired: this machine's clock says 20"),
        ("DNS:elsewhere.example", (-1, 1), "its certificate is for another name: .*127.0.0.1"),
    ],
)
async def test_a_bad_certificate_is_told_in_one_line(
    tmp_path: Path, authority: Authority, name: str, days: tuple[int, int], words: str
) -> None:
    """Not yet valid and expired point to the clock; another name says which one was expected."""
    async with (
        Broker(tmp_path / "b", tls=authority.server(name, days=days)) as broker,
        asyncio.timeout(IN_TIME_S),
    ):
        with pytest.raises(Unavailable, match=words) as caught:
            async with connect(broker.port, tls=TlsSettings(ca_file=authority.file)):
                pass
        assert "\n" not in str(caught.value)


async def test_an_unknown_authority_points_to_the_ca_file(tmp_path: Path, authority: Authority) -> None:
    """The system's authorities, and any other, do not vouch for this certificate."""
    stranger = Authority(tmp_path / "stranger")
    async with (
        Broker(tmp_path / "b", tls=authority.server("IP:127.0.0.1")) as broker,
        asyncio.timeout(IN_TIME_S),
    ):
        for tls in (TlsSettings(), TlsSettings(ca_file=stranger.file)):
            with pytest.raises(Unavailable, match=r"an authority that is not trusted; set `tls\.ca_file`"):
                async with connect(broker.port, tls=tls):
                    pass


async def test_tls_and_no_tls_do_not_meet(tmp_path: Path, broker: Broker, authority: Authority) -> None:
    """Each of the two mix-ups of a port says what it looks like."""
    async with asyncio.timeout(IN_TIME_S):
        with pytest.raises(Unavailable, match="TLS"):
            async with connect(broker.port, tls=TlsSettings(ca_file=authority.file)):
                pass
        async with Broker(tmp_path / "b", tls=authority.server("IP:127.0.0.1")) as secret:
            with pytest.raises(
                Unavailable, match="before its CONNACK; does it speak MQTT here, and without TLS"
            ):
                async with connect(secret.port):
                    pass


@pytest.mark.parametrize(("content", "error"), [(None, Unavailable), ("no certificate", Misconfigured)])
async def test_a_ca_file_that_is_none_is_said(
    tmp_path: Path, content: str | None, error: type[Exception]
) -> None:
    """One without certificates is for a person to put right; one that is missing may be mounted later. `check` sees both."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content, encoding="ascii")
    configured = settings(1, tls=TlsSettings(ca_file=file))
    with pytest.raises(error, match=r"tls\.ca_file: .*ca\.pem"):
        async with connect(1, tls=TlsSettings(ca_file=file)):
            pass
    ((path, message),) = mqtt.look(configured)
    assert path == ("tls", "ca_file")
    assert str(file) in message


async def test_a_ca_file_that_is_one_passes(authority: Authority) -> None:
    """And so does none at all: the system's own authorities serve."""
    assert list(mqtt.look(settings(1, tls=TlsSettings(ca_file=authority.file)))) == []
    assert list(mqtt.look(settings(1, tls=TlsSettings()))) == []
    assert list(mqtt.look(settings(1))) == []


async def test_a_name_that_does_not_exist_is_told_in_one_line() -> None:
    """The look-up's own words, and the name's."""
    async with asyncio.timeout(IN_TIME_S):
        for host in ("no-such-host.invalid", "a..b", "x" * 70):
            with pytest.raises(Unavailable, match="no address for this name") as caught:
                async with connect(1883, host=host):
                    pass
            assert "\n" not in str(caught.value)


async def test_no_descriptor_is_left_behind(broker: Broker) -> None:
    """Sessions that end well, and attempts that fail, close what they opened."""
    async with asyncio.timeout(IN_TIME_S):
        async with connect(broker.port) as session:
            await session.publish(numbered(0))
        before = _descriptors()
        for _ in range(5):
            async with connect(broker.port) as session:
                await session.publish(numbered(1))
            with pytest.raises(Unavailable):
                async with connect(1):
                    pass
            with pytest.raises(Unavailable):
                async with connect(broker.port, tls=TlsSettings()):
                    pass
        await asyncio.sleep(0)
        assert _descriptors() == before


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
