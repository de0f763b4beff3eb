"""`make run`: an emulated building, a broker, the agent, and its readings as they arrive at the broker.

Three processes of their own, as in a real building: the devices (`diaccess-agent simulate`), the broker, and the
agent (`diaccess-agent run`), all with config/demo/gateway.yaml. This one subscribes at the broker like any consumer,
prints what arrives, and at the end adds up: what was read must have been stored, and what was acknowledged must have
arrived here. Exit code 0 when it balances and something arrived.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config" / "demo" / "gateway.yaml"
FOLDER = ROOT / "build" / "demo"
BROKER_PORT = 18830
DEVICE_PORTS = (15020, 15021)
"""As in the configuration."""
TOPIC = "diaccess/demo-01/#"
START_LIMIT_S = 30
STOP_LIMIT_S = 10
SHOWN = 3
"""How many readings of a sample a line has room for."""


@dataclass(slots=True)
class Arrived:
    """What came to the broker, as a consumer counts it: repeats are told by store and number."""

    readings: set[tuple[str, int]] = field(default_factory=set)
    repeats: int = 0
    bad: int = 0

    def add(self, store: str, readings: Iterable[Mapping[str, Any]]) -> None:
        for reading in readings:
            identity = (store, reading["number"])
            self.repeats += identity in self.readings
            self.readings.add(identity)
            self.bad += reading["quality"] == "bad"


async def main(seconds: float | None, protocol: str) -> int:
    """Run until Ctrl-C or for this many seconds after the first reading."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    arrived = Arrived()
    async with (
        process("broker", broker_command(protocol)) as broker,
        process("devices", [sys.executable, "-m", "agent", "simulate", "--config", str(CONFIG)]) as devices,
    ):
        for name, started, ports in (("broker", broker, (BROKER_PORT,)), ("devices", devices, DEVICE_PORTS)):
            if not await all_listening(started, ports):
                say(f"The {name} did not start; is a port of {', '.join(map(str, ports))} taken? Its log:")
                say((FOLDER / f"{name}.log").read_text())
                return 1
        command = [sys.executable, "-m", "agent", "run", "--config", str(config_for(protocol))]
        async with process("agent", [*command, "--socket", str(FOLDER / "control")]) as agent:
            say(
                f"Log: {relative('agent.log')}   Ask it: .venv/bin/diaccess-agent status --socket {relative('control')}\n"
            )
            try:
                await show(arrived, protocol, stop, agent, seconds)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    agent.send_signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(agent.wait(), STOP_LIMIT_S)
    return summary(arrived, agent.returncode)


async def show(
    arrived: Arrived,
    protocol: str,
    stop: asyncio.Event,
    agent: asyncio.subprocess.Process,
    seconds: float | None,
) -> None:
    """Print every sample that arrives until it is time to stop, and until what is on the way has come."""
    version = aiomqtt.ProtocolVersion.V5 if protocol == "5" else aiomqtt.ProtocolVersion.V311
    async with aiomqtt.Client("127.0.0.1", BROKER_PORT, protocol=version) as client:
        await client.subscribe(TOPIC, qos=1)

        async def listen() -> None:
            async for message in client.messages:
                document = json.loads(bytes(message.payload))
                if "samples" not in document:
                    continue
                for sample in document["samples"]:
                    arrived.add(document["store"], sample["readings"])
                    say(line(document["lane"], sample))
                if not began.is_set():
                    began.set()

        began = asyncio.Event()
        listening = asyncio.create_task(listen())
        ended = asyncio.create_task(agent.wait())
        stopping = asyncio.create_task(stop.wait())
        try:
            first = asyncio.create_task(began.wait())
            await asyncio.wait(
                [first, ended, stopping], timeout=START_LIMIT_S, return_when=asyncio.FIRST_COMPLETED
            )
            first.cancel()
            if began.is_set():
                await asyncio.wait([ended, stopping], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            with contextlib.suppress(ProcessLookupError):
                agent.send_signal(signal.SIGTERM)
            await asyncio.wait([ended], timeout=STOP_LIMIT_S)
            await client.publish("demo/end", b"", qos=1)  # whatever the agent sent is before this
        finally:
            for task in (listening, ended, stopping):
                task.cancel()


def line(lane: str, sample: Mapping[str, Any]) -> str:
    """One sample on one line."""
    readings = sample["readings"]
    texts = [
        f"{reading['point']} {shown(reading['value'])} {reading.get('unit', '')}".rstrip()
        if "value" in reading
        else f"{reading['point']} {reading['quality']} ({reading['reason']})"
        for reading in readings[:SHOWN]
    ]
    more = f" and {len(readings) - SHOWN} more" if len(readings) > SHOWN else ""
    number = readings[0]["number"]
    return f"{sample['time'][11:21]}  {lane:<7}  #{number:<5} {sample['device']:<14} {', '.join(texts)}{more}"


def shown(value: Any) -> str:
    """A value for a person: the message itself has every digit."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def summary(arrived: Arrived, code: int | None) -> int:
    """Print the balance; the exit code."""
    last = last_event("agent.stopped")
    if last is None or code != 0:
        say(f"\nThe agent ended with code {code}; its last words are in {relative('agent.log')}:")
        say("".join((FOLDER / "agent.log").read_text().splitlines(keepends=True)[-20:]))
        return 1
    uplink = last_event("uplink.stopped") or {}
    problem = last_event("ledger.unbalanced")
    acknowledged = uplink.get("acknowledged", 0)
    balanced = problem is None and last["read"] == last["stored"] and acknowledged == len(arrived.readings)
    say(
        f"\nread {last['read']}  stored {last['stored']}  acknowledged {acknowledged}  "
        f"waiting {uplink.get('waiting')}  arrived at the broker {len(arrived.readings)} "
        f"({arrived.repeats} repeats, {arrived.bad} bad): {'it balances' if balanced else 'IT DOES NOT BALANCE'}"
    )
    if problem:
        say(f"  {problem['problem']}")
    return 0 if balanced and arrived.readings else 1


def last_event(event: str) -> dict[str, Any] | None:
    """The last such event of the agent's log."""
    found = None
    for text in (FOLDER / "agent.log").read_text().splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(text)
            if entry.get("event") == event:
                found = entry
    return found


def broker_command(protocol: str) -> list[str]:
    """Mosquitto where it is; else the broker that tests/demo/broker.sh has set up."""
    if protocol == "5":
        config = FOLDER / "mosquitto.conf"
        config.write_text(f"listener {BROKER_PORT} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        return [str(mosquitto()), "-c", str(config)]
    config = FOLDER / "amqtt.yaml"
    config.write_text(
        f"listeners: {{default: {{type: tcp, bind: '127.0.0.1:{BROKER_PORT}'}}}}\n"
        "plugins: {amqtt.plugins.authentication.AnonymousAuthPlugin: {allow_anonymous: true}}\n"
    )
    say("This run uses the broker amqtt in place of mosquitto; it speaks MQTT 3.1.1 only.")
    return [str(ROOT / ".venv-demo" / "bin" / "amqtt"), "-c", str(config)]


def mosquitto() -> str | None:
    """Debian keeps it where only root looks."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def config_for(protocol: str) -> Path:
    """The demonstration's configuration; for a broker that speaks 3.1.1 only, a copy that says so."""
    if protocol == "5":
        return CONFIG
    text = CONFIG.read_text().replace("    kind: mqtt\n", f"    kind: mqtt\n    protocol: {protocol}\n")
    copy = FOLDER / "gateway.yaml"
    copy.write_text(text.replace("../../build/demo", "."))
    return copy


@contextlib.asynccontextmanager
async def process(name: str, command: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process of its own, its output in build/demo/NAME.log; ended with the block."""
    with (FOLDER / f"{name}.log").open("wb") as log:
        started = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield started
    finally:
        if started.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                started.terminate()
            try:
                await asyncio.wait_for(started.wait(), STOP_LIMIT_S)
            except TimeoutError:
                started.kill()
                await started.wait()


async def all_listening(process: asyncio.subprocess.Process, ports: Iterable[int]) -> bool:
    """Wait until this process takes connections on these ports; False when it ends instead."""
    for port in ports:
        async with asyncio.timeout(START_LIMIT_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
                if process.returncode is not None:
                    return False
    await asyncio.sleep(0.1)  # if the port was somebody else's, the process ends now
    return process.returncode is None


def relative(name: str) -> str:
    """A file of this run, as a person in the project's folder names it."""
    return str((FOLDER / name).relative_to(ROOT))


def say(text: str) -> None:
    """Print at once, into a pipe too."""
    print(text, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="end by itself this long after the first reading")
    parser.add_argument(
        "--broker",
        choices=("mosquitto", "amqtt"),
        default="mosquitto",
        help="amqtt also serves where mosquitto is missing",
    )
    arguments = parser.parse_args()
    own_broker = mosquitto() if arguments.broker == "mosquitto" else None
    sys.exit(asyncio.run(main(arguments.seconds, "5" if own_broker else "3.1.1")))
