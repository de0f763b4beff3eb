"""Between source and collector: what is judged, remembered and asked for again."""

import asyncio
import json
from copy import deepcopy
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.fields import Place
from agent.health import Health
from agent.intake import AGAIN_NS, PROGRESS_NS, Intake
from agent.interfaces import DeviceBase, LinkBase
from agent.memory import MemoryFile
from agent.points import Counter, PointBase
from agent.sample import Sample, Shape, ValueType

SECOND_NS = 1_000_000_000
SETTINGS = (
    PointBase(name="energy", type_=ValueType.INTEGER, counter=Counter()),
    PointBase(name="power", maximum=Fraction(100)),
)
POINTS = tuple(each.described(each.type_ or ValueType.NUMBER, Place()) for each in SETTINGS)
SHAPE = Shape("meter", POINTS)
LINK = LinkBase(id="line", driver="planned", devices=(DeviceBase(id="meter"), DeviceBase(id="plain")))


class Driver:
    """Its meter has rules, its other device has none."""

    def point_settings(self, device):
        return SETTINGS if device.id == "meter" else ()

    def points(self, device):
        return POINTS if device.id == "meter" else POINTS[1:]


class Line:
    """An intake, what came out of it, and what is remembered."""

    def __init__(self, memory=None):
        self.memory = memory or MemoryFile()
        self.put = []
        self.health = Health()
        self.now_ns = SECOND_NS
        self.full = False
        self.unstored = []
        self.begin()

    def begin(self):
        self.intake = Intake(
            LINK,
            Driver(),
            memory=self.memory.part("line"),
            health=self.health,
            put=self.take,
            stored=self.stored,
        )

    def stored(self):
        future = asyncio.get_running_loop().create_future()
        self.unstored.append(future)
        return future

    async def commit(self):
        """Everything that was put is stored."""
        for future in self.unstored:
            future.set_result(None)
        self.unstored.clear()
        await asyncio.sleep(0)

    async def take(self, sample):
        if self.full:
            await asyncio.Event().wait()
        self.put.append(sample)

    async def read(self, *totals, every_ns=SECOND_NS):
        """Whether a second reading was wanted, for each."""
        wanted = []
        for total in totals:
            self.now_ns += every_ns
            wanted.append(await self.intake.take(Sample(SHAPE, self.now_ns, (total, 5.0))))
        return wanted

    @property
    def events(self):
        return [sample.values[2] for sample in self.put if len(sample.values) > 2]

    @property
    def remembered(self):
        return self.memory.part("line").recall("counters meter")


async def test_a_device_without_rules_passes_untouched():
    """The sample itself is put, and shown."""
    line = Line()
    sample = Sample(Shape("plain", POINTS[1:]), 5, (1e9,))
    assert await line.intake.take(sample) is False
    assert line.put == [sample]
    assert line.put[0] is sample
    assert [cell.value for cell in line.health.latest("plain", POINTS[1:])] == [1e9]


async def test_an_event_is_put_once_shown_and_remembered_when_it_is_stored():
    """The sample that proves it has one point more; only when that is safe, it is remembered where the counter goes on from."""
    line = Line()
    assert await line.read(5000, 5001, 7, 7, 8) == [False, False, True, False, False]
    assert line.events == ["reset"]
    points = (*POINTS, *line.put[3].shape.points[2:])
    assert [cell.value for cell in line.health.latest("meter", points)] == [8, 5.0, "reset"]
    await line.read(8, every_ns=PROGRESS_NS)
    assert line.remembered["energy"]["value"] == "5000"
    line.memory._urgent.clear()
    await line.commit()
    assert line.remembered["energy"]["value"] == "8"
    assert line.memory._urgent.is_set()


async def test_progress_is_remembered_now_and_then():
    """Where it began at once; then not with each reading, never urgently; and at the end."""
    line = Line()
    await line.read(*range(100, 160))
    assert line.remembered["energy"]["value"] == "100"
    assert line.memory._urgent.is_set()
    line.memory._urgent.clear()
    await line.read(160, every_ns=PROGRESS_NS)
    assert line.remembered["energy"]["value"] == "159"
    assert not line.memory._urgent.is_set()
    await line.read(161, 162)
    line.intake.close()
    assert line.remembered["energy"]["value"] == "161"


async def test_a_second_reading_is_asked_for_at_most_once_a_minute():
    """A counter that glitches with every other reading does not double what its line has to carry."""
    line = Line()
    wanted = await line.read(*[500, 3] * 90)
    assert sum(wanted) == 180 * SECOND_NS // AGAIN_NS


@pytest.mark.parametrize("ending", ["stopped", "killed"])
async def test_a_restart_between_doubt_and_proof(ending):
    """What was doubted is doubted again, and the event comes once."""
    line = Line()
    await line.read(5000, 5001)
    await line.read(5002, every_ns=PROGRESS_NS)
    await line.read(7)
    if ending == "stopped":
        line.intake.close()
    line.begin()
    assert await line.read(7, 8, 9) == [True, False, False]
    assert line.events == ["reset"]


async def test_an_event_that_could_not_be_put_comes_after_the_restart():
    """Cancelled while it waits for a place: it is as if it had not been found out yet."""
    line = Line()
    await line.read(5000, 5001)
    await line.read(5002, every_ns=PROGRESS_NS)
    await line.read(7)
    line.full = True
    task = asyncio.create_task(line.read(8))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    line.intake.close()
    line.full = False
    line.begin()
    await line.read(9, 10)
    assert line.events == ["reset"]


async def test_a_reload_between_an_event_and_its_storing():
    """The next intake of the link goes on from where this one ended: the event is not found out again."""
    line = Line()
    await line.read(5000, 5001, 7, 7)
    line.memory._urgent.clear()
    line.intake.close()
    assert line.memory._urgent.is_set()
    line.begin()
    await line.read(8, 9)
    await line.read(10, every_ns=PROGRESS_NS)
    await line.commit()
    assert line.events == ["reset"]
    assert line.remembered["energy"]["value"] == "9"


async def test_it_survives_in_a_file(tmp_path):
    """Every digit, as text, in the file that outlives the process."""
    memory = MemoryFile(tmp_path / "learnt.json")
    line = Line(memory)
    await line.read(2**63 + 1)
    line.intake.close()
    await memory.write()
    written = json.loads((tmp_path / "learnt.json").read_text(encoding="utf-8"))
    assert written["line"]["counters meter"]["energy"]["value"] == "9223372036854775809"
    again = MemoryFile(tmp_path / "learnt.json")
    again.load()
    line = Line(again)
    await line.read(2**63, 2**63)
    assert line.events == ["swap"]


class Life(Line):
    """A meter that is read, a store and a memory that are written now and then, and a process that ends in every way."""

    def __init__(self):
        super().__init__()
        self.total = 10**9
        self.truth = []
        self.safe = []
        """The events that are on the disk."""
        self.disk = {}
        """The memory as it was last written."""
        self.doubled = 0

    async def count(self, by):
        self.total += by
        await self.read(self.total, self.total + 1, self.total + 1)
        self.total += 1

    async def reset(self, _):
        if self.total > 10**5:
            self.total //= 1000
            self.truth.append("reset")
        await self.count(1)

    async def glitch(self, value):
        await self.read(value)
        await self.count(1)

    async def store(self, _=None):
        self.safe += self.events
        self.put.clear()
        await self.commit()

    async def write(self, _=None):
        """The memory is written after what it knows of is stored: a second later, the commit at once."""
        await self.store()
        self.disk = deepcopy(self.memory.content)

    async def reload(self, _):
        self.intake.close()
        self.begin()
        await self.count(1)

    async def stop(self, _):
        self.intake.close()
        await self.write()
        await self.start()

    async def kill(self, stored):
        """What is in the process is gone; an event that is stored, and not remembered on the disk, comes again."""
        if stored:
            await self.store()
        del self.truth[len(self.safe) + 1 :]  # of two resets that were not stored, one is seen afterwards
        self.put.clear()
        self.unstored.clear()
        self.doubled = len(self.safe)
        await self.start()

    async def start(self):
        self.memory = MemoryFile()
        self.memory.content = deepcopy(self.disk)
        self.begin()
        await self.count(1)
        await self.write()
        if self.doubled and self.safe[self.doubled :] and len(self.safe) > len(self.truth):
            del self.safe[-1]  # the one that came twice
        self.doubled = 0


LIVES = st.lists(
    st.one_of(
        st.tuples(st.just(Life.count), st.integers(0, 20)),
        st.tuples(st.just(Life.glitch), st.sampled_from([0, 1])),
        *(
            st.tuples(st.just(what), st.none())
            for what in (Life.reset, Life.store, Life.write, Life.reload, Life.stop)
        ),
        st.tuples(st.just(Life.kill), st.booleans()),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=200)
@given(LIVES)
def test_no_event_is_lost_and_none_invented(story):
    """Stopped, killed, reloaded at any moment: what is stored are the events that there were, in order.

    One that was stored within the second before a kill comes once more, and no other does.
    """

    async def live():
        life = Life()
        await life.count(1)
        await life.write()
        for happen, how in story:
            await happen(life, how)
        await life.store()
        return life

    life = asyncio.run(live())
    assert life.safe == life.truth


async def test_the_log_says_what_happened():
    """One line for a counter that began anew, with what it showed before and after."""
    line = Line()
    with capture_logs() as logs:
        await line.read(5000, 5001, 7, 7)
    assert logs == [
        {
            "event": "counter.began_anew",
            "log_level": "info",
            "link": "line",
            "device": "meter",
            "point": "energy",
            "how": "reset",
            "before": "5001",
            "after": "7",
        }
    ]
