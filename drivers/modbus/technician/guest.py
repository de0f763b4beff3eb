"""Who looks around on a line beside its schedule: one inquiry, put as a question, and its outcome in words."""

from __future__ import annotations

from drivers.modbus.line.framing import Framing, question
from drivers.modbus.line.line import Line
from drivers.modbus.line.transaction import Conversation, Refusal, Unfit
from drivers.modbus.polling.exceptions import meaning
from drivers.modbus.technician.inquiry import Request, Response

__all__ = ["Request", "Response", "ask"]


async def ask(
    request: Request, line: Line, conversation: Conversation, framing: Framing, limit_ns: int
) -> Response:
    """Ask, and wait for what comes of it. Raises `Unavailable` when the line is lost."""
    asked = question(
        framing,
        unit=request.unit_id,
        function=request.table.function,
        address=request.address,
        count=request.count,
    )
    conversation.suspects(request.unit_id, line.now_ns())  # forgets what is too old to come
    if conversation.fenced(asked):
        return Response(
            reason="fenced",
            words="the answer to an earlier question of this length may still come: ask for another count",
        )
    answer = await line.ask(asked, limit_ns / 1e9)
    took_ms, late = round(line.took_ns / 1e6, 3), conversation.counts["late"]
    if isinstance(answer, bytes):
        return Response(data=answer, took_ms=took_ms, late=late)
    if answer is None and (rest := conversation.rest):
        answer = Unfit("malformed", f"{rest} bytes came that are no answer")
    what = meaning(answer)
    words = what.words or what.name.replace("_", " ")
    if not isinstance(answer, Refusal):
        return Response(reason=what.name, words=words, took_ms=took_ms, late=late)
    if conversation.suspects(request.unit_id, line.now_ns()):
        words += ", to this question or to an earlier one"
    return Response(exception=answer.code, reason=what.name, words=words, took_ms=took_ms, late=late)
