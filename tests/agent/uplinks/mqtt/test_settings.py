"""What can be said of a broker in the configuration."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agent.fields import Secret
from agent.uplinks import mqtt
from agent.uplinks.mqtt.settings import TlsSettings
from tests.emulators.mqtt_session import settings


def test_the_port_follows_from_tls() -> None:
    """The registered port of what is spoken, unless another is given."""
    assert settings(None).address == ("127.0.0.1", 1883)
    assert settings(None, tls=TlsSettings()).address == ("127.0.0.1", 8883)
    assert settings(1, tls=TlsSettings()).address == ("127.0.0.1", 1)


def test_a_password_belongs_to_a_user() -> None:
    """Without a user name MQTT 3.1.1 has no place for it."""
    with pytest.raises(ValueError, match="a password needs a username beside it"):
        settings(1883, password=Secret("pw"))


def test_two_uplinks_of_one_client_id_at_one_broker_have_one_owner() -> None:
    """They would throw each other out; another id, or another broker, makes them strangers."""
    assert mqtt.owner(settings(1883)) == mqtt.owner(settings(1883, id="other"))
    assert (
        len(
            {
                mqtt.owner(settings(1883)),
                mqtt.owner(settings(1884)),
                mqtt.owner(settings(1883, client_id="a")),
            }
        )
        == 3
    )


def test_what_is_not_used_is_not_loaded() -> None:
    """Reading a configuration with an MQTT uplink loads neither aiomqtt nor paho: 5 MB that `check` does not need."""
    code = "import sys, agent.uplinks.mqtt; sys.exit(bool({'aiomqtt', 'paho'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
