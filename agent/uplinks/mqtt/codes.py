"""What a broker says in reason codes, and what follows from it: tables (MQTT 5.0, 2.4, 3.2.2.2, 3.4.2.1, 3.14.2.1).

Pure. The names are the standard's, in lower case, because that is what somebody will search for.
"""

from __future__ import annotations

from agent.upstream import Answer, Verdict

NAMES = {
    0x00: "success",
    0x10: "no matching subscribers",
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "unsupported protocol version",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8C: "bad authentication method",
    0x8D: "keep alive timeout",
    0x8E: "session taken over",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    0x93: "receive maximum exceeded",
    0x94: "topic alias invalid",
    0x95: "packet too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x99: "payload format invalid",
    0x9A: "retain not supported",
    0x9B: "QoS not supported",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9F: "connection rate exceeded",
    0xA0: "maximum connect time",
}

ANSWERS = {
    0x00: Answer.ACCEPTED,
    0x10: Answer.ACCEPTED,
    0x80: Answer.BUSY,
    0x83: Answer.BUSY,
    0x87: Answer.REFUSED,
    0x88: Answer.BUSY,
    0x89: Answer.BUSY,
    0x90: Answer.REFUSED,
    0x91: Answer.BUSY,
    0x95: Answer.REFUSED,
    0x96: Answer.BUSY,
    0x97: Answer.BUSY,
    0x99: Answer.REFUSED,
    0x9A: Answer.REFUSED,
    0x9B: Answer.REFUSED,
}
"""What a PUBACK says of its message. Some are not allowed there, and mosquitto sends 0x95 all the same.

REFUSED where the message itself is at fault: another try would end alike. A code that stands here nowhere is BUSY if
it is a refusal: the readings are kept.
"""

FAILURE = 0x80
"""The least of the codes that are refusals."""

_REMEDIES = {
    0x84: "set `protocol: 3.1.1` if this broker does not speak MQTT 5",
    0x85: "the broker does not take this client id; set `client_id`",
    0x86: "check `username` and `password`, here and at the broker",
    0x87: "the broker does not let this user or client id in; look at its access list",
    0x8A: "the broker has banned this client; ask its operator",
    0x8C: "the broker wants another way of logging in than user name and password",
    0x8E: "another client uses the id {client_id}; each needs its own `client_id`",
    0x9A: "the broker keeps no retained messages",
    0x9C: "set `host` to the server that the broker's operator names",
    0x9D: "set `host` to the server that the broker's operator names",
}
"""What a person can do about a refused or ended session."""


def name(code: int) -> str:
    """The standard's name of a reason code."""
    return NAMES.get(code, f"reason code 0x{code:02x}")


def verdict(code: int, detail: str = "") -> Verdict:
    """What a PUBACK means; `detail` is the broker's own sentence, if it sent one."""
    answer = ANSWERS.get(code, Answer.BUSY if code >= FAILURE else Answer.ACCEPTED)
    return Verdict(answer, _joined(name(code), detail))


def explained(code: int, detail: str, client_id: str) -> str:
    """Why a session was refused or ended: the name, the broker's own sentence, and what to do about it."""
    remedy = _REMEDIES.get(code, "").format(client_id=client_id)
    return _joined(name(code), detail, remedy)


def _joined(*words: str) -> str:
    return ": ".join(word for word in words if word)
