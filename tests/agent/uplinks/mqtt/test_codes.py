"""The tables of reason codes agree with each other and with paho's."""

from __future__ import annotations

from paho.mqtt.reasoncodes import ReasonCode

from agent.uplinks.mqtt import codes
from agent.upstream import Answer


def test_the_names_are_the_standards() -> None:
    """Every name is one that paho has for the code, whatever its case."""
    for code, name in codes.NAMES.items():
        assert name.lower() in {known.lower() for known in ReasonCode.names[code]}


def test_every_answer_has_a_name() -> None:
    """No verdict speaks in numbers where the standard has a word."""
    assert codes.ANSWERS.keys() <= codes.NAMES.keys()


def test_only_what_is_below_0x80_is_accepted() -> None:
    """Over all 256 codes: nothing that the standard calls a failure settles a reading, and no success is refused."""
    for code in range(256):
        assert (codes.verdict(code).answer is Answer.ACCEPTED) is (code < 0x80)
