"""One question to a device, and what is noted of what comes of it: on the device, and on the line.

What follows for the device, whether it is silent or who else is to blame, is the business of `polling`.
"""

from __future__ import annotations

from typing import Final

import structlog

from drivers.modbus.line.framing import Question
from drivers.modbus.line.line import Line
from drivers.modbus.line.transaction import Conversation, Refusal, Unfit
from drivers.modbus.polling.device import Device
from drivers.modbus.polling.exceptions import Meaning, meaning

log = structlog.get_logger()

HUNG_UP: Final = 3
"""So many connections in a row that end over a question, and the link is lost: two may be one block's fault."""


class Asking:
    """Asks the devices of one link, one question at a time."""

    def __init__(self, link: str, line: Line, conversation: Conversation) -> None:
        """`link` is the link's id, for the log."""
        self._link = link
        self._line = line
        self._conversation = conversation
        self._waited_for: Device | None = None
        """Whose answer did not come last."""
        self._hung_up = 0
        """Connections that ended over a question since anybody answered."""
        self.in_vain = 0
        """Time-outs since anybody answered."""
        self.timeouts = 0
        self.exceptions: dict[str, int] = {}
        """By name."""

    async def ask(self, device: Device, asked: Question) -> bytes | Meaning:
        """The data of the answer, or what it means that there is none. Raises `Unavailable`."""
        answer = await self._line.ask(asked, device.limit_ns / 1e9)
        if isinstance(answer, bytes):
            self.in_vain = 0
            self._hung_up = 0
            device.answer_ms = self._line.took_ns / 1e6
            if device.trouble:
                self.log_trouble(device, asked, None)
            return answer
        device.errors += 1
        if isinstance(answer, Refusal):
            return self._refusal(device, asked, answer)
        match answer:
            case None:
                self.timeouts += 1
                self.in_vain += 1
                device.overshadowed = self.in_vain > 1 and self._waited_for is not device
                self._waited_for = device
            case Unfit(kind="lost", words=words):
                self._hung_up += 1
                if self._hung_up == HUNG_UP:
                    raise self._line.unavailable(words)
            case Unfit():
                self.in_vain = 0
        return meaning(answer)

    def _refusal(self, device: Device, asked: Question, refusal: Refusal) -> Meaning:
        """Take note of an exception; what it means."""
        self.in_vain = 0
        self._hung_up = 0
        what = meaning(refusal)
        self.exceptions[what.name] = self.exceptions.get(what.name, 0) + 1
        if what.address and self._conversation.suspects(asked.unit, self._line.now_ns()):
            what = what._replace(address=False)  # it may be the answer to an earlier question
        if not what.silent:
            device.answer_ms = self._line.took_ns / 1e6
            if not what.address:
                self.log_trouble(device, asked, what)
        return what

    def log_trouble(self, device: Device, asked: Question, what: Meaning | None) -> None:
        """Say once that a block brings nothing, and once that it does again."""
        before = device.trouble.pop(asked, None)
        if what is not None:
            device.trouble[asked] = what.name
        if before != (what and what.name):
            (log.warning if what else log.info)(
                "block.refused" if what else "block.answered",
                link=self._link,
                device=device.id,
                function=asked.function,
                address=asked.address,
                count=asked.count,
                reason=what.name if what else before,
                error=what.words if what else "",
            )
