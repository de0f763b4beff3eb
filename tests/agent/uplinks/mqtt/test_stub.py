"""The MQTT uplink against a broker that does what mosquitto cannot be made to do."""

from __future__ import annotations

import asyncio
import gc
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from agent.interfaces import Unavailable
from agent.uplinks import mqtt
from agent.uplinks.mqtt.client import Client
from agent.uplinks.mqtt.settings import Version
from agent.upstream import Answer, Message, Span
from tests.emulators.mqtt_session import GATEWAY, connect, numbered, settings
from tests.emulators.proxy import Proxy
from tests.emulators.stub_broker import Cut, StubBroker

IN_TIME_S = 20.0
SECOND = timedelta(seconds=1)

PUBACKS = [
    (0x00, Answer.ACCEPTED, "success"),
    (0x10, Answer.ACCEPTED, "no matching subscribers"),
    (0x80, Answer.BUSY, "unspecified error"),
    (0x83, Answer.BUSY, "implementation specific error"),
    (0x87, Answer.REFUSED, "not authorized"),
    (0x88, Answer.BUSY, "server unavailable"),
    (0x89, Answer.BUSY, "server busy"),
    (0x90, Answer.REFUSED, "topic name invalid"),
    (0x91, Answer.BUSY, "packet identifier in use"),
    (0x95, Answer.REFUSED, "packet too large"),
    (0x97, Answer.BUSY, "quota exceeded"),
    (0x99, Answer.REFUSED, "payload format invalid"),
    (0xE7, Answer.BUSY, "reason code 0xe7"),
]


@pytest.mark.parametrize(("code", "answer", "words"), PUBACKS)
async def test_each_reason_code_has_its_verdict(code: int, answer: Answer, words: str) -> None:
    """A PUBACK becomes a verdict in the standard's words, and the session goes on; an unknown refusal keeps the data."""
    async with StubBroker(puback=lambda published: code) as broker, asyncio.timeout(IN_TIME_S):
        async with connect(broker.port) as session:
            for _ in range(2):
                verdict = await session.publish(numbered(1))
                assert (verdict.answer, verdict.words) == (answer, words)
        assert broker.disconnects == [0]


async def test_the_brokers_own_words_are_kept() -> None:
    """A reason string stands behind the standard's name."""
    async with (
        StubBroker(puback=lambda _: 0x97, reason="5 MB a day") as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port) as session,
    ):
        assert (await session.publish(numbered(1))).words == "quota exceeded: 5 MB a day"


async def test_each_verdict_reaches_its_own_message() -> None:
    """Answers that come in another order than the questions are told apart."""
    async with (
        StubBroker(puback=lambda _: None) as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port) as session,
    ):
        waiting = [asyncio.create_task(session.publish(numbered(number))) for number in range(3)]
        await broker.until(lambda: len(broker.published) == 3)
        first, second, third = (published.identifier for published in broker.published)
        await broker.acknowledge(third, code=0x10)
        await broker.acknowledge(first, code=0x97)
        await broker.acknowledge(second)
        verdicts = await asyncio.gather(*waiting)
        assert [verdict.answer for verdict in verdicts] == [Answer.BUSY, Answer.ACCEPTED, Answer.ACCEPTED]


CONNACKS = [
    (0x80, "unspecified error"),
    (0x84, "unsupported protocol version: set `protocol: 3.1.1`"),
    (0x85, "client identifier not valid: .* set `client_id`"),
    (0x86, "bad user name or password: check `username` and `password`"),
    (0x87, "not authorized: the broker does not let this user or client id in"),
    (0x88, "server unavailable"),
    (0x89, "server busy"),
    (0x8A, "banned"),
    (0x97, "quota exceeded"),
    (0x9F, "connection rate exceeded"),
]


@pytest.mark.parametrize(("code", "words"), CONNACKS)
async def test_a_refused_session_says_why_and_what_to_do(code: int, words: str) -> None:
    """A CONNACK that refuses is `Unavailable`: the cause may be put right at the broker."""
    async with StubBroker(connack=code) as broker, asyncio.timeout(IN_TIME_S):
        with pytest.raises(
            Unavailable, match=f"127.0.0.1:{broker.port}: the broker refused the session: {words}"
        ):
            async with connect(broker.port):
                pass


@pytest.mark.parametrize(
    ("code", "words"),
    [(1, "protocol version"), (2, "client id"), (3, "unavailable"), (4, "password"), (5, "authorized")],
)
async def test_a_refused_session_in_the_older_protocol(code: int, words: str) -> None:
    """The five codes of MQTT 3.1.1 say the same."""
    async with StubBroker(connack=code) as broker, asyncio.timeout(IN_TIME_S):
        with pytest.raises(Unavailable, match=words if code != 1 else "closed before its CONNACK|protocol"):
            async with connect(broker.port, protocol=Version.V311):
                pass


async def test_a_broker_of_the_older_protocol_points_to_the_setting() -> None:
    """A broker that speaks only 3.1.1 answers in 3.1.1 that it does not know version 5."""
    async with StubBroker(raw_connack=b"\x20\x02\x00\x01") as broker, asyncio.timeout(IN_TIME_S):
        with pytest.raises(Unavailable, match=r"unsupported protocol version: set `protocol: 3\.1\.1`"):
            async with connect(broker.port):
                pass


@pytest.mark.parametrize("end", ["time limit", "cancelled"])
async def test_an_attempt_that_was_given_up_leaves_no_ghost(end: str) -> None:
    """It has closed its connection: a CONNECT that arrives late cannot throw out the next session with our id."""
    async with StubBroker() as broker, Proxy(broker.port) as link, asyncio.timeout(IN_TIME_S):
        link.up.stalled = True
        if end == "cancelled":
            opening = asyncio.create_task(connect(link.port).__aenter__())
            await link.accepted(1)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
        else:
            with pytest.raises(Unavailable, match="no CONNACK within 1 s"):
                async with connect(link.port, connect_timeout=SECOND):
                    pass
        link.up.stalled = False
        await link.closed()
        async with connect(broker.port) as session:
            assert (await session.publish(numbered(1))).answer is Answer.ACCEPTED


async def test_every_session_begins_clean_and_says_who_it_is() -> None:
    """The buffer is the only queue: nothing is asked of the broker's memory. The client id is the gateway's or as set."""
    async with StubBroker() as broker, asyncio.timeout(IN_TIME_S):
        for changes in ({}, {"client_id": "roof", "protocol": Version.V311}):
            async with connect(broker.port, **changes):
                pass
        assert broker.connects == [("gw-1", 5, True, 20), ("roof", 4, True, 20)]


async def test_the_receive_maximum_is_obeyed() -> None:
    """Never more in flight than the broker allows, however many are published at once, also after a cancelled one."""
    async with StubBroker(puback=lambda _: None, properties={0x21: 3}) as broker, asyncio.timeout(IN_TIME_S):
        async with connect(broker.port) as session:
            assert session.window == 3
            waiting = [asyncio.create_task(session.publish(numbered(number))) for number in range(10)]
            await broker.until(lambda: len(broker.published) == 3)
            waiting[0].cancel()
            for expected in range(3, 11):
                await broker.acknowledge(broker.published[expected - 3].identifier)
                if expected < 10:
                    await broker.until(lambda expected=expected: len(broker.published) == expected + 1)
            for published in broker.published[8:]:
                await broker.acknowledge(published.identifier)
            verdicts = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(verdicts[0], asyncio.CancelledError)
            assert {verdict.answer for verdict in verdicts[1:]} == {Answer.ACCEPTED}
        assert broker.most_unanswered == 3


async def test_a_cancelled_publish_leaves_nothing_behind() -> None:
    """Its late acknowledgement is taken without a word, frees its place, and nothing is kept of it."""
    async with (
        StubBroker(puback=lambda _: None) as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port, window=1) as session,
    ):
        publishing = asyncio.create_task(session.publish(numbered(1)))
        await broker.until(lambda: len(broker.published) == 1)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        next_one = asyncio.create_task(session.publish(numbered(2)))
        await broker.acknowledge(broker.published[0].identifier)
        await broker.until(lambda: len(broker.published) == 2)
        await broker.acknowledge(broker.published[1].identifier)
        assert (await next_one).answer is Answer.ACCEPTED
        assert not session._in_flight
        assert not session._client._client._out_messages


async def test_a_publish_cancelled_while_it_waits_for_room_is_never_sent() -> None:
    """What was given up before it left does not leave later."""
    async with (
        StubBroker(puback=lambda _: None) as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port, window=1) as session,
    ):
        first, second = (asyncio.create_task(session.publish(numbered(number))) for number in range(2))
        await broker.until(lambda: len(broker.published) == 1)
        second.cancel()
        await broker.acknowledge(broker.published[0].identifier)
        await first
        broker.puback = lambda _: 0
        await session.publish(numbered(2))
        assert [published.payload for published in broker.published] == [b"0", b"2"]


async def test_the_maximum_packet_size_is_obeyed() -> None:
    """The limit leaves room for the longest topic; a longer message is refused here and never sent."""
    async with StubBroker(properties={0x27: 2000}) as broker, asyncio.timeout(IN_TIME_S):
        async with connect(broker.port) as session:
            longest = Message("t/" + "x" * 510, b"." * session.limit, content_type="application/json")
            assert (await session.publish(longest)).answer is Answer.ACCEPTED
            assert (await session.publish(numbered(1, 2000))).answer is Answer.REFUSED
        assert len(broker.published) == 1


@pytest.mark.parametrize("protocol", list(Version))
async def test_the_size_of_a_packet_is_computed_exactly(protocol: Version) -> None:
    """One byte more than the limit is refused, and the limit itself is sent: in both protocols, with and without extras."""
    plain, typed = Message("t", b"." * 3000), Message("t", b"." * 3000, content_type="application/json")
    async with StubBroker() as broker, Proxy(broker.port) as link, asyncio.timeout(IN_TIME_S):
        for message in (plain, typed):
            async with connect(link.port, protocol=protocol) as session:
                await session.publish(numbered(0))
                before = link.up.passed
                await session.publish(message)
                assert session._client.size(message) == link.up.passed - before


async def test_without_an_announcement_our_own_limit_holds() -> None:
    """256 KiB as a packet, less when the operator says so."""
    async with StubBroker() as broker, asyncio.timeout(IN_TIME_S):
        async with connect(broker.port) as session:
            assert 255 * 1024 < session.limit < 256 * 1024
            assert session.window == 32
        async with connect(broker.port, protocol=Version.V311, max_packet_size=4096) as session:
            assert 3000 < session.limit < 4096


async def test_a_broker_that_keeps_nothing_is_not_asked_to() -> None:
    """Retained messages are refused here when the broker has announced that it keeps none: sent, they end the session."""
    async with (
        StubBroker(properties={0x25: 0}) as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port) as session,
    ):
        verdict = await session.publish(Message("t/status", b"online", retain=True))
        assert (verdict.answer, verdict.words) == (Answer.REFUSED, "retain not supported")
        assert (await session.publish(numbered(1))).answer is Answer.ACCEPTED


async def test_the_brokers_keepalive_is_obeyed() -> None:
    """Pings come as often as the broker demands, not as we would like."""
    async with StubBroker(properties={0x13: 1}) as broker, asyncio.timeout(IN_TIME_S), connect(broker.port):
        await broker.until(lambda: broker.pinged >= 2)


async def test_pings_that_are_not_answered_end_the_session() -> None:
    """A silent connection is found by the ping that has no answer."""
    async with (
        StubBroker(properties={0x13: 1}, pings=False) as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port) as session,
    ):
        with pytest.raises(Unavailable, match="keep alive timeout"):
            await session.lost()


async def test_acknowledgements_that_never_come_end_the_session() -> None:
    """A broker that answers pings but acknowledges nothing is given up after the limit."""
    async with StubBroker(puback=lambda _: None, properties={0x13: 1}) as broker, asyncio.timeout(IN_TIME_S):
        async with connect(broker.port, ack_timeout=2 * SECOND) as session:
            waiting = [asyncio.create_task(session.publish(numbered(number))) for number in range(3)]
            for outcome in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(outcome, Unavailable)
                assert "3 messages in flight, the oldest not acknowledged for" in str(outcome)
        assert broker.pinged >= 1


async def test_one_message_that_is_never_acknowledged_ends_the_session() -> None:
    """A broker that forgets one message while it takes others does not hold its readings for ever."""
    async with (
        StubBroker(puback=lambda published: 0 if published.count else None) as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port, ack_timeout=SECOND) as session,
    ):
        forgotten = asyncio.create_task(session.publish(numbered(0)))
        await broker.until(lambda: bool(broker.published))

        async def go_on() -> None:
            while True:
                await session.publish(numbered(1))

        with pytest.raises(Unavailable):
            await go_on()
        with pytest.raises(Unavailable, match="the oldest not acknowledged"):
            await forgotten


@pytest.mark.parametrize("after", [b"", b"\xe0\x02\x8b\x00"], ids=["closed", "disconnected"])
async def test_a_session_that_ends_as_it_begins_is_lost_at_once(after: bytes) -> None:
    """A broker that accepts and closes in one breath leaves no session that looks alive."""
    async with StubBroker(raw_connack=b"\x20\x03\x00\x00\x00" + after, connack=0x80) as broker:
        async with asyncio.timeout(IN_TIME_S):
            with pytest.raises(Unavailable):
                async with connect(broker.port) as session:
                    await session.lost()


async def test_an_idle_session_is_not_taken_for_a_silent_one() -> None:
    """Without anything in flight there is nothing to acknowledge, for however long."""
    async with (
        StubBroker() as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port, ack_timeout=SECOND / 10) as session,
    ):
        for _ in range(3):
            await asyncio.sleep(0.3)
            assert (await session.publish(numbered(1))).answer is Answer.ACCEPTED


async def test_a_slow_line_is_not_taken_for_a_silent_one() -> None:
    """As long as bytes leave, what they carry may take longer than the limit to be acknowledged."""
    async with (
        StubBroker() as broker,
        Proxy(broker.port) as link,
        asyncio.timeout(IN_TIME_S),
        connect(link.port, ack_timeout=SECOND, max_packet_size=16 * 2**20) as session,
    ):
        loop = asyncio.get_running_loop()
        began = loop.time()
        link.up.bytes_per_s = 1_500_000
        link.up.piece = 32768
        assert (await session.publish(numbered(1, 3_000_000))).answer is Answer.ACCEPTED
        assert loop.time() - began > 1.5


async def test_a_half_open_link_is_found() -> None:
    """Bytes that vanish without a sign end the session after the limit, and the next publish raises at once."""
    async with (
        StubBroker() as broker,
        Proxy(broker.port) as link,
        asyncio.timeout(IN_TIME_S),
        connect(link.port, ack_timeout=SECOND) as session,
    ):
        await session.publish(numbered(1))
        link.half_open()
        with pytest.raises(Unavailable, match="the oldest not acknowledged"):
            await session.publish(numbered(2))
        with pytest.raises(Unavailable):
            await session.publish(numbered(3))


async def test_saying_goodbye_to_nobody_takes_a_second() -> None:
    """On a half-open link the end of a session is bounded: the agent has to stop in time."""
    async with StubBroker() as broker, Proxy(broker.port) as link, asyncio.timeout(IN_TIME_S):
        loop = asyncio.get_running_loop()
        async with connect(link.port) as session:
            await session.publish(numbered(1))
            link.half_open()
            began = loop.time()
        assert 0.9 < loop.time() - began < 5


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x8E, "session taken over: because: another client uses the id gw-1; each needs its own"),
        (0x8B, "server shutting down: because"),
        (0x97, "quota exceeded: because"),
        (0x98, "administrative action: because"),
    ],
)
async def test_the_reason_of_a_disconnect_is_told(code: int, words: str) -> None:
    """What the broker says when it ends a session stands in the error of everything in flight."""
    async with (
        StubBroker(puback=lambda _: None, reason="because") as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port) as session,
    ):
        publishing = asyncio.create_task(session.publish(numbered(1)))
        await broker.until(lambda: len(broker.published) == 1)
        await broker.disconnect(code)
        with pytest.raises(Unavailable, match=f"the broker ended the session: {words}"):
            await publishing


async def test_a_cut_in_mid_publish_fails_what_is_in_flight() -> None:
    """Everything that was not acknowledged raises at once; what was acknowledged before stands."""
    async with StubBroker(puback=lambda published: 0 if published.count < 5 else Cut()) as broker:
        async with asyncio.timeout(IN_TIME_S), connect(broker.port, ack_timeout=60 * SECOND) as session:
            outcomes = await asyncio.gather(
                *(session.publish(numbered(number)) for number in range(20)), return_exceptions=True
            )
        accepted = [outcome for outcome in outcomes if not isinstance(outcome, Exception)]
        assert len(accepted) == 5
        assert all(isinstance(outcome, Unavailable) for outcome in outcomes[5:])


@pytest.mark.parametrize(
    "packet",
    [
        b"\x00\x00",
        b"\x40\x01\x00",
        b"\x40\x00",
        b"\xff\xff\xff\xff\xff\xff",
        b"\xd0\x05hello",
        b"\x20\x00",
        b"\x20\x03\x00\x00\x00",
        b"\x40\x08\x00\x01\x97\x05\x99\x99\x99\x99",
        b"\x90\x03\x00\x01\x00",
        b"\x30\x04\x00\x09ab",
        b"\xe0\x01\x77",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    ids=lambda packet: packet[:6].hex(),
)
async def test_bytes_that_are_not_mqtt_do_no_harm(packet: bytes) -> None:
    """Whatever a broker sends, the session goes on or ends with `Unavailable`, and nothing is logged behind our back."""
    async with (
        StubBroker(puback=lambda _: None) as broker,
        asyncio.timeout(IN_TIME_S),
        connect(broker.port, ack_timeout=SECOND) as session,
    ):
        publishing = asyncio.create_task(session.publish(numbered(1)))
        await broker.until(lambda: len(broker.published) == 1)
        await broker.send(packet)
        try:
            verdict = await publishing
        except Unavailable:
            pass
        else:
            assert verdict.answer is not Answer.ACCEPTED


async def test_a_packet_without_end_ends_the_session() -> None:
    """A broker that announces a packet of 200 MB and sends on and on does not fill our memory."""
    async with StubBroker() as broker, asyncio.timeout(IN_TIME_S), connect(broker.port) as session:
        with pytest.raises(Unavailable, match=r"more than a mebibyte|lost"):  # noqa: PT012  # one of the sends meets the end
            await broker.send(b"\x30\xff\xff\xff\x7f")
            while True:
                sending = asyncio.create_task(broker.send(b"." * 65536))
                await asyncio.wait(
                    [sending, asyncio.ensure_future(session.lost())], return_when=asyncio.FIRST_COMPLETED
                )
                if session._words:
                    await session.lost()


async def test_what_comes_from_upstream_is_handed_on() -> None:
    """A message from the broker reaches `received`; one whose topic is not UTF-8 does not, and does no harm."""
    got: list[tuple[str, bytes]] = []
    async with (
        StubBroker() as broker,
        asyncio.timeout(IN_TIME_S),
        mqtt.connect(settings(broker.port), GATEWAY, None, lambda *came: got.append(came)) as session,
    ):
        await broker.send(b"\x30\x07\x00\x02\xff\xfe\x00hi" + b"\x30\x08\x00\x03cmd\x00hi")
        await session.publish(numbered(1))
        assert got == [("cmd", b"hi")]


async def test_a_message_without_an_answer_must_not_carry_readings() -> None:
    """QoS 0 is written and taken for accepted; to let readings go on that alone would lose them."""
    async with StubBroker() as broker, asyncio.timeout(IN_TIME_S), connect(broker.port) as session:
        assert (await session.publish(Message("t", b"x", qos=0))).answer is Answer.ACCEPTED
        for bad in (Message("t", b"x", qos=0, covers=(Span("s", 1, 2),)), Message("t", b"x", qos=2)):
            with pytest.raises(ValueError, match="never acknowledged"):
                await session.publish(bad)
        await broker.until(lambda: len(broker.published) == 1)


async def test_the_older_protocol_is_warned_of_once() -> None:
    """With 3.1.1 refusals are inaudible: said once for each uplink in the life of the process."""
    async with StubBroker() as broker, asyncio.timeout(IN_TIME_S):
        with capture_logs() as logs:
            for _ in range(2):
                async with connect(broker.port, protocol=Version.V311, id="warned"):
                    pass
            async with connect(broker.port):
                pass
        assert [entry["event"] for entry in logs] == ["uplink.refusals_inaudible"]


async def test_sessions_leave_nothing_in_memory() -> None:
    """Of a hundred sessions no client object remains: each is used once and forgotten."""

    async def one() -> None:
        async with connect(broker.port) as session:
            publishing = asyncio.create_task(session.publish(numbered(1)))
            await broker.until(lambda: bool(broker.published))
            await broker.disconnect(0x8B)
            await asyncio.wait([publishing])
            assert isinstance(publishing.exception(), Unavailable)

    async with StubBroker(puback=lambda _: None) as broker, asyncio.timeout(IN_TIME_S):
        for _ in range(100):
            await one()
    gc.collect()
    assert not [left for left in gc.get_objects() if isinstance(left, Client)]


async def test_a_cut_at_every_byte_settles_nothing_that_did_not_arrive() -> None:
    """Three messages, the link cut after each byte of either direction: what was accepted had arrived, all else raises."""
    async with StubBroker() as broker, Proxy(broker.port) as link, asyncio.timeout(100):

        async def exchange() -> list[object]:
            async with connect(link.port) as session:
                return await asyncio.gather(
                    *(session.publish(numbered(number, 40)) for number in range(3)), return_exceptions=True
                )

        assert not any(isinstance(outcome, Exception) for outcome in await exchange())
        lengths = {"up": link.up.passed, "down": link.down.passed}
        for way, length in lengths.items():
            for cut in range(length):
                link.reset()
                getattr(link, way).cut_after = cut
                broker.published.clear()
                try:
                    outcomes = await exchange()
                except Unavailable:
                    continue
                arrived = {published.payload for published in broker.published}
                for number, outcome in enumerate(outcomes):
                    if isinstance(outcome, Exception):
                        assert isinstance(outcome, Unavailable)
                    else:
                        assert numbered(number, 40).payload in arrived
