"""`diaccess-agent write`: through the agent while one runs, else by itself; what was written outlives both."""

import asyncio
import json
import os
import pwd

import pytest
from structlog.testing import capture_logs

from agent import log
from agent.cli import exits, main
from tests.emulators.agent import AgentProcess
from tests.emulators.holding import Holding
from tests.emulators.modbus import Server, nothing

LIMIT_S = 60
WRITE = {"minimum": 18, "maximum": 24, "every": "0ms", "fallback": 20}
ME = pwd.getpwuid(os.getuid()).pw_name


def settings(port, timeout="20s", **write):
    """A ventilation unit with a setpoint in tenths, and a mode with labels."""
    points = [
        {
            "name": "setpoint",
            "table": "holding",
            "address": 10,
            "type": "int16",
            "scale": 0.1,
            "unit": "Cel",
            "write": {**WRITE, **write},
        },
        {
            "name": "mode",
            "table": "holding",
            "address": 11,
            "type": "uint16",
            "labels": {"0": "stopped", "1": "auto"},
            "write": {},
        },
        {"name": "alarm", "table": "holding", "address": 12, "type": "uint16"},
    ]
    line = {
        "id": "plant",
        "driver": "modbus",
        "host": "127.0.0.1",
        "port": port,
        "timeout": timeout,
        "devices": [{"id": "vent-1", "interval": "1h", "points": points}],
    }
    return {"links": [line]}


def registers():
    return {10: 200, 11: 0, 12: 0}


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """Runs `write` in a thread of its own; gives its code and what it printed."""
    monkeypatch.setattr(log, "configure", lambda _: None)  # it is the whole process's

    async def _ask(*words, config=None, socket=None):
        more = ["--socket", str(socket or tmp_path / "none")]
        if config is not None:
            more += ["--config", str(config)]
        capsys.readouterr()
        async with asyncio.timeout(LIMIT_S):
            with capture_logs():
                code = await asyncio.to_thread(main, ["write", *map(str, words), *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    return _ask


@pytest.fixture
def config(tmp_path):
    """Writes a configuration for a device at this port."""

    def _config(port, **write):
        (tmp_path / "store").mkdir(exist_ok=True)
        file = tmp_path / "gateway.yaml"
        whole = {"gateway": {"id": "gw-1"}, "buffer": {"folder": "store"}, **settings(port, **write)}
        file.write_text(json.dumps(whole))
        return file

    return _config


async def test_without_an_agent(ask, config, tmp_path):
    """The link is opened for it, and the rules are the same: also the next time."""
    async with Holding(registers()) as device:
        file = config(device.port, every="1h")
        code, out, _ = await ask("vent-1", "setpoint", 21.5, config=file)
        assert code == exits.FINE
        assert out.splitlines() == [
            "vent-1 setpoint",
            "  was     20 Cel",
            "  asked   21.5 Cel",
            "  is now  21.5 Cel",
            "applied: written, and read back",
        ]
        code, out, _ = await ask("vent-1", "setpoint", 22, config=file)
        assert code == exits.REFUSED
        assert "rejected: written less than 1h ago" in out
        assert device.registers[10] == 215
        assert len(device.written) == 1
    records = [json.loads(line) for line in (tmp_path / "store" / "commands.ndjson").read_text().splitlines()]
    assert [(record["state"], record["source"]) for record in records] == [
        ("applied", f"user {ME}"),
        ("rejected", f"user {ME}"),
    ]


async def test_labels(ask, config):
    """What is written by its label is shown with it; a word that is none is refused with those that are."""
    async with Holding(registers()) as device:
        file = config(device.port)
        code, out, _ = await ask("vent-1", "mode", "auto", config=file)
        assert (code, device.registers[11]) == (exits.FINE, 1)
        assert "  was     0 (stopped)\n  asked   1 (auto)\n  is now  1 (auto)\n" in out
        code, out, _ = await ask("vent-1", "mode", "fast", config=file)
        assert code == exits.REFUSED
        assert "expected one of 0 (stopped), 1 (auto), found 'fast'" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("vent-1", "setpoint", "35"), "expected 18 to 24 Cel, found 35"),
        (("vent-1", "setpoint", "warm"), "expected a number, found 'warm'"),
        (("vent-1", "setpoint", "21.55"), "expected a value that its register can hold, such as 21.6"),
        (("vent-1", "alarm", "0"), "may only be read"),
        (("vent-2", "setpoint", "21"), "did you mean vent-1?"),
        (("vent-1", "setpoint", "21", "--lease", "1h"), "no agent is running that would write the fallback"),
    ],
)
async def test_refused(words, said, ask, config):
    """What may not be is said, with an exit code of its own; nothing is written."""
    async with Holding(registers()) as device:
        code, out, _ = await ask(*words, config=config(device.port))
        assert code == exits.REFUSED
        assert said in out
        assert device.written == []


async def test_dry_run(ask, config, tmp_path):
    """Everything is checked, the point is read, nothing is written anywhere."""
    async with Holding(registers()) as device:
        file = config(device.port)
        code, out, _ = await ask("vent-1", "setpoint", 21, "--dry-run", "--json", config=file)
        answer = json.loads(out)
        assert (code, answer["state"], answer["before"], answer["found"]) == (0, "accepted", 20.0, None)
        assert device.written == []
    assert list((tmp_path / "store").iterdir()) == []


async def test_not_done(ask, config):
    """A device that does not take it, and one that is not there, have exit codes of their own."""
    async with Holding(registers()) as device:
        file = config(device.port)
        device.takes = lambda _, value: min(value, 210)
        code, out, _ = await ask("vent-1", "setpoint", 23, config=file)
        assert code == exits.FAILED
        assert "failed: the device took something else: expected 23.0, found 21.0" in out
    code, _, err = await ask("vent-1", "setpoint", 22, config=file)
    assert code == exits.UNAVAILABLE
    assert "plant" in err


async def test_a_device_that_does_not_answer_is_not_there(ask, config):
    """Nothing is written blindly; that is no matter of permission, so it has the code of what is not there."""
    async with Server(default=nothing) as server:
        code, out, _ = await ask("vent-1", "setpoint", 21, config=config(server.port, timeout="200ms"))
    assert "rejected: what it is now could not be read: timeout" in out
    assert code == exits.UNAVAILABLE


async def test_whoever_may_not_record_may_not_write(ask, config, tmp_path):
    """Without an agent it takes the rights of its user; the message says how."""
    file = config(1)
    (tmp_path / "store").rmdir()
    code, _, err = await ask("vent-1", "setpoint", 21, config=file)
    assert code == exits.REFUSED
    assert "sudo -u diaccess-agent diaccess-agent write" in err


async def test_through_the_agent(ask, tmp_path):
    """It writes for whoever asks, and knows who that is; what is held returns, whatever happens to the agent meanwhile."""
    async with Holding(registers()) as device, AgentProcess(tmp_path, settings(device.port)) as agent:
        await agent.until_logged("agent.ready")
        await agent.until(lambda: device.asked)
        code, out, _ = await ask("vent-1", "setpoint", 23, "--lease", "1h", socket=agent.socket)
        assert code == exits.FINE
        assert out.splitlines()[-1].endswith("then 20 returns")
        (lease,) = (await agent.ask("status"))["leases"]
        assert (lease["source"], lease["value"], lease["fallback"]) == (f"user {ME}", "23", "20")

        await agent.kill()
        await agent.start()
        await agent.until_logged("agent.ready", 2)
        assert device.registers[10] == 230
        assert len((await agent.ask("status"))["leases"]) == 1

        await agent.kill()
        learnt = tmp_path / "buffer" / "learnt.json"
        known = json.loads(learnt.read_text())
        known["commands"]["leases"][0]["length_ns"] = 1  # its time is over while no agent runs
        learnt.write_text(json.dumps(known))
        await agent.start()
        await agent.until(lambda: device.registers[10] == 200)
        await agent.until_logged("lease.returned")

        agent.configure(settings(device.port, maximum=21))
        agent.reload()
        await agent.until_logged("agent.reloaded")
        code, out, _ = await ask("vent-1", "setpoint", 23, socket=agent.socket)
        assert (code, device.registers[10]) == (exits.REFUSED, 200)
        assert "expected 18 to 21 Cel, found 23" in out
        assert await agent.stop() == 0
    records = [
        json.loads(line) for line in (tmp_path / "buffer" / "commands.ndjson").read_text().splitlines()
    ]
    assert [(record["what"], record["state"]) for record in records] == [
        ("command", "applied"),
        ("fallback", "returned"),
        ("command", "rejected"),
    ]
    assert {record["source"] for record in records} == {f"user {ME}"}
