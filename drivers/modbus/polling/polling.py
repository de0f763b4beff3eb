"""One turn: a device is asked for all blocks of a group, and if something does not answer, who is to blame.

- A device, if it answers nothing: then it is only probed, as `schedule` allows.
- A block, if the device has just answered something else: then that block is left out, and tried now and then out of
  the account of the failing.
- An address, if the device answers that it has not all of a block: then the halves of the block are asked for, and so
  on, until it is found; see `refusals`.
- Whoever was asked before, if the answer does come, too late, and the one before it had not come either: a gateway
  waits longer for a dead device than we do, and the next one's question waits in it.
- The profile, if the device shows that it is another one: then it is asked again what it is, and for nothing else.
- The connection, if nobody answers at all: it is dropped.
- If the peer ends connections over questions: the device that was asked; but when that happens several times in a row,
  the link is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog

from agent.sample import Reason, Sample, nothing_learnt
from drivers.modbus.line.framing import Question
from drivers.modbus.line.line import Line
from drivers.modbus.line.transaction import Conversation
from drivers.modbus.polling.asking import Asking
from drivers.modbus.polling.device import Device, Excuse, Group, Heard, Meeting
from drivers.modbus.polling.exceptions import Meaning, meaning
from drivers.modbus.polling.introduction import Introduced
from drivers.modbus.polling.refusals import FIRST_NS
from drivers.modbus.polling.schedule import RETURN_NS, Schedule
from drivers.modbus.values.plan import Span

log = structlog.get_logger()

IN_VAIN: Final = 3
"""A connection on which nobody answers is dropped after this many time-outs in a row, and no less than one a device."""
SPLITS: Final = 16
"""So many refused blocks are halved in one turn, which is enough to find one address among any number; what is left is
for the next."""

QUESTIONS: Final = 4
"""So many questions of an introduction are asked in one turn: a long chain takes many turns, and others keep theirs."""

_NOT_YET: Final = Meaning("not_yet_known", Reason.DEVICE_BUSY)
"""There are questions left for its next turn; no reading has this reason."""
_STRANGER: Final = Meaning("not_the_profile", Reason.CONFIGURATION_ERROR)


class Polling:
    """Takes the turns of one link, one at a time."""

    def __init__(
        self, link: str, line: Line, conversation: Conversation, schedule: Schedule, asking: Asking
    ) -> None:
        """`link` is the link's id, for the log."""
        self._link = link
        self._line = line
        self._asking = asking
        self._conversation = conversation
        self._schedule = schedule

    async def turn(self, device: Device, number: int) -> Sequence[Sample]:
        """Poll a group of a device; one that is silent is probed first, and polled at once if it answers.

        The sample of the group or, if the device does not answer, one of each group; none while it is still being asked
        what it is, which goes on at its next turn. Raises `Unavailable`.
        """
        begun_ns = self._line.now_ns()
        failures = self._schedule.failures(device.id)
        doubtful = failures > 0 or self._conversation.suspects(device.unit_id, begun_ns)
        if doubtful and (silence := await self._probe(device, failures)):
            self._fell_silent(device, silence, begun_ns)
            return self._nothing_learnt(device, silence)
        group = device.groups[number]
        if device.unmet and (reason := await self.meet(device, proven=doubtful, most=QUESTIONS)):
            if reason.silent:
                self._fell_silent(device, reason, begun_ns)
                return self._nothing_learnt(device, reason)
            now_ns = self._line.now_ns()
            self._answered(device, number, failures, now_ns)
            if reason is _NOT_YET:
                self._schedule.refresh(device.id, now_ns)
                return []
            return [nothing_learnt(group.shape, now_ns, reason.reason)]
        heard, silence = await self._poll(device, group, begun_ns, proven=doubtful)
        sample = group.sample(heard)
        if silence:
            self._fell_silent(device, silence, begun_ns)
            return [sample, *self._nothing_learnt(device, silence, besides=group)]
        self._answered(device, number, failures, heard[-1].ended_ns)
        if device.refusals:
            await self._ask_again(device)
        if device.again_ns is not None:
            await self._meet_again(device, device.again_ns)
        return [sample]

    def _answered(self, device: Device, number: int, failures: int, now_ns: int) -> None:
        if failures:
            log.info("device.answers", link=self._link, device=device.id, failures=failures)
        self._schedule.answered(device.id, number, now_ns)

    def _nothing_learnt(self, device: Device, silence: Meaning, besides: Group | None = None) -> list[Sample]:
        now_ns = self._line.now_ns()
        return [
            nothing_learnt(group.shape, now_ns, silence.reason)
            for group in device.groups
            if group is not besides
        ]

    async def _probe(self, device: Device, failures: int) -> Meaning | None:
        """Ask one short question; what it means if the device is not there, or that is not certain."""
        asked = device.probe(failures, self._conversation.fenced)
        if asked is None:
            return meaning(None)
        answer = await self._asking.ask(device, asked)
        if isinstance(answer, bytes):
            return None
        return answer if answer.silent or self._doubted(device) else None

    # --- what it is ----------------------------------------------------------------------------------------------

    async def meet(self, device: Device, *, proven: bool = False, most: int | None = None) -> Meaning | None:
        """Ask a device what it is, if that is not known; why its readings cannot be taken, if they cannot.

        `proven`: it has just answered something else. `most`: no more questions than that; what is left is for the next
        call.
        """
        if device.unmet and (reason := await self._introduction(device, proven=proven, most=most)):
            return reason
        return _STRANGER if device.unmet and device.stranger else None

    async def _introduction(self, device: Device, *, proven: bool, most: int | None) -> Meaning | None:
        """Go on with the introduction of a device, or begin it; why it did not come to its end."""
        if device.introduction is None:
            return None
        if device.meeting is None:
            asking = device.introduction()
            device.meeting = Meeting(asking, next(asking))
        asking, span = device.meeting
        asked_for = 0
        try:
            while asked_for != most:
                asked_for += 1
                asked = device.question(span)
                fenced = self._conversation.fenced(asked)
                answer = meaning(None) if fenced else await self._asking.ask(device, asked)
                if isinstance(answer, bytes):
                    span = asking.send(answer)
                elif answer.reason is Reason.CONFIGURATION_ERROR and not self._doubted(device):
                    span = asking.send(None)
                elif not answer.silent:
                    return answer
                else:
                    device.meeting = None
                    if proven and not fenced:
                        where = f"{span.table.value} {span.address}"
                        self._introduce(device, Introduced(f"an answer at {where}", "none"))
                        if device.stranger:
                            return _STRANGER._replace(silent=True, words=answer.words)
                    return answer
                device.meeting = Meeting(asking, span)
        except StopIteration as end:
            self._introduce(device, end.value)
            return None
        return _NOT_YET

    async def _meet_again(self, device: Device, due_ns: int) -> None:
        """Find out whether a chain that broke off goes on by now, if it is time to; its readings go on meanwhile."""
        now_ns = self._line.now_ns()
        if due_ns > now_ns or not self._schedule.covers(device.limit_ns, now_ns):
            return
        reason = await self._introduction(device, proven=False, most=QUESTIONS)
        if reason and reason is not _NOT_YET:
            ended_ns = self._line.now_ns()
            device.again_ns = ended_ns + FIRST_NS
            if reason.silent:
                self._schedule.charge(ended_ns, self._spent_ns(now_ns, ended_ns))

    def _introduce(self, device: Device, introduced: Introduced) -> None:
        """Take note of what a device is, and say it if it is not what it should be."""
        before = device.introduced
        device.note(introduced, self._line.now_ns())
        facts = {"link": self._link, "device": device.id}
        if introduced.found and introduced != before:
            log.warning(
                "device.not_the_profile", **facts, expected=introduced.expected, found=introduced.found
            )
        elif before and before.found and not introduced.found:
            log.info("device.is_the_profile", **facts)
        if device.locate(introduced.chain, self._line.now_ns()) and device.sunspec and introduced.chain:
            there = [entry.number for entry in introduced.chain]
            unread, missing = (
                device.sunspec.beyond(introduced.chain),
                device.sunspec.missing(introduced.chain),
            )
            log.info("sunspec.models", **facts, found=there, unread=list(unread))
            if missing:
                log.warning("sunspec.models_missing", **facts, missing=list(missing), found=there)

    def _doubted(self, device: Device) -> bool:
        """Whether what it answers may be the answer to an earlier question."""
        return self._conversation.suspects(device.unit_id, self._line.now_ns())

    # --- its readings ------------------------------------------------------------------------------------------

    async def _poll(
        self, device: Device, group: Group, ended_ns: int, *, proven: bool
    ) -> tuple[list[Heard], Meaning | None]:
        """What came of all blocks, and what it means if the device falls silent on the way.

        `ended_ns`: when the line was free for it. `proven`: it has just answered, so if a block does not, it is that
        block's fault; then the next must answer.
        """
        heard: list[Heard] = []
        silence: Meaning | None = None
        pending = [*reversed(group.reads)]
        doubted = bool(device.refusals)
        splits, news = 0, False
        while pending:
            read, begun_ns = pending.pop(), ended_ns
            answer: bytes | Meaning | None = silence or self._excuse(device, read.question, begun_ns)
            if answer is None:
                answer = await self._asking.ask(device, read.question)
                ended_ns = self._line.now_ns()
                if isinstance(answer, bytes):
                    proven = True
                    if doubted and device.refusals.drop(Span.of(read.block)):
                        news = True
                elif answer.address:
                    proven = True
                    news = device.refusals.add(Span.of(read.block), ended_ns) or news
                    if splits < SPLITS and (pieces := device.pieces(read)):
                        splits += 1
                        pending += reversed(pieces)
                        continue
                elif not answer.silent:
                    proven = True
                elif proven:
                    self._excuse_from_now(device, read.question, answer, begun_ns)
                    proven = False
                else:
                    silence = answer
            heard.append(Heard(read, answer, ended_ns))
        if news:
            self._plan_again(device)
        return heard, silence

    # --- addresses that a device does not have -----------------------------------------------------------------

    async def _ask_again(self, device: Device) -> None:
        """Find out whether a device that refuses some of its addresses still does, if it is time to."""
        now_ns = self._line.now_ns()
        span = device.refusals.due(now_ns)
        if span is None or not self._schedule.covers(device.limit_ns, now_ns):
            return
        asked = device.question(span)
        if self._conversation.fenced(asked):
            return
        answer = await self._asking.ask(device, asked)
        ended_ns = self._line.now_ns()
        if isinstance(answer, bytes):
            device.refusals.drop(span)
            self._plan_again(device)
        elif answer.address:
            device.refusals.again(span, ended_ns)
        else:
            device.refusals.put_off(span, ended_ns)
            if answer.silent:
                self._schedule.charge(ended_ns, self._spent_ns(now_ns, ended_ns))

    def _plan_again(self, device: Device) -> None:
        """Read a device by what is known now, and say which points that is news for."""
        before = device.refused
        device.plan()
        if news := [name for name in device.refused if name not in before]:
            log.warning("points.refused", link=self._link, device=device.id, points=news)
        if news := [name for name in before if name not in device.refused]:
            log.info("points.answered", link=self._link, device=device.id, points=news)

    # --- who is to blame ---------------------------------------------------------------------------------------

    def _fell_silent(self, device: Device, silence: Meaning, begun_ns: int) -> None:
        """Take note of a device that does not answer, and of a connection that may be to blame."""
        news = not self._schedule.failures(device.id)
        now_ns = self._line.now_ns()
        if news:  # what is silent as a whole may be another device when it is back
            device.forget()
            device.refusals.doubt(now_ns)
        self._schedule.failed(device.id, now_ns, spent_ns=self._spent_ns(begun_ns, now_ns))
        (log.warning if news else log.debug)(
            "device.silent", link=self._link, device=device.id, reason=silence.name, error=silence.words
        )
        if self._asking.in_vain >= max(IN_VAIN, self._schedule.asked) and self._schedule.all_silent:
            self._asking.in_vain = 0
            self._line.drop("nobody answers on it")

    def hear(self, devices: Sequence[Device]) -> None:
        """Take note of units whose answers came too late."""
        for unit_id in self._conversation.heard:
            for device in devices:
                if device.unit_id == unit_id and self._schedule.failures(device.id):
                    if device.overshadowed:
                        self._schedule.cleared(device.id)
                        log.info("device.answers", link=self._link, device=device.id, failures=1)
                    else:
                        self._schedule.refresh(device.id, self._line.now_ns())
        self._conversation.heard.clear()

    def _excuse(self, device: Device, asked: Question, now_ns: int) -> Meaning | None:
        """Why this block is not asked for now; `None` if it is."""
        if device.excused and (excuse := device.excused.get(asked)):
            if excuse.until_ns > now_ns or not self._schedule.covers(device.limit_ns, now_ns):
                return excuse.meaning
            del device.excused[asked]
        if self._conversation.fenced(asked):  # a block before it was not answered
            return meaning(None)
        return None

    def _excuse_from_now(self, device: Device, asked: Question, what: Meaning, begun_ns: int) -> None:
        now_ns = self._line.now_ns()
        self._schedule.charge(now_ns, self._spent_ns(begun_ns, now_ns))
        device.excused[asked] = Excuse(what, now_ns + RETURN_NS // 2)
        self._asking.log_trouble(device, asked, what)

    def _spent_ns(self, begun_ns: int, now_ns: int) -> int:
        """What a failure took from the others: the silence that may have to follow is theirs too."""
        return now_ns - begun_ns + self._conversation.wait_ns(now_ns)
