"""The root of the configuration, and what can be seen only between its sections."""

import importlib.metadata

import pytest

from agent import plugins, settings
from agent.document import Problems
from agent.fields import Place
from agent.interfaces import Misconfigured
from agent.settings import Root


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a configuration; the driver `attic` of another package is installed."""
    points = [
        importlib.metadata.EntryPoint(name, f"tests.emulators.plugins.{name}", "diaccess_agent.drivers")
        for name in ("attic", "broken", "impossible")
    ]
    monkeypatch.setattr(plugins, "_entry_points", lambda group: points if group == "drivers" else [])
    monkeypatch.chdir(tmp_path)

    def _write(text):
        path = tmp_path / "gateway.yaml"
        path.write_text("gateway: {id: demo-01, place: {site: s}}\n" + text, encoding="utf-8")
        return path

    return _write


@pytest.fixture
def problems(write, tmp_path):
    """The messages about a configuration, after line and column."""

    def _problems(text, **options):
        with pytest.raises(Problems) as raised:
            settings.read(write(text), **options)
        return [str(problem).removeprefix(f"{tmp_path}/gateway.yaml:") for problem in raised.value.problems]

    return _problems


def test_nothing_but_the_gateway_is_needed(write):
    """Everything else has a default."""
    root = settings.load(write(""))
    assert isinstance(root, Root)
    assert root.gateway.id == "demo-01"
    assert root.gateway.place == Place(site="s")
    assert root.links == root.uplinks == ()


def test_settings_of_a_plugin_are_of_its_own_type(write):
    """Also of one that another package brings."""
    found = settings.read(
        write("links: [{id: a, driver: attic, ladder: long, devices: [{id: b, points: [t, h]}]}]")
    )
    (link,) = found.root.links
    assert link == plugins.settings_type("drivers", "attic")(
        id="a", driver="attic", ladder="long", devices=link.devices
    )
    assert (found.devices, found.points) == (1, 2)


def test_problems_are_for_a_person_to_mend(write):
    """So whoever knows nothing of configurations still stops at them."""
    with pytest.raises(Misconfigured):
        settings.load(write("lgo: {}"))


def test_two_links_may_not_hold_the_same(problems):
    """Whatever the driver says that it is; links without anything to hold are many."""
    assert problems(
        "links:\n"
        "- {id: a, driver: attic, ladder: long}\n"
        "- {id: b, driver: attic}\n"
        "- {id: c, driver: attic}\n"
        "- {id: d, driver: attic, ladder: long}\n"
    )[0].startswith("6:8: link d: expected long for itself alone; found the link a there too, at ")


def test_two_uplinks_may_not_hold_the_same(problems):
    """Two MQTT clients of one id would throw each other out; one id at two brokers is fine."""
    (problem,) = problems(
        "uplinks:\n"
        "- {id: a, kind: mqtt, host: h, format: json}\n"
        "- {id: b, kind: mqtt, host: h, format: json}\n"
        "- {id: c, kind: mqtt, host: g, format: json}\n"
    )
    assert problem.startswith("4:8: uplink b: expected ")


def test_a_plugin_has_problems_of_its_own(problems):
    """Each is said at the place that its path leads to."""
    assert problems(
        "links: [{id: a, driver: attic, devices: [{id: x, points: [t]}, {id: ghost, points: [t]}]}]"
    ) == ["2:69: id: there are no ghosts"]


def test_devices_have_points_and_each_point_a_name_of_its_own(problems):
    """As the driver gives them, from wherever."""
    assert problems("links: [{id: a, driver: attic, devices: [{id: x}, {id: y, points: [t, h, t]}]}]") == [
        "2:42: device x: expected points; found none",
        "2:51: device y: expected one point t; found 2",
    ]


def test_what_is_sound_is_checked_beside_what_is_not(problems):
    """A mistake in one link does not hide those between the others."""
    found = problems(
        "links:\n"
        "- {id: a, driver: attic, ladder: long}\n"
        "- {id: b, driver: attic, ladder: long}\n"
        "- {id: c, driver: attic, laddder: long}\n"
        "log: {level: loud}\n"
    )
    assert [problem.partition(" ")[0] for problem in found] == ["4:8:", "5:26:", "6:14:"]


def test_a_plugin_that_does_not_work_is_a_problem_where_it_is_named(problems):
    """Its error is said, not thrown."""
    broken, impossible = problems("links: [{id: a, driver: broken}, {id: b, driver: impossible}]")
    assert broken == (
        "2:25: driver: expected a plug-in that works; the driver broken cannot be imported: "
        "OSError: libattic.so is not installed"
    )
    assert impossible.startswith(
        "2:50: driver: expected a plug-in that works; <class 'complex'> cannot be a setting"
    )


def test_filters_that_pass_nothing_are_doubts(write, tmp_path):
    """One pattern that matches no name, or a filter that no point passes."""
    found = settings.read(
        write(
            "links: [{id: a, driver: attic, devices: [{id: x, points: [t]}]}]\n"
            "uplinks:\n"
            "- {id: a, kind: mqtt, host: a, format: json, filter: {devices: [x, y-*]}}\n"
            "- {id: b, kind: mqtt, host: b, format: json, filter: {classes: [event]}}\n"
            "- {id: c, kind: mqtt, host: c, format: json, filter: {points: ['[a-z]']}}\n"
        )
    )
    assert [str(warning).removeprefix(f"{tmp_path}/gateway.yaml:") for warning in found.warnings] == [
        "4:68: devices: y-* is the name of no device",
        "5:54: filter: no point passes it, so the uplink b has nothing to send",
    ]


def test_secrets_are_looked_up_only_where_that_is_asked(write, problems, tmp_path):
    """`check` asks; the daemon looks up each when it needs it."""
    text = "uplinks: [{id: a, kind: mqtt, host: a, username: u, password: !secret pw, format: json}]"
    root = settings.load(write(text))
    (problem,) = problems(text, secrets=True)
    assert problem.startswith(
        "2:63: secret pw: not found; expected as the systemd credential diaccess-agent.pw "
    )
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "pw").write_text("hunter2\n")
    (tmp_path / "secrets" / "pw").chmod(0o644)
    assert root.uplinks[0].password.reveal() == "hunter2"
    (warning,) = settings.read(write(text), secrets=True).warnings
    assert warning.message.startswith("secret pw: ")
    assert warning.message.endswith("can be read by every user of this machine: chmod o= it")
