"""The commands as a technician types them, each in a process of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent import log, report
from agent.cli import main
from tests.emulators.ports import free_port

ROOT = Path(__file__).parents[3]
LIMIT_S = 60


@pytest.fixture
def gateway(tmp_path):
    """A configuration with one Modbus meter at a free port, and one pretended room."""
    file = tmp_path / "gateway.yaml"
    file.write_text(
        f"""
gateway: {{id: gw-1}}
buffer: {{folder: buffer}}
links:
  - id: line
    driver: modbus
    host: 127.0.0.1
    port: {free_port()}
    timeout: 500ms
    devices: [{{id: meter-1, profile: eastron-sdm630}}]
  - id: pretended
    driver: simulated
    devices: [{{id: room-1, model: room}}]
"""
    )
    return file


def command(*words, folder, **more):
    return {
        "args": [sys.executable, "-m", "agent", *map(str, words)],
        "cwd": folder,
        "env": {**os.environ, "PYTHONPATH": str(ROOT), "DIACCESS_SOCKET": str(folder / "control")},
        "text": True,
        **more,
    }


def run(*words, folder):
    return subprocess.run(**command(*words, folder=folder, capture_output=True, timeout=LIMIT_S), check=False)


def test_every_command_explains_itself(tmp_path):
    """`--help` names every command and every exit code, and each command has its own."""
    result = run("--help", folder=tmp_path)
    assert result.returncode == 0
    for word in ("run", "check", "schema", "status", "read", "ledger", "simulate", "78", "69"):
        assert word in result.stdout
        if word.isalpha():
            assert run(word, "--help", folder=tmp_path).returncode == 0


@pytest.mark.parametrize("words", [(), ("frobnicate",), ("read",), ("status", "--frob")])
def test_a_wrong_command_line_is_2(tmp_path, words):
    """One line of usage, and the code that scripts know."""
    result = run(*words, folder=tmp_path)
    assert result.returncode == 2
    assert "usage:" in result.stderr


@pytest.mark.parametrize("name", ["status", "ledger"])
def test_without_an_agent_it_says_that_none_is_running(tmp_path, name):
    """No traceback, no waiting: the code is 69."""
    result = run(name, folder=tmp_path)
    assert result.returncode == 69
    assert "no agent is running" in result.stderr
    assert "Traceback" not in result.stderr


def test_run_refuses_a_wrong_configuration_with_78_and_opens_nothing(gateway):
    """The service is not restarted on it; every problem is said, and no store is made."""
    gateway.write_text(
        gateway.read_text().replace("driver: modbus", "driver: modbis").replace("model: room", "model: rom")
    )
    result = run("run", "--config", gateway, folder=gateway.parent)
    assert result.returncode == 78
    assert "did you mean modbus" in result.stderr
    assert "did you mean room" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (gateway.parent / "buffer").exists()


def test_read_opens_the_link_itself_when_no_agent_runs(gateway):
    """One device, every point, from the emulated device; as a table and as JSON."""
    simulate = subprocess.Popen(
        **command(
            "simulate",
            "--config",
            gateway,
            folder=gateway.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    )
    try:
        assert "serves meter-1" in simulate.stdout.readline()
        shown = run("read", "meter-1", "--config", gateway, folder=gateway.parent)
        assert shown.returncode == 0, shown.stderr
        assert "voltage_l1" in shown.stdout
        assert "good" in shown.stdout
        document = json.loads(
            run("read", "meter-1", "--json", "--config", gateway, folder=gateway.parent).stdout
        )
        voltage = document["points"][0]
        assert (voltage["point"], voltage["unit"], voltage["quality"]) == ("voltage_l1", "V", "good")
        assert 180 < voltage["value"] < 260
    finally:
        simulate.send_signal(signal.SIGINT)
        _, errors = simulate.communicate(timeout=LIMIT_S)
    assert simulate.returncode == 0, errors


def test_read_says_why_a_device_cannot_be_read(gateway):
    """Nobody listens there: one line with the address, and 69."""
    result = run("read", "meter-1", "--config", gateway, folder=gateway.parent)
    assert result.returncode == 69
    assert "127.0.0.1" in result.stderr
    assert "refused" in result.stderr
    assert "Traceback" not in result.stderr


def test_read_of_an_unknown_device_names_those_that_there_are(gateway):
    """A typing error is answered with the choice."""
    result = run("read", "metre-1", "--config", gateway, folder=gateway.parent)
    assert result.returncode == 1
    assert "meter-1" in result.stderr


def test_simulate_of_an_unknown_link_names_those_that_there_are(gateway):
    """A typing error is answered with the choice."""
    result = run("simulate", "--link", "lines", "--config", gateway, folder=gateway.parent)
    assert result.returncode == 2
    assert "no link lines" in result.stderr
    assert "line, pretended" in result.stderr


def test_read_of_a_device_that_takes_too_long_is_one_line(gateway, monkeypatch, capsys):
    """A server that takes the connection and says nothing, under a time limit longer than anybody waits."""
    monkeypatch.setattr(report, "READ_LIMIT_S", 0.5)
    monkeypatch.setattr(log, "configure", lambda _: None)  # it is the whole process's
    with socket.create_server(("127.0.0.1", 0)) as server:
        text = gateway.read_text().replace("timeout: 500ms", "timeout: 40s")
        gateway.write_text(re.sub(r"port: \d+", f"port: {server.getsockname()[1]}", text))
        socket_path = gateway.parent / "control"
        code = main(["read", "meter-1", "--config", str(gateway), "--socket", str(socket_path)])
    assert code == 69
    assert "device meter-1: no sample within" in capsys.readouterr().err


def test_simulate_says_when_an_address_cannot_be_had(gateway):
    """Somebody else listens there: 69."""
    words = ("simulate", "--config", gateway)
    first = subprocess.Popen(
        **command(*words, folder=gateway.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    )
    try:
        assert "serves" in first.stdout.readline()
        second = run(*words, folder=gateway.parent)
        assert second.returncode == 69
        assert "cannot listen" in second.stderr
        assert "Traceback" not in second.stderr
    finally:
        first.terminate()
        first.communicate(timeout=LIMIT_S)


def test_run_stops_on_a_signal_with_0_and_a_second_agent_is_refused(gateway):
    """Ctrl-C is a clean stop; two agents never share a socket or a buffer."""
    words = ("run", "--config", gateway, "--socket", gateway.parent / "control")
    first = subprocess.Popen(**command(*words, folder=gateway.parent, stderr=subprocess.PIPE))
    try:
        for line in first.stderr:
            if "agent.ready" in line:
                break
        second = run(*words, folder=gateway.parent)
        assert second.returncode not in {0, 78}
        assert "another agent" in second.stderr
        status = run("status", folder=gateway.parent)
        assert status.returncode == 0, status.stderr
        assert "room-1" in status.stdout
        ledger = run("ledger", folder=gateway.parent)
        assert (ledger.returncode, "It balances." in ledger.stdout) == (0, True)
    finally:
        first.send_signal(signal.SIGINT)
        _, rest = first.communicate(timeout=LIMIT_S)
    assert first.returncode == 0
    assert "agent.stopped" in rest
