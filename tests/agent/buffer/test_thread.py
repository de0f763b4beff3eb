"""The one thread does what it is told, in order, and tells whoever waits."""

from __future__ import annotations

import asyncio
import threading

import pytest

from agent.buffer.thread import Thread


@pytest.fixture
def thread():
    thread = Thread("test")
    thread.start()
    yield thread
    thread.stop()


async def test_calls_are_made_in_order_and_give_what_they_return(thread):
    """Results and exceptions reach the caller; one failed call does not stop the next."""
    made = []

    def call(number: int) -> int:
        made.append(number)
        return 10 // number

    results = await asyncio.gather(
        *[thread.call(call, number) for number in (5, 0, 2)], return_exceptions=True
    )
    assert made == [5, 0, 2]
    assert results[0] == 2
    assert isinstance(results[1], ZeroDivisionError)
    assert results[2] == 5


async def test_a_cancelled_wait_leaves_the_call_and_the_thread_alone(thread):
    """Whoever stops waiting does not undo the call, and the next caller is served."""
    begun, go_on, done = threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        go_on.wait(10)
        done.append(True)

    future = thread.call(slow)
    await asyncio.to_thread(begun.wait, 10)
    future.cancel()
    go_on.set()
    assert await thread.call(lambda: done) == [True]


async def test_after_stop_nothing_more_is_taken():
    """A call after the end is refused at once: its answer would never come."""
    thread = Thread("test")
    thread.start()
    last = thread.call(lambda: "last")
    thread.stop()
    assert await last == "last"
    with pytest.raises(RuntimeError):
        thread.call(print)


def test_what_was_given_is_done_although_the_loop_is_gone():
    """A disk that hung past the end of the process' loop: the file is closed all the same when it lets go."""
    thread, go_on, closed = Thread("test"), threading.Event(), threading.Event()

    async def give_up() -> None:
        thread.start()
        thread.call(go_on.wait, 60)
        thread.call(closed.set)
        thread.stop()

    asyncio.run(give_up())
    go_on.set()
    assert closed.wait(60)
