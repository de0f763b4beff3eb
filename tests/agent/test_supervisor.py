import asyncio
import itertools

import pytest
from structlog.testing import capture_logs

from agent.interfaces import Misconfigured, Unavailable
from agent.supervisor import Condition, Kept, State
from tests.emulators.virtual_time import VirtualClock, run


async def keep(failures, for_s, **options):
    """Keep something that fails with each of these in turn, then works; what came of it after so many seconds."""
    condition, tries = Condition(), []
    remaining = iter(failures)

    async def attempt(works):
        tries.append(asyncio.get_running_loop().time())
        failure = next(remaining, None)
        if failure is None:
            works()
            await asyncio.Event().wait()
        if isinstance(failure, tuple):  # works for so many seconds, then fails
            works()
            await asyncio.sleep(failure[0])
            raise failure[1]
        raise failure

    with capture_logs() as logs:
        task = asyncio.create_task(Kept("link", "plant", condition, VirtualClock()).go(attempt, **options))
        await asyncio.wait([task], timeout=for_s)
        ended = task.done()
        if ended:
            await task
        task.cancel()
    return condition, tries, logs, ended


def events(logs):
    return [(entry["log_level"], entry["event"]) for entry in logs]


def test_what_is_unavailable_is_said_once_and_its_recovery_too():
    """The first failure is a warning, repeats are quiet, and the recovery is said."""
    gone = Unavailable("plant: 192.0.2.1:502: connection refused")
    condition, tries, logs, _ = run(keep([gone] * 3, 60))
    assert condition.state is State.WORKING
    assert condition.words == ""
    assert len(tries) == 4
    assert events(logs) == [
        ("warning", "link.unavailable"),
        ("debug", "link.unavailable"),
        ("debug", "link.unavailable"),
        ("info", "link.recovered"),
    ]


@pytest.mark.parametrize("error", [Unavailable, Misconfigured])
def test_the_log_says_once_whose_words_they_are(error):
    """Who it is stands in a field of its own; whoever asks for the condition gets the words as they came."""
    condition, _, logs, _ = run(keep([error("link plant: refused")], 0.01))
    assert (logs[0]["link"], logs[0]["error"]) == ("plant", "refused")
    assert condition.words in {"link plant: refused", ""}


def test_another_reason_is_news():
    """When the words change, they are said again: the operator may have mended the first cause."""
    _, _, logs, _ = run(keep([Unavailable("refused"), Unavailable("refused"), Unavailable("no route")], 60))
    assert [entry["error"] for entry in logs if entry["log_level"] == "warning"] == ["refused", "no route"]


def test_what_a_person_must_mend_is_not_tried_again():
    """A misconfigured thing stops, with an error that says what to do, and no traceback."""
    condition, tries, logs, ended = run(keep([Misconfigured("plant: no such port")], 3600))
    assert ended
    assert len(tries) == 1
    assert condition.state is State.MISCONFIGURED
    assert condition.words == "plant: no such port"
    assert events(logs) == [("error", "link.misconfigured")]


def test_a_bug_has_a_traceback_and_is_retried_ever_more_rarely():
    """A hundred failures of an unknown kind are few in a day; each shows where it came from."""
    condition, tries, logs, _ = run(keep([ZeroDivisionError("x")] * 100, 86_400))
    assert condition.state is State.FAULTY
    assert len(tries) < 80
    assert all(entry["exc_info"] for entry in logs)


def test_something_that_works_for_a_second_each_time_is_still_the_same_failure():
    """Flapping does not reset the back-off; a minute of work does."""
    flapping = [(1, Unavailable("lost"))] * 2000
    _, tries, _, _ = run(keep(flapping, 3600))
    assert len(tries) < 300
    steady = [(61, Unavailable("lost"))] * 50
    _, tries, _, _ = run(keep(steady, 3600))
    assert all(62 <= after - before + 1 <= 64 for before, after in itertools.pairwise(tries))


@pytest.mark.parametrize("failure", [Unavailable("lost"), ExceptionGroup("devices", [Unavailable("lost")])])
def test_a_loss_of_the_whole_link_is_passed_to_whoever_asked_for_it(failure):
    """A device's supervisor hands the loss of the link upwards, also out of a task group."""
    with pytest.raises(Unavailable, match="lost"):
        run(keep([failure], 60, passes=Unavailable))


def test_a_bug_does_not_hide_behind_a_lost_connection():
    """Of a group of failures the one that nobody foresaw counts."""
    both = ExceptionGroup("tasks", [Unavailable("lost"), ExceptionGroup("inner", [KeyError("bug")])])
    condition, _, _, _ = run(keep([both], 1))
    assert condition.state is State.FAULTY


def test_cancellation_is_let_through():
    """Stopping the agent is no failure."""

    async def cancelled():
        condition = Condition()
        task = asyncio.create_task(
            Kept("link", "plant", condition, VirtualClock()).go(lambda _works: asyncio.sleep(3600))
        )
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return condition

    assert run(cancelled()).state is State.STARTING
