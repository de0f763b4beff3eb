"""The gatherer round a driver that fails as it is told."""

import asyncio
import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from agent.gatherer import OUT_REPEAT_S, REPEAT_NS, Gatherer
from agent.health import Health
from agent.interfaces import DeviceBase, LinkBase, Misconfigured, Unavailable
from agent.memory import MemoryFile
from agent.points import Counter, PointBase
from agent.sample import Point, Reason, Sample, Shape
from agent.service import Progress
from agent.supervisor import State
from tests.emulators.virtual_time import VirtualClock, run

POINTS = (Point(name="power"),)


class Device(DeviceBase, frozen=True):
    interval: timedelta = timedelta(seconds=1)


class Always(dict):
    """Plans that stand, however often they were carried out."""

    def pop(self, key, default=None):
        return self.get(key, default)


@dataclass
class Driver:
    """Opens a link whose devices give a sample a second, until one of them raises what is planned for it."""

    opening: list = field(default_factory=list)
    """What each attempt to open raises; nothing when the list is used up."""
    plans: dict = field(default_factory=dict)
    """By device: how many samples it gives, and what it raises then; the next time it goes on for ever."""
    hangs: bool = False
    values: dict = field(default_factory=dict)
    """By device: what it reads, one after the other; a rising number then."""
    opened: int = 0
    sources: list = field(default_factory=list)
    asked: list = field(default_factory=list)

    def points(self, _device):
        return POINTS

    def point_settings(self, device):
        return (PointBase(name="power", counter=Counter()),) if device.id in self.values else ()

    def allowance(self, _link):
        return timedelta(minutes=5)

    @asynccontextmanager
    async def open(self, _settings, _context):
        self.opened += 1
        if self.opening and (error := self.opening.pop(0)):
            raise error
        yield self

    counts = {"requests": 1}  # noqa: RUF012  # as the seam has it
    figures = {"utilisation": 0.5}  # noqa: RUF012
    devices = {"a": {"state": "silent"}}  # noqa: RUF012

    def refresh(self, device):
        self.asked.append(device)

    async def source(self, device):
        if self.hangs:
            await asyncio.Event().wait()
        self.sources.append(device)
        shape = Shape(device, POINTS)
        given = 0
        values = self.values.get(device, [])
        samples, error = self.plans.pop(device, (float("inf"), None))
        while given < samples:
            yield Sample(shape, VirtualClock().monotonic_ns(), (values.pop(0) if values else float(given),))
            given += 1
            await asyncio.sleep(1)
        raise error


def gather(driver, for_s, ids=("a", "b"), *, then=None, during=None, out=(), after_s=0):
    """Gather from the driver for so long, with some devices out of service; what was put, and the health."""

    async def gathering():
        put = []
        memory = MemoryFile()

        async def take(sample):
            if during is not None:
                during(gatherer, sample)
            put.append((asyncio.get_running_loop().time(), sample))

        health = Health()
        progress = Progress(asyncio.get_running_loop().time)
        settings = LinkBase(
            id="line",
            driver="planned",
            devices=tuple(
                Device(id=name, out_of_service="being painted" if name in out else None) for name in ids
            ),
        )
        gatherer = Gatherer(
            settings,
            driver,
            clock=VirtualClock(),
            memory=memory.part("test"),
            health=health,
            put=take,
            stored=asyncio.get_running_loop().create_future,
            progress=progress,
        )
        task = asyncio.create_task(gatherer.run())
        await asyncio.sleep(for_s)
        found = then(gatherer) if then else None
        await asyncio.sleep(after_s)
        overdue = progress.overdue()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return SimpleNamespace(put=put, health=health, overdue=overdue, found=found, learnt=memory.content)

    return run(gathering())


def of(result, device):
    return [sample for _, sample in result.put if sample.shape.device == device]


def test_every_sample_of_every_device_is_put_in_order():
    """What a source gives goes to the collector, and the last of each device is known."""
    result = gather(Driver(), 10)
    for device in ("a", "b"):
        values = [sample.values[0] for sample in of(result, device)]
        assert values == [float(number) for number in range(len(values))]
        assert len(values) >= 10
        assert [cell.value for cell in result.health.latest(device, POINTS)] == [values[-1]]
    assert result.health.links["line"].state is State.WORKING


def test_a_link_that_cannot_be_opened_makes_its_devices_bad_at_once_and_then_each_minute():
    """Consumers are told: not connected; often enough for a chart, and not once an attempt."""
    result = gather(Driver(opening=[Unavailable("refused")] * 1000), 300)
    moments = [moment for moment, sample in result.put if sample.shape.device == "a"]
    assert moments[0] == 0.0
    assert 4 <= len(moments) <= 6
    assert all(after - before >= REPEAT_NS / 1e9 for before, after in itertools.pairwise(moments))
    assert {sample.reasons[0] for sample in of(result, "b")} == {Reason.NOT_CONNECTED}
    assert result.overdue == {}  # attempts that end are progress


def test_what_nobody_can_vouch_for_is_said_once():
    """However often the link is opened: a log that repeats it is not read."""

    class Doubted(Driver):
        def doubt(self, device):
            return "the word order" if device.id == "b" else ""

    with capture_logs() as logs:
        gather(Doubted(opening=[Unavailable("refused")] * 3), 300)
    [said] = [entry for entry in logs if entry["event"] == "device.profile_unverified"]
    assert (said["link"], said["device"], said["doubt"]) == ("line", "b", "the word order")


def test_a_lost_link_is_opened_again_and_every_device_goes_on():
    """One source that reports the loss of the link ends the others too; then all begin anew."""
    driver = Driver(plans={"a": (3, Unavailable("line: lost"))})
    result = gather(driver, 20)
    assert driver.opened == 2
    for device in ("a", "b"):
        reasons = [sample.reasons for sample in of(result, device)]
        assert reasons.count(bytes([Reason.NOT_CONNECTED])) == 1
        assert reasons.count(b"") >= 15


def test_a_device_that_a_person_must_mend_stops_alone():
    """The others go on, the link stays open, and its consumers get one bad sample that says why."""
    driver = Driver(plans={"a": (2, Misconfigured("device a: no such function"))})
    result = gather(driver, 20)
    assert driver.opened == 1
    assert [sample.reasons for sample in of(result, "a")] == [b"", b"", bytes([Reason.CONFIGURATION_ERROR])]
    assert len(of(result, "b")) >= 20
    assert result.health.devices["a"].state is State.MISCONFIGURED


@pytest.mark.parametrize("where", ["opening", "source"])
def test_a_bug_starves_no_watchdog_and_is_told(where):
    """The only device of a link, or the link, fails again and again: that is no reason to restart everybody else.

    Its consumers hear of it: an internal error, at most once a minute.
    """
    if where == "opening":
        driver = Driver(opening=[ZeroDivisionError("bug")] * 10_000)
    else:
        driver = Driver(plans=Always(a=(0, ZeroDivisionError("bug"))))
    result = gather(driver, 3 * 3600, ids=("a",))
    assert result.overdue == {}
    assert {sample.reasons[0] for sample in of(result, "a")} == {Reason.INTERNAL_ERROR}
    assert 5 < len(of(result, "a")) <= 180


def test_a_source_that_gives_nothing_starves_the_watchdog():
    """A task that hangs, though its driver has promised something, is found."""
    assert list(gather(Driver(hangs=True), 299).overdue) == []
    assert list(gather(Driver(hangs=True), 301).overdue) == ["link line"]


def test_a_bug_in_one_device_is_its_own():
    """It is tried again later; the link and the other devices never notice."""
    driver = Driver(plans={"a": (2, ZeroDivisionError("bug"))})
    result = gather(driver, 60)
    assert driver.opened == 1
    assert len(of(result, "b")) >= 60
    assert 40 <= len(of(result, "a")) <= 60


def test_a_link_that_a_person_must_mend_ends_with_a_reason():
    """Misconfigured is not tried again, the points say so, and the watchdog does not wait for it."""
    driver = Driver(opening=[Misconfigured("line: no such port")])
    result = gather(driver, 3600)
    assert driver.opened == 1
    assert [sample.reasons[0] for sample in of(result, "a")] == [Reason.CONFIGURATION_ERROR]
    assert result.overdue == {}


def test_refresh_asks_the_open_link_and_says_when_there_is_none():
    """`read` goes to the driver; with the link closed it says so instead of waiting."""
    driver = Driver()
    gather(driver, 5, then=lambda gatherer: gatherer.refresh("b"))
    assert driver.asked == ["b"]

    def refresh(gatherer):
        with pytest.raises(Unavailable, match="line is not open: refused"):
            gatherer.refresh("b")
        return gatherer.counts, gatherer.answering("a")

    result = gather(Driver(opening=[Unavailable("refused")] * 100), 5, then=refresh)
    assert result.found == ({}, {})


def test_what_the_driver_counts_is_shown_while_the_link_is_open():
    """Counts and how each device answers are the driver's, as they are."""
    result = gather(
        Driver(), 5, then=lambda gatherer: (gatherer.counts, gatherer.answering("a"), gatherer.answering("b"))
    )
    assert result.found == ({"requests": 1}, {"state": "silent"}, {})


def test_totals_count_on_over_every_opening():
    """What happened on earlier links is kept; figures are those of the open one, and none while there is none."""

    def look(gatherer):
        return gatherer.totals, gatherer.figures

    lost = Driver(plans={"a": (3, Unavailable("line: lost"))})
    assert gather(lost, 20, then=look).found == ({"requests": 2}, {"utilisation": 0.5})
    assert gather(Driver(opening=[Unavailable("refused")] * 100), 5, then=look).found == ({}, {})


def test_a_device_out_of_service_is_not_asked_and_says_so_each_hour():
    """Its consumers hear it at once; the others never notice, and the watchdog expects nothing of it."""
    driver = Driver()

    def refresh(gatherer):
        with pytest.raises(Unavailable, match="device a is out of service: being painted"):
            gatherer.refresh("a")

    result = gather(driver, 2 * OUT_REPEAT_S + 60, then=refresh, out=("a",))
    assert driver.sources == ["b"]
    assert [
        (moment, sample.values, sample.reasons) for moment, sample in result.put if sample.shape.device == "a"
    ] == [(hour * OUT_REPEAT_S, (None,), bytes([Reason.OUT_OF_SERVICE])) for hour in range(3)]
    condition = result.health.devices["a"]
    assert (condition.state, condition.words) == (State.OUT_OF_SERVICE, "being painted")
    assert len(of(result, "b")) > 7000
    assert result.overdue == {}


def test_a_link_without_a_device_in_service_is_not_opened():
    """Its adapter may lie in a drawer."""
    driver = Driver()
    result = gather(driver, 60, out=("a", "b"))
    assert driver.opened == 0
    assert len(result.put) == 2
    assert result.health.links["line"].state is State.OUT_OF_SERVICE


def test_a_link_that_is_down_says_nothing_of_what_is_out_of_service():
    """Not connected is what is in service."""
    result = gather(Driver(opening=[Unavailable("refused")] * 100), 60, out=("a",))
    assert {sample.reasons[0] for sample in of(result, "a")} == {Reason.OUT_OF_SERVICE}
    assert {sample.reasons[0] for sample in of(result, "b")} == {Reason.NOT_CONNECTED}


def test_a_counter_in_doubt_is_read_again_at_once():
    """The link is asked for a second reading; that one decides."""
    driver = Driver(values={"a": [5000.0, 7.0, 7.0, 8.0]})
    result = gather(driver, 3.5, ids=("a",))
    assert driver.asked == ["a"]
    assert [sample.values for sample in of(result, "a")] == [(5000.0,), (7.0,), (7.0, "reset"), (8.0,)]
    assert result.learnt["test"]["counters a"]["power"]["value"] == "7.0"  # where it stood at the end


def settings_of(gatherer, **out):
    """The gatherer's settings, with these devices out of service, and why."""
    devices = (replace(device, out_of_service=out.get(device.id)) for device in gatherer.settings.devices)
    return replace(gatherer.settings, devices=tuple(devices))


def test_devices_are_taken_out_and_put_back_while_the_link_stays_open():
    """The others miss nothing; consumers hear of each change at once, also of other words for it."""
    driver = Driver()

    def change(gatherer):
        async def changing():
            for out in ({"a": "being painted"}, {"a": "being oiled"}, {"b": "being painted"}, {}):
                assert gatherer.adopt(settings_of(gatherer, **out))
                await asyncio.sleep(10)

        return asyncio.create_task(changing())

    result = gather(driver, 5, then=change, after_s=50)
    assert driver.opened == 1
    assert driver.sources == ["a", "b", "a", "b"]
    told = {
        device: [moment for moment, sample in result.put if sample.shape.device == device and sample.reasons]
        for device in ("a", "b")
    }
    assert told == {"a": [5, 15], "b": [25]}
    assert {device: condition.state for device, condition in result.health.devices.items()} == dict.fromkeys(
        ("a", "b"), State.WORKING
    )
    good = {
        device: [
            moment for moment, sample in result.put if sample.shape.device == device and not sample.reasons
        ]
        for device in ("a", "b")
    }
    assert not [moment for moment in good["a"] if 5 < moment < 25]
    assert not [moment for moment in good["b"] if 25 < moment < 35]
    pauses = [after - before for before, after in itertools.pairwise(good["b"])]
    assert pauses.count(1) == len(pauses) - 1


def test_what_needs_another_link_is_not_adopted():
    """Other settings, no device left in service, or a link that is not open: then it is begun anew."""

    def adopt(gatherer):
        other = replace(gatherer.settings, driver="other")
        return [
            gatherer.adopt(settings)
            for settings in (other, settings_of(gatherer, a="x", b="x"), settings_of(gatherer, a="x"))
        ]

    assert gather(Driver(), 5, then=adopt).found == [False, False, True]
    assert gather(Driver(opening=[Unavailable("refused")] * 100), 5, then=adopt).found == [False] * 3
    assert gather(Driver(), 5, then=adopt, out=("a", "b")).found == [False] * 3


def test_a_link_that_is_just_being_lost_adopts_nothing():
    """Between the loss and the next attempt nothing can be begun on it."""
    adopted = []

    def adopt(gatherer, sample):
        if sample.reasons == bytes([Reason.NOT_CONNECTED]):
            adopted.append(gatherer.adopt(settings_of(gatherer, a="being painted")))

    gather(Driver(plans={"a": (3, Unavailable("line: lost"))}), 10, during=adopt)
    assert adopted == [False, False]
