"""What a message costs: processor time of this uplink beside bare paho and bare aiomqtt, to the same mosquitto.

Each sends messages of 2 kB at QoS 1, 32 in flight, in turns; the figure is user and system time of this process for
one message, the median of the turns. Usage: python tests/benchmarks/bench_mqtt.py
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiomqtt
import paho.mqtt.client as paho

sys.path.insert(0, str(Path(__file__).parents[2]))

from agent.sample import Lane
from agent.upstream import Message
from tests.emulators.broker import Broker
from tests.emulators.mqtt_session import connect

BYTES = 2000
IN_FLIGHT = 32
MESSAGES = 3000
TURNS = 7
PAYLOAD = b"." * BYTES


async def in_flight(publish: Callable[[], Awaitable[object]]) -> None:
    """Publish `MESSAGES` times, `IN_FLIGHT` at once."""
    numbers = iter(range(MESSAGES))

    async def worker() -> None:
        for _ in numbers:
            await publish()

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


def bare_paho(port: int) -> Callable[[], None]:
    """A connected client with paho's own thread; what it returns sends one turn."""
    connected, room = threading.Event(), threading.Semaphore(IN_FLIGHT)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "paho", protocol=paho.MQTTv5)
    client.max_inflight_messages_set(IN_FLIGHT)
    client.on_connect = lambda *_: connected.set()
    client.on_publish = lambda *_: room.release()
    client.connect("127.0.0.1", port)
    client.loop_start()
    connected.wait(10)

    def turn() -> None:
        for _ in range(MESSAGES):
            room.acquire()
            client.publish("bench/paho", PAYLOAD, 1)
        for _ in range(IN_FLIGHT):
            room.acquire()
        room.release(IN_FLIGHT)

    return turn


async def main() -> None:
    """Print one line for each way."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = await stack.enter_async_context(Broker(folder / "broker"))
        turn = bare_paho(broker.port)
        plain = aiomqtt.Client(
            "127.0.0.1",
            broker.port,
            identifier="aiomqtt",
            protocol=aiomqtt.ProtocolVersion.V5,
            max_inflight_messages=IN_FLIGHT,
            logger=logging.getLogger("bench"),
        )
        plain.pending_calls_threshold = 10**9
        await stack.enter_async_context(plain)
        session = await stack.enter_async_context(connect(broker.port, client_id="agent"))
        message = Message(f"bench/{Lane.LIVE.value}", PAYLOAD, content_type="application/json")
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "paho, its own thread": lambda: asyncio.to_thread(turn),
            "aiomqtt": lambda: in_flight(lambda: plain.publish("bench/aiomqtt", PAYLOAD, 1)),
            "this uplink": lambda: in_flight(lambda: session.publish(message)),
        }
        spent_us: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(TURNS):
            for way, send in ways.items():
                before = time.process_time()
                await send()
                spent_us[way].append((time.process_time() - before) / MESSAGES * 1e6)
    floor = statistics.median(spent_us["paho, its own thread"])
    for way, spent in spent_us.items():
        median = statistics.median(spent)
        print(
            f"{way:22s} {median:6.1f} us a message of {BYTES} B, {IN_FLIGHT} in flight   x{median / floor:.2f}"
        )


if __name__ == "__main__":
    asyncio.run(main())
