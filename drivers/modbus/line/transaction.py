"""One question at a time on a line, and only its own answer.

Sans-I/O: this module is told which bytes came and what time it is; it opens nothing, waits for nothing and logs
nothing. It knows how a question is framed and which answer fits it, and refuses to know what is asked, when, and why.

    ask ──> outstanding ──the answer──> free
                │
                ├──a time-out or a cancellation──> fenced ──quiet──> free
                └──an answer that does not fit───> fenced, and the stream is broken where it cannot be taken up again

**The fence.** An answer that comes too late must never pass for the answer to a later question. Where the peer echoes
transaction ids that is certain: the id is given up and the line goes on at once. Where it does not (a serial line, a
gateway that answers with id 0), and for as long as it is not known, every question that went unanswered is followed
by silence for as long as the slowest device takes; whatever comes meanwhile is thrown away. An answer later than that
still shows: until the unit has caught up, each question to it has an answer of a length that none of its missing ones
has, and an exception proves nothing. (What nobody can tell on such a line is a second copy of an answer from the
answer to an equal question that follows.)

A line without ids is also one that others can be heard on: our own echo (`echo`), another master (`overhearing`). What
another master asks for is fenced like a question of ours that went unanswered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from drivers.modbus.line.echo import Echo
from drivers.modbus.line.framing import EXCEPTION, Frame, Framing, Malformed, Question, refuses, wanted
from drivers.modbus.line.missing import Missing
from drivers.modbus.line.overhearing import Heard, Overhearing

IDS: Final = 0xFFFF
"""Transaction ids run from 1 to 65535: 0 is what a peer answers with that does not echo them."""
RECENT: Final = 256
"""An answer to one of this many questions before the current one is late or a repeat; to any other it is foreign."""
STRAYS: Final = 16
"""More answers than this that nobody waits for, between two questions, and the stream is nonsense."""
BURST_NS: Final = 50_000_000
"""Bytes that nobody asked for, with such a gap between them, do not belong together."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The device answers with an exception (Modbus Application Protocol V1.1b3, 7)."""

    code: int


@dataclass(frozen=True, slots=True)
class Unfit:
    """What came cannot be the answer."""

    kind: str
    """`foreign`: to another question. `malformed`: no well-formed answer to this one. `lost`: the connection ended."""
    words: str


Answer: TypeAlias = bytes | Refusal | Unfit
"""`bytes`: the data of the answer, exactly as long as asked for."""


class Conversation:
    """What may be said on one line, and what what is heard means. Times are nanoseconds of one monotonic clock.

    It outlives the connections that the line has one after the other: what is known of the peer, and the fence.
    """

    def __init__(
        self,
        framing: Framing,
        *,
        quiet_ns: int,
        pause_ns: int = 0,
        pauses_ns: Mapping[int, int] | None = None,
    ) -> None:
        """`quiet_ns` is no less than the slowest device takes to answer; `pause_ns` follows every answer.

        `pauses_ns`, by unit, follows an answer of that unit before it is asked again.
        """
        self._framing = framing
        self._quiet_ns = quiet_ns
        self._pause_ns = pause_ns
        self._pauses_ns = pauses_ns or {}
        self._buffer = memoryview(bytearray(framing.longest))
        self._filled = 0
        self._question: Question | None = None
        self._identity = 0
        self._strays = 0
        self._missing = Missing(quiet_ns)
        self._free_ns = 0
        self._unit_free_ns: dict[int, int] = {}
        """By unit that needs a pause."""
        self._given_up: dict[int, int] = {}
        """By transaction id: the units whose answers were given up."""
        self._stirred_ns = 0
        self._stirring_ns: int | None = None
        """When something came last that nobody had asked for; since when it does, without a silence or a question."""
        self.echo = Echo(possible=not framing.identified)
        self.overhearing = Overhearing(self._missing, quiet_ns)
        self.heard: list[int] = []
        """Units that were given up and have answered since, too late. Emptied by whoever takes note of it."""
        self.echoes: bool | None = None if framing.identified else False
        """Whether the peer echoes ids; `None` until its first answer. Once it was seen not to, that stands."""
        self.broken = ""
        """Why the connection must be dropped before anything else is asked; empty while it is sound."""
        self.counts: dict[str, int] = dict.fromkeys(
            ("requests", "answers", "exceptions", "foreign", "malformed", "late", "overheard", "noise"), 0
        )

    @property
    def unfinished(self) -> bool:
        """Whether what came last is no whole frame."""
        return self._filled > 0

    def opened(self, rest_ns: int = 0) -> None:
        """A new connection is there: nothing of the old one can come on it. Nothing is asked until `rest_ns`."""
        self._free_ns = max(self._free_ns, rest_ns)
        self._filled = 0
        self._strays = 0
        self._question = None
        self._given_up.clear()
        self.broken = ""

    @property
    def rest(self) -> int:
        """How many bytes have come that are no answer, or not yet."""
        return self._filled

    @property
    def pauses(self) -> bool:
        """Whether a unit has ever to be left alone after an answer."""
        return bool(self._pauses_ns)

    def pause_ns(self, unit: int, now_ns: int) -> int:
        """How long this unit may not be asked yet, though the line is free."""
        return max(self._unit_free_ns.get(unit, 0) - now_ns, 0)

    def wait_ns(self, now_ns: int) -> int:
        """How long nothing may be asked yet. When that is over, what is left of old answers is thrown away.

        May find that the connection is broken: half an answer is left, and its other half would pass for a header.
        """
        if now_ns < self._free_ns:
            return self._free_ns - now_ns
        if self._filled:
            if self._framing.identified:
                self._break("malformed", "half an answer is left in the stream")
                self._filled = 0
            else:
                self._drain()
        return 0

    def suspects(self, unit: int, now_ns: int) -> bool:
        """Whether an answer of this unit may still be under way; its next answer is to prove the unit, not to be used."""
        return self._missing.suspects(unit, now_ns)

    def fenced(self, asked: Question) -> bool:
        """Whether an answer that is still under way would pass for the answer to this question."""
        return asked.size in self._missing.of(asked.unit)

    def ask(self, asked: Question, now_ns: int) -> bytes:
        """Ask, and get the bytes to send. Not before `wait_ns` is over, not while fenced, one at a time."""
        if self._question or self.broken or self._filled or now_ns < self._free_ns or self.fenced(asked):
            raise RuntimeError(f"unit {asked.unit} may not be asked now")  # a bug of the caller
        self._question = asked
        self._identity = self._identity % IDS + 1
        self._strays = 0
        self._stirring_ns = None
        self.counts["requests"] += 1
        request = self._framing.stamp(asked.frame, self._identity)
        self.echo.sent(request, asked)
        return request

    def space(self) -> memoryview:
        """Where bytes that come are to be put: never empty, never more than the rest of one frame."""
        return self._buffer[self._filled :]

    def received(self, count: int, now_ns: int) -> Answer | None:
        """Take in `count` bytes put into `space`; the outcome of the outstanding question, or `None` as yet."""
        if self._question is None and not self._framing.identified:
            self._unasked(count, now_ns)
            return None
        self._filled += count
        if self.echo.due:
            echo = self.echo.length(self._buffer[: self._filled])
            if echo is None:
                return None
            self._keep_from(echo)
        start, answer = 0, None
        try:
            while start < self._filled and not self.broken and (self._question or self._framing.identified):
                frame = self._framing.take(self._buffer[start : self._filled], self._question)
                if frame is None:
                    break
                start += frame.length
                answer = self._judge(frame, now_ns, start) or answer
        except Malformed as error:
            answer = self._end("malformed", str(error), now_ns) or answer
            if self._framing.identified:
                start = self._filled
        self._keep_from(start)
        if self._filled and self._question is None and not self._framing.identified:
            self._unasked(0, now_ns)
        return answer

    def abandon(self, now_ns: int) -> Unfit | None:
        """Give up the outstanding question: it took too long, it was cancelled, or the connection is lost.

        What came on a line without ids and made no answer is one of the kind `malformed`.
        """
        if self._question is not None:
            if self._filled and not self._framing.identified:
                octets = bytes(self._buffer[: self._filled])
                words = f"{len(octets)} bytes that make no answer: {octets[:16].hex(' ')}"
                unfit = self._end("malformed", words, now_ns)
                self._unasked(0, now_ns)
                return unfit
            self._fence(self._question, now_ns)
            if self.echoes:
                self._given_up[self._identity] = self._question.unit
                if len(self._given_up) > STRAYS:
                    del self._given_up[next(iter(self._given_up))]
            self._question = None
            if self._filled:
                self._break("malformed", "half an answer came")
        return None

    # --- what nobody asked for, on a line that is taken up again -----------------------------------------------

    def _unasked(self, count: int, now_ns: int) -> None:
        """Take in what came while nothing was outstanding; it may be the rest of what made no answer."""
        before = self._filled
        self._filled += count
        if before and count and now_ns - self._stirred_ns > BURST_NS:
            self.counts["noise"] += 1
            self._keep_from(before)
        self._stir(now_ns)
        start = 0
        if self.echo.due and self.echo.heard is not False:  # of a question that was given up
            start = self.echo.length(self._buffer[: self._filled]) or 0
        try:
            while frame := self._framing.take(self._buffer[start : self._filled], None):
                start += frame.length
                self._overhear(frame, now_ns)
        except Malformed:
            self.counts["noise"] += 1
            start = self._filled
        self._keep_from(start)
        if self._filled == len(self._buffer):
            self._drain()

    def _stir(self, now_ns: int) -> None:
        """Let what comes unasked be over first, but for no longer than an answer takes: a line that hums never is."""
        if self._stirring_ns is None or now_ns - self._stirred_ns > self._pause_ns:
            self._stirring_ns = now_ns
        self._stirred_ns = now_ns
        over_ns = min(now_ns, self._stirring_ns + self._quiet_ns) + self._pause_ns
        self._free_ns = max(self._free_ns, over_ns)

    def _drain(self) -> None:
        """Throw away what makes no frame."""
        self.counts["noise"] += bool(self._filled)
        self._filled = 0

    def _overhear(self, frame: Frame, now_ns: int) -> Heard:
        """Take note of a frame that answers no question of ours; another master's is let have its answer."""
        heard = self.overhearing.judge(frame, now_ns)
        if heard is not Heard.REPLY:
            self.counts["late" if heard is Heard.LATE else "overheard"] += 1
        if heard is Heard.REQUEST:
            self._free_ns = self.overhearing.yields_ns(now_ns, self._free_ns)
        return heard

    def _beside(self, frame: Frame, asked: Question, now_ns: int) -> Answer | None:
        """Say what a frame is that does not answer, while an answer is waited for: it is passed over where it may be."""
        heard = self._overhear(frame, now_ns)
        if heard is Heard.REQUEST and self.overhearing.due == (asked.unit, asked.size):
            return self._unfit(frame, "foreign", "another master asks for as much of the same unit", now_ns)
        if heard is Heard.OVERHEARD and not self.overhearing.other_master:
            return self._match(asked, frame, now_ns)
        return None

    # --- which answer fits -------------------------------------------------------------------------------------

    def _judge(self, frame: Frame, now_ns: int, end: int) -> Answer | None:
        """Say what a frame is, behind whose `end` more may have come."""
        asked = self._question
        if self._framing.identified and (frame.identity or self.echoes):
            if asked is None or frame.identity != self._identity:
                return self._stray(frame, now_ns)
            if self.echoes is None:
                self.echoes = True
                self._missing.clear()  # what is still under way has an id of its own
        else:
            self.echoes = False
            shared = not self._framing.identified
            if asked is None or (not shared and frame.unit != asked.unit and self._missing.of(frame.unit)):
                return self._late(now_ns)
            if shared and not _answers(frame, asked):
                return self._beside(frame, asked, now_ns)
            # If there is a second one: which of the two is late? Nobody can tell.
            rest = self._buffer[end : self._filled]
            if rest and self._framing.begins(rest, asked):
                return self._unfit(frame, "foreign", "more than one answer to one question", now_ns)
        return self._match(asked, frame, now_ns)

    def _match(self, asked: Question, frame: Frame, now_ns: int) -> Answer | None:
        """Compare an answer with its question."""
        pdu = frame.pdu
        function = pdu[0]
        if frame.unit != asked.unit:
            return self._unfit(frame, "foreign", f"unit {frame.unit} answers for unit {asked.unit}", now_ns)
        if function == asked.function | EXCEPTION and refuses(pdu):
            self.counts["exceptions"] += 1
            self._answered(frame, now_ns)
            if self._missing.of(asked.unit):  # to which of the questions? All exceptions have one length
                self._missing.add(asked.unit, asked.size, now_ns)
            return Refusal(pdu[1])
        if function != asked.function:
            return self._unfit(
                frame, "foreign", f"function {function} answers function {asked.function}", now_ns
            )
        if asked.expected:
            if pdu != asked.expected:
                return self._unfit(frame, "foreign", "it confirms another write", now_ns)
        elif pdu[1] != asked.size or len(pdu) != asked.size + 2:
            words = f"{len(pdu) - 2} bytes of data, byte count {pdu[1]}, expected {asked.size}"
            return self._unfit(frame, "malformed", words, now_ns)
        self.counts["answers"] += 1
        self._answered(frame, now_ns)
        self._missing.caught_up(asked.unit)
        return pdu[2:]

    def _answered(self, frame: Frame, now_ns: int) -> None:
        self._question = None
        self._free_ns = now_ns + self._pause_ns
        if frame.unit in self._pauses_ns:
            self._unit_free_ns[frame.unit] = now_ns + self._pauses_ns[frame.unit]
        if not self._framing.identified:
            self.echo.answered()
            self.overhearing.answered(frame)

    def _stray(self, frame: Frame, now_ns: int) -> Answer | None:
        """An identified answer to something else than the outstanding question."""
        if not frame.identity:
            self.echoes = False
            return self._unfit(frame, "foreign", "no transaction id any more", now_ns)
        if (self._identity - frame.identity) % IDS < RECENT:
            given_up = self._given_up.pop(frame.identity, None)
            if given_up == frame.unit and not frame.pdu[0] & EXCEPTION:
                self.heard.append(frame.unit)
            return self._late(now_ns)
        return self._unfit(
            frame, "foreign", f"transaction id {frame.identity}, the last asked is {self._identity}", now_ns
        )

    def _late(self, now_ns: int) -> Answer | None:
        self.counts["late"] += 1
        self._strays += 1
        if self._strays > STRAYS:
            return self._end("malformed", "one answer after the other that nobody waits for", now_ns)
        return None

    # --- what follows when none does ---------------------------------------------------------------------------

    def _unfit(self, frame: Frame, kind: str, words: str, now_ns: int) -> Unfit | None:
        return self._end(kind, f"{words} (unit {frame.unit}, PDU {frame.pdu[:8].hex(' ')})", now_ns)

    def _end(self, kind: str, words: str, now_ns: int) -> Unfit | None:
        asked, self._question = self._question, None
        self._break(kind, words)
        if asked is None:
            return None
        self._fence(asked, now_ns)
        return Unfit(kind, words)

    def _break(self, kind: str, words: str) -> None:
        self.counts[kind] += 1
        if self._framing.identified:
            self.broken = words

    def _fence(self, asked: Question, now_ns: int) -> None:
        if not self.echoes:
            self._missing.add(asked.unit, asked.size, now_ns)
            self.overhearing.unanswered(asked.unit, asked.size)
            self._free_ns = now_ns + self._quiet_ns

    def _keep_from(self, start: int) -> None:
        """Move what is left of the stream to the front; of a stream that is broken nothing is left."""
        rest = 0 if self.broken else self._filled - start
        if start and rest:
            self._buffer[:rest] = self._buffer[start : self._filled]
        self._filled = rest


def _answers(frame: Frame, asked: Question) -> bool:
    """Whether a frame, if it fits, is the answer, and not the request of another master to the same unit."""
    if frame.unit != asked.unit:
        return False
    whole = len(frame.pdu) == asked.size + 2 and frame.pdu[:2] == bytes([asked.function, asked.size])
    return whole or wanted(frame.pdu) is None
