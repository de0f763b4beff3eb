"""`check`: every problem at once, for people and for programs; and never a secret."""

import json
from pathlib import Path

import pytest

from agent import document, settings
from agent.cli import exits, main

SECRET = "hunter2-5f3a"

CONFIGURATION = """
gateway: {id: demo-01}
links: [{id: a, driver: simulated, devices: [{id: room-1, model: room}]}]
uplinks:
  - {id: city, kind: mqtt, host: a.example, username: me, password: !secret one, format: json, filter: {devices: [x]}}
  - {id: own, kind: mqtt, host: b.example, username: me, password: !secret two, format: json}
  - {id: third, kind: mqtt, host: c.example, username: me, password: !secret three, format: json}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A configuration with three secrets, one in each place."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.yaml").write_text(CONFIGURATION, encoding="utf-8")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "one").write_text(f"{SECRET}-1")
    (tmp_path / "secrets" / "one").chmod(0o600)
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "diaccess-agent.two").write_text(f"{SECRET}-2")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    monkeypatch.setenv("DIACCESS_SECRET_THREE", f"{SECRET}-3")
    monkeypatch.setenv("DIACCESS_CONFIG", "gateway.yaml")
    return tmp_path


def test_a_right_one_is_counted(folder, capsys):
    """Links, devices, points, uplinks; doubts are said and stop nothing."""
    assert main(["check"]) == exits.FINE
    assert capsys.readouterr().out.splitlines() == [
        "gateway.yaml:5:115: warning: devices: x is the name of no device",
        "gateway.yaml: fine: 1 link, 1 device, 4 points, 3 uplinks",
    ]


def test_what_a_driver_has_to_say(tmp_path, capsys, monkeypatch):
    """How full a Modbus line will be is printed before the verdict, and is in the JSON."""
    monkeypatch.chdir(tmp_path)
    points = "[{name: a, table: holding, address: 0, type: int16}]"
    (tmp_path / "gateway.yaml").write_text(
        "gateway: {id: demo-01}\n"
        f"links: [{{id: roof, driver: modbus, host: 192.0.2.1, devices: [{{id: d, points: {points}}}]}}]\n"
    )
    assert main(["check", "--config", "gateway.yaml"]) == exits.FINE
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("roof: time on the line")
    assert said[-1] == "gateway.yaml: fine: 1 link, 1 device, 1 point, 0 uplinks"
    assert main(["check", "--config", "gateway.yaml", "--json"]) == exits.FINE
    assert json.loads(capsys.readouterr().out)["notes"] == said[:-1]


def test_for_programs(folder, capsys):
    """The same as JSON, right or wrong."""
    assert main(["check", "--json"]) == exits.FINE
    said = json.loads(capsys.readouterr().out)
    assert said["fine"] is True
    assert (said["links"], said["devices"], said["points"], said["uplinks"]) == (1, 1, 4, 3)
    assert said["problems"] == []
    (warning,) = said["warnings"]
    assert warning == {
        "file": "gateway.yaml",
        "line": 5,
        "column": 115,
        "message": "devices: x is the name of no device",
    }

    (folder / "gateway.yaml").write_text("gateway: {}\nlog: {level: loud}\n")
    assert main(["check", "--json"]) == exits.CONFIGURATION
    said = json.loads(capsys.readouterr().out)
    assert said["fine"] is False
    assert [(each["line"], each["column"]) for each in said["problems"]] == [(1, 10), (2, 14)]


def test_secrets_that_are_not_there_are_problems(folder, capsys, monkeypatch):
    """Each where it is named, unless nobody wants to know."""
    monkeypatch.delenv("DIACCESS_SECRET_THREE")
    (folder / "secrets" / "one").unlink()
    assert main(["check"]) == exits.CONFIGURATION
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(": not found")[0] for line in said[:2]] == [
        "gateway.yaml:5:69: secret one",
        "gateway.yaml:7:70: secret three",
    ]
    assert main(["check", "--no-secrets"]) == exits.FINE


def test_a_configuration_that_is_not_there(folder, capsys):
    """Its name is in the message, and a name that was perhaps meant."""
    assert main(["check", "--config", "gatway.yaml"]) == exits.CONFIGURATION
    assert capsys.readouterr().err.splitlines()[0] == (
        "gatway.yaml:1:1: 'gatway.yaml' cannot be read: No such file or directory: did you mean gateway.yaml?"
    )


def test_the_default_is_where_the_service_has_it(folder, monkeypatch, capsys):
    """Without an argument or a variable."""
    monkeypatch.delenv("DIACCESS_CONFIG")
    main(["check"])
    said = capsys.readouterr()
    assert "/etc/diaccess-agent/gateway.yaml" in said.out + said.err


def test_no_secret_is_ever_said(folder, capsys):
    """In no form: not by check, as text or JSON, nor by any `repr` of what was read, right or wrong."""
    main(["check"])
    main(["check", "--json"])
    configuration = settings.read(Path("gateway.yaml"), secrets=True)
    read = document.read(settings.Root, "gateway.yaml")
    texts = [
        capsys.readouterr().out,
        repr(configuration),
        str(configuration),
        repr(read),
        repr(configuration.root.uplinks),
    ]
    (folder / "gateway.yaml").write_text(
        CONFIGURATION.replace("format: json", "fromat: json"), encoding="utf-8"
    )
    main(["check"])
    main(["check", "--json"])
    said = capsys.readouterr()
    texts += [said.out, said.err]
    assert all(SECRET not in text for text in texts)
    assert [uplink.password.reveal() for uplink in configuration.root.uplinks] == [
        f"{SECRET}-{n}" for n in (1, 2, 3)
    ]
