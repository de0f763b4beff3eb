"""The service unit as systemd reads it, without a running systemd: sound, hardened, and true to the agent's constants.

`systemd-analyze` (Debian: the package systemd) must be there; its absence is a failure, not a reason to skip.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from agent import clock, control
from agent.buffer.settings import BufferSettings
from agent.cli import common, exits

ROOT = Path(__file__).resolve().parent.parent.parent
UNIT = ROOT / "systemd" / "diaccess-agent.service"

UNKNOWN_BEFORE_254 = {"RestartSteps", "RestartMaxDelaySec"}
"""systemd 252 says that it ignores these, and does."""

EXPOSURE_LIMIT = 12
"""In tenths: `systemd-analyze security` calls everything up to 50 OK."""


def value(key: str) -> list[str]:
    """All values that the unit gives a key, in order."""
    return re.findall(rf"^{key}=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": "", "NO_COLOR": "1"}
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=60, check=False, env=environment
    )


@pytest.fixture
def runnable(tmp_path: Path) -> Path:
    """The unit with a command that exists on this machine."""
    copy = tmp_path / UNIT.name
    program = value("ExecStart")[0].split()[0]
    copy.write_text(UNIT.read_text(encoding="utf-8").replace(program, "/bin/true"), encoding="utf-8")
    return copy


def test_verify(runnable):
    """Every line is understood, but those that older versions of systemd are known to ignore."""
    verified = run("systemd-analyze", "verify", "--man=no", runnable)
    complaints = {line for line in verified.stderr.splitlines() if line}
    expected = {
        line
        for line in complaints
        if any(f"Unknown key '{key}' in section" in line for key in UNKNOWN_BEFORE_254)
    }
    assert complaints == expected
    assert verified.returncode == 0


def test_verify_finds_mistakes(runnable):
    """The check above would find a misspelt key."""
    runnable.write_text(runnable.read_text(encoding="utf-8").replace("ProtectHome=", "ProtectHomes="))
    assert "Unknown key 'ProtectHomes'" in run("systemd-analyze", "verify", "--man=no", runnable).stderr


def test_exposure(runnable):
    """The sandbox leaves open what a gateway is for, and nothing else: exposure at most 1.2, "OK"."""
    judged = run(
        "systemd-analyze",
        "security",
        "--offline=true",
        f"--threshold={EXPOSURE_LIMIT}",
        "--no-pager",
        runnable,
    )
    assert judged.returncode == 0, judged.stdout[-2000:]
    assert "Overall exposure level" in judged.stdout


def test_exposure_would_rise(runnable):
    """The check above would find a line that went missing."""
    runnable.write_text(
        re.sub(r"^CapabilityBoundingSet=\n", "", runnable.read_text(encoding="utf-8"), flags=re.MULTILINE)
    )
    judged = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}", runnable)
    assert judged.returncode != 0


def test_user(tmp_path):
    """The user and its groups are made as the unit names them."""
    (tmp_path / "etc").mkdir()
    made = run("systemd-sysusers", f"--root={tmp_path}", ROOT / "systemd" / "sysusers.conf")
    assert made.returncode == 0, made.stderr
    [user], [group] = value("User"), value("Group")
    passwd = (tmp_path / "etc" / "passwd").read_text(encoding="utf-8")
    groups = (tmp_path / "etc" / "group").read_text(encoding="utf-8")
    assert re.search(rf"^{user}:x:\d+:\d+:.*:/usr/sbin/nologin$", passwd, re.MULTILINE)
    assert re.search(rf"^{group}:x:\d+:", groups, re.MULTILINE)
    assert re.search(rf"^dialout:.*:{user}$", groups, re.MULTILINE)
    assert group == control.GROUP


def test_the_unit_and_the_agent_agree():
    """What the unit says and what the code relies on are the same: exit codes, folders, variables."""
    assert value("RestartPreventExitStatus") == [f"{exits.CONFIGURATION} {exits.USAGE}"]
    assert value("Environment") == [f"{clock.BOOT_ID_VARIABLE}=%b"]
    assert Path(BufferSettings().folder).is_relative_to(Path("/var/lib") / value("StateDirectory")[0])
    assert control.default_path().parent == Path("/run") / value("RuntimeDirectory")[0]
    assert Path(common.CONFIG_PATH).parent == Path("/etc/diaccess-agent")


def test_a_reload_is_a_check_a_signal_and_a_pause():
    """A wrong configuration never reaches the daemon; the signal is the one that it reads its configuration on."""
    (program,) = {command.split()[0] for command in value("ExecStart")}
    assert value("ExecReload") == [
        f"{program} check --no-secrets",
        "/bin/kill -HUP $MAINPID",
        "/bin/sleep 0.5",
    ]
    assert value("Type") == ["notify"]
