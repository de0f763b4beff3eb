"""What an answer that brings no data means for the points it was to bring, and whether the device is there at all.

Pure. The exception codes are those of the Modbus Application Protocol V1.1b3, section 7.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.sample import Reason
from drivers.modbus.line.transaction import Refusal, Unfit


class Meaning(NamedTuple):
    """What follows from an answer without data."""

    name: str
    """As it is counted and logged."""
    reason: Reason
    """Of the cells that the answer was to bring."""
    silent: bool = False
    """The device itself did not answer, or nothing that can be used: asking it costs the others their time."""
    words: str = ""
    """For whoever reads the log, where the name alone does not say it."""
    address: bool = False
    """The device is there, and has not all of the addresses that it was asked for."""


EXCEPTIONS: Final = {
    0x01: Meaning(
        "illegal_function", Reason.CONFIGURATION_ERROR, words="illegal function: the device does not know it"
    ),
    0x02: Meaning("illegal_data_address", Reason.CONFIGURATION_ERROR, address=True),
    # Of a read it should mean the count (7); some devices say it where others say 02, and halves are as good a remedy.
    0x03: Meaning("illegal_data_value", Reason.CONFIGURATION_ERROR, address=True),
    0x04: Meaning(
        "server_device_failure", Reason.DEVICE_FAILURE, words="the device reports a failure of its own"
    ),
    0x05: Meaning(
        "acknowledge", Reason.DEVICE_BUSY, words="the device took the request and needs more time for it"
    ),
    0x06: Meaning("server_device_busy", Reason.DEVICE_BUSY, words="the device has no time for it just now"),
    0x08: Meaning(
        "memory_parity_error",
        Reason.COMMUNICATION_ERROR,
        words="the device reports an error in its own memory",
    ),
    # A gateway says these after its own time limit, which takes the line as long as a time-out of ours.
    0x0A: Meaning(
        "gateway_path_unavailable",
        Reason.NOT_CONNECTED,
        silent=True,
        words="the gateway has no way to the device",
    ),
    0x0B: Meaning(
        "gateway_target_failed_to_respond",
        Reason.NOT_CONNECTED,
        silent=True,
        words="the gateway got no answer from the device",
    ),
}


def meaning(answer: Refusal | Unfit | None) -> Meaning:
    """Interpret an answer without data; `None` is none in time."""
    match answer:
        case None:
            return Meaning("timeout", Reason.TIMEOUT, silent=True, words="no answer in time")
        case Unfit(kind="lost", words=words):
            return Meaning("lost", Reason.NOT_CONNECTED, silent=True, words=words)
        case Unfit(kind=kind, words=words):
            return Meaning(kind, Reason.COMMUNICATION_ERROR, silent=True, words=words)
        case Refusal(code=code):
            # A code that the specification does not know is the device's own trouble.
            return EXCEPTIONS.get(code) or Meaning(
                f"exception_{code:02x}",
                Reason.DEVICE_FAILURE,
                words="a code that is not of the specification: the device's manual may know it",
            )
