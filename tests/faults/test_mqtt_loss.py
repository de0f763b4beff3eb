"""The MQTT uplink on a link and a broker at their worst: nothing that was taken for accepted is missing upstream."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from agent.interfaces import Unavailable
from agent.uplinks.mqtt.settings import TlsSettings
from agent.upstream import Answer, Connection
from tests.emulators.broker import Broker
from tests.emulators.certificates import Authority
from tests.emulators.mqtt_session import connect, numbered
from tests.emulators.proxy import Proxy
from tests.emulators.stub_broker import Published, StubBroker

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

SECOND = timedelta(seconds=1)
MESSAGES = 20_000


class Temper:
    """How a broker feels at the moment, and what it really took."""

    def __init__(self, chance: random.Random) -> None:
        self.taken: Counter[bytes] = Counter()
        self.refuses = False
        self.forgets = False
        self._chance = chance

    def __call__(self, published: Published) -> int | None:
        if self.refuses:
            return 0x97
        if self.forgets:
            if self._chance.random() < 0.5:
                self.taken[published.payload] += 1
            return None
        self.taken[published.payload] += 1
        return 0


async def trouble(link: Proxy, temper: Temper, chance: random.Random) -> None:
    """Cut, stall, refuse, forget, for ever."""
    while True:
        await asyncio.sleep(chance.uniform(0.02, 0.1))
        kind = chance.choice(["cut", "refuse", "forget", "stall", "half-open"])
        if kind == "cut":
            link.cut()
        elif kind == "stall":
            link.up.stalled = link.down.stalled = True
            await asyncio.sleep(chance.uniform(0.05, 1.0))
            link.up.stalled = link.down.stalled = False
        elif kind == "half-open":
            link.half_open()
            await asyncio.sleep(chance.uniform(0.05, 1.0))
            link.cut()
            link.reset()
        else:
            setattr(temper, {"refuse": "refuses", "forget": "forgets"}[kind], True)
            await asyncio.sleep(chance.uniform(0.05, 0.3))
            temper.refuses = temper.forgets = False


async def deliver(session: Connection, settled: set[int]) -> None:
    """Publish what is not settled yet, a window at a time, until all is, or the session is lost."""
    waiting = iter([number for number in range(MESSAGES) if number not in settled])

    async def one_after_the_other() -> None:
        for number in waiting:
            while number not in settled:
                verdict = await session.publish(numbered(number))
                if verdict.answer is Answer.ACCEPTED:
                    settled.add(number)
                else:
                    await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        for _ in range(session.window):
            group.create_task(one_after_the_other())


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_lost_in_chaos(seed: int) -> None:
    """Seeded resets, stalls, half-open links, refusals and forgotten acknowledgements: 0 lost, few repeats."""
    chance = random.Random(seed)
    temper = Temper(chance)
    settled: set[int] = set()
    async with StubBroker(puback=temper) as broker, Proxy(broker.port) as link, asyncio.timeout(300):
        troubling = asyncio.create_task(trouble(link, temper, chance))
        while len(settled) < MESSAGES:
            try:
                async with connect(
                    link.port, connect_timeout=2 * SECOND, ack_timeout=SECOND, window=20
                ) as session:
                    await deliver(session, settled)
            except* Unavailable:
                await asyncio.sleep(0.02)
        troubling.cancel()
    assert not [number for number in settled if numbered(number).payload not in temper.taken]
    assert len(broker.connects) > 3
    assert temper.taken.total() - MESSAGES < MESSAGES // 5


async def test_mosquitto_is_killed_again_and_again(tmp_path: Path) -> None:
    """Killed in mid-publish and started again, for ever: every message is accepted in the end, and no session hangs."""
    settled: set[int] = set()
    sessions = 0
    async with Broker(tmp_path / "mosquitto") as broker, asyncio.timeout(300):

        async def killing() -> None:
            while len(settled) < MESSAGES:
                await asyncio.sleep(0.1)
                await broker.kill()
                await broker.start()

        restless = asyncio.create_task(killing())
        while len(settled) < MESSAGES:
            try:
                async with connect(broker.port) as session:
                    sessions += 1
                    await deliver(session, settled)
            except* Unavailable:
                await asyncio.sleep(0.02)
        await restless
    assert sessions > 3


async def test_a_tls_session_cut_at_every_seventh_byte(tmp_path: Path) -> None:
    """Handshake, CONNECT, three messages, DISCONNECT: cut anywhere, the outcome is `Unavailable` or an arrived message."""
    authority = Authority(tmp_path / "authority")
    tls = TlsSettings(ca_file=authority.file)
    async with (
        Broker(tmp_path / "mosquitto", tls=authority.server("IP:127.0.0.1")) as broker,
        Proxy(broker.port) as link,
        asyncio.timeout(500),
    ):

        async def exchange() -> None:
            async with connect(link.port, tls=tls) as session:
                for outcome in await asyncio.gather(
                    *(session.publish(numbered(number, 40)) for number in range(3)), return_exceptions=True
                ):
                    assert isinstance(outcome, Unavailable) or outcome.answer is Answer.ACCEPTED

        await exchange()
        lengths = {"up": link.up.passed, "down": link.down.passed}
        for way, length in lengths.items():
            for cut in range(0, length, 7):
                link.reset()
                getattr(link, way).cut_after = cut
                with contextlib.suppress(Unavailable):
                    await exchange()
