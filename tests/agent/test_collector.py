import asyncio

import pytest

from agent.collector import PULSE_S, QUEUE_READINGS, Collector
from agent.sample import Point, Sample, Shape
from tests.emulators.virtual_time import run

SHAPE = Shape("meter", tuple(Point(name=f"p{index}") for index in range(100)))


def sample(number):
    return Sample(SHAPE, number, (float(number),) * 100)


class Disk:
    """Keeps what it is given; a commit takes a while."""

    def __init__(self, commit_s=0.0):
        self.commits = []
        self.read = 0
        self.commit_s = commit_s

    async def store(self, samples, read):
        self.read += read
        kept = list(samples)
        await asyncio.sleep(self.commit_s)
        self.commits.append((asyncio.get_running_loop().time(), kept))

    @property
    def stored(self):
        return [sample.monotonic_ns for _, kept in self.commits for sample in kept]


async def collected(disk, work, interval_s=1.0):
    collector = Collector(disk, interval_s, lambda: None)
    running = asyncio.create_task(collector.run())
    await work(collector)
    collector.close()
    await running


def test_samples_of_one_interval_are_one_commit():
    """Flash wears by commits: what comes within a second is written together."""
    disk = Disk()

    async def work(collector):
        for number in range(30):
            await collector.put(sample(number))
            await asyncio.sleep(0.1)

    run(collected(disk, work))
    with_samples = [kept for _, kept in disk.commits if kept]
    assert 3 <= len(with_samples) <= 4
    assert disk.stored == list(range(30))
    assert disk.read == 3000


def test_an_interval_of_zero_commits_as_soon_as_the_last_commit_is_done():
    """Nothing waits longer than one commit takes."""
    disk = Disk(commit_s=0.01)

    async def work(collector):
        for number in range(10):
            await collector.put(sample(number))
            await asyncio.sleep(0.1)

    run(collected(disk, work, interval_s=0.0))
    assert [len(kept) for _, kept in disk.commits if kept] == [1] * 10


def test_the_queue_is_bounded_and_loses_nothing():
    """While the disk is slow the sources wait; everything that they gave arrives, in order."""
    disk = Disk(commit_s=5.0)
    fullest = 0

    async def work(collector):
        nonlocal fullest
        for number in range(2000):
            await collector.put(sample(number))
            fullest = max(fullest, collector._queued_readings)

    run(collected(disk, work))
    assert fullest <= QUEUE_READINGS
    assert disk.stored == list(range(2000))


def test_a_burst_does_not_wait_for_the_interval():
    """A quarter of the queue is enough for a commit."""
    disk = Disk()

    async def work(collector):
        for number in range(QUEUE_READINGS // 400 + 1):
            await collector.put(sample(number))
        await asyncio.sleep(0.001)
        assert disk.stored

    run(collected(disk, work, interval_s=10.0))


def test_acknowledgements_are_written_though_nothing_is_read():
    """With no samples the buffer still gets its pulse."""
    disk = Disk()
    run(collected(disk, lambda _collector: asyncio.sleep(10 * PULSE_S)))
    assert len(disk.commits) >= 10


@pytest.mark.parametrize("after_s", [0.0, 0.5, 1.0, 1.2])
def test_closing_commits_what_is_in_the_queue_whatever_was_going_on(after_s):
    """Idle, waiting for the interval, or in the middle of a commit: nothing that `put` took is left out."""
    disk = Disk(commit_s=0.5)

    async def work(collector):
        await collector.put(sample(1))
        await asyncio.sleep(after_s)
        await collector.put(sample(2))

    run(collected(disk, work))
    assert disk.stored == [1, 2]


def test_whoever_wants_to_know_is_told_when_what_was_put_is_stored():
    """Not when a commit ends that had begun before."""
    disk = Disk(commit_s=0.5)

    async def work(collector):
        await collector.put(sample(1))
        await asyncio.sleep(1.2)  # the commit of it is under way
        await collector.put(sample(2))
        await collector.stored()
        assert disk.stored == [1, 2]

    run(collected(disk, work))
