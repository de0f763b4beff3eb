"""Secrets come from three places and go nowhere."""

import os

import pytest

from agent.fields import Secret
from agent.interfaces import Misconfigured
from agent.secrets import LONGEST, Secrets


@pytest.fixture
def places(tmp_path):
    """The three places, and the secrets that are looked for in them."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (tmp_path / "secrets").mkdir()
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}
    return credentials, tmp_path / "secrets", environment, Secrets(tmp_path, environment)


def test_credentials_come_before_files_and_files_before_the_environment(places):
    """The most protected place wins."""
    credentials, files, environment, secrets = places
    secret = Secret("mqtt-password", secrets.look_up)
    environment["DIACCESS_SECRET_MQTT_PASSWORD"] = "from the environment"
    assert secret.reveal() == "from the environment"
    (files / "mqtt-password").write_text("from a file\n")
    assert secret.reveal() == "from a file"
    (credentials / "mqtt-password").write_text("from a credential of this unit")
    assert secret.reveal() == "from a credential of this unit"
    (credentials / "diaccess-agent.mqtt-password").write_text("from the store\r\n")
    assert secret.reveal() == secrets.reveal(secret) == "from the store"


def test_root_looks_into_the_credential_store_itself(tmp_path):
    """Where systemd has not put the credentials into a folder of the service: `sudo diaccess-agent check`."""
    store = tmp_path / "credstore"
    store.mkdir()
    (store / "diaccess-agent.a").write_text("x")
    assert Secrets(tmp_path, {}, store).look_up("a") == "x"
    with pytest.raises(Misconfigured, match="secret a: not found"):
        Secrets(tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}, store).look_up("a")
    (store / "diaccess-agent.b").mkdir()  # stands for what cannot be read: root can read everything
    with pytest.raises(Misconfigured, match="secret b: not found"):
        Secrets(tmp_path, {}, store).look_up("b")


def test_it_is_looked_up_each_time(places):
    """So that one that was exchanged serves at the next connection."""
    _, files, _, secrets = places
    (files / "a").write_text("old")
    assert secrets.look_up("a") == "old"
    (files / "a").write_text("new")
    assert secrets.look_up("a") == "new"


def test_only_the_line_end_is_taken_off(places):
    """Blanks and inner lines may belong to it: a key in PEM, say."""
    _, files, _, secrets = places
    (files / "a").write_text(" a\n b \n\n")
    assert secrets.look_up("a") == " a\n b \n"


def test_a_missing_one_names_all_three_places(places):
    """By their full names, so that one can be made."""
    _, files, _, secrets = places
    with pytest.raises(Misconfigured) as raised:
        secrets.look_up("mqtt.pass-word")
    for place in (
        "credential diaccess-agent.mqtt.pass-word",
        str(files / "mqtt.pass-word"),
        "DIACCESS_SECRET_MQTT_PASS_WORD",
    ):
        assert place in str(raised.value)


@pytest.mark.parametrize("octets", [b"", b"\n", b"hunter2\xff", b"hunter2" * LONGEST])
def test_what_cannot_be_a_secret_is_said_without_it(places, octets):
    """Empty, no text, or endless."""
    _, files, _, secrets = places
    (files / "a").write_bytes(octets)
    with pytest.raises(Misconfigured, match=r"secret a: .*(empty|UTF-8|longer)") as raised:
        secrets.look_up("a")
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__


def test_what_cannot_be_read_is_said(places):
    """A folder, or a pipe that nobody writes to; never waited for."""
    _, files, _, secrets = places
    (files / "a").mkdir()
    with pytest.raises(Misconfigured, match=r"secret a: .* cannot be read: Is a directory"):
        secrets.look_up("a")
    os.mkfifo(files / "b")
    with pytest.raises(Misconfigured, match=r"secret b: .* is empty"):
        secrets.look_up("b")


def test_a_file_that_everybody_may_read_is_known(places):
    """`check` warns of it."""
    _, files, _, secrets = places
    (files / "a").write_text("x")
    (files / "a").chmod(0o644)
    assert secrets.exposed("a") == files / "a"
    (files / "a").chmod(0o640)
    assert secrets.exposed("a") is None
    assert secrets.exposed("b") is None


def test_a_secret_prints_its_name():
    """Whatever is done with it."""
    secret = Secret("name", lambda _: "hunter2")
    assert f"{secret!r} {secret} {[secret]}" == "!secret name !secret name [!secret name]"
    assert secret == Secret("name")
    assert secret != Secret("other")
    assert len({secret, Secret("name")}) == 1
    with pytest.raises(LookupError):
        Secret("name").reveal()
