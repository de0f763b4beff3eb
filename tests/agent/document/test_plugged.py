"""Settings that lie elsewhere: in a profile's file, or with the plug-in that is named."""

import sys
from typing import Annotated

import pytest

from agent import document
from agent.fields import Filed, Plugged
from agent.interfaces import Settings
from agent.upstream import FormatBase


class Profile(Settings, frozen=True):
    """A type of thing."""

    size: int = 1
    base: "Annotated[Profile | None, Filed('tests.emulators')]" = None


class Thing(Settings, frozen=True):
    """A thing."""

    profile: Annotated[Profile | None, Filed("tests.emulators.profiles")] = None


class Root(Settings, frozen=True):
    """Things and a format."""

    things: tuple[Thing, ...] = ()
    format: Annotated[FormatBase, Plugged("formats", "kind")] | None = None


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Write files and read the first; a package with the profile `common` is there."""
    package = tmp_path / "package" / "tests" / "emulators" / "profiles"
    package.mkdir(parents=True)
    (package / "common.yaml").write_text("size: 7\n")
    (package / "mine.yaml").write_text("size: 8\n")
    import tests.emulators  # noqa: PLC0415  the package whose folder is exchanged

    monkeypatch.setattr(tests.emulators, "__path__", [str(package.parent)])
    monkeypatch.delitem(sys.modules, "tests.emulators.profiles", raising=False)
    monkeypatch.chdir(tmp_path)

    def _read(text, **files):
        for name, content in {"gateway": text, **files}.items():
            (tmp_path / f"{name}.yaml").write_text(content, encoding="utf-8")
        return document.read(Root, "gateway.yaml")

    return _read


def test_a_file_is_read_once_and_shared(read):
    """Fifty devices of a type cost one reading of it, and hold one object."""
    found = read("things: [{profile: mine}, {profile: mine}, {profile: common}]", mine="size: 3")
    one, two, three = (thing.profile for thing in found.settings.things)
    assert one is two
    assert (one.size, three.size) == (3, 7)


def test_ones_own_comes_before_the_packages(read):
    """So that a profile can be corrected without touching the installation."""
    assert read("things: [{profile: mine}]").settings.things[0].profile.size == 8
    assert read("things: [{profile: mine}]", mine="size: 3").settings.things[0].profile.size == 3


def test_it_may_be_written_here_or_nowhere(read):
    """A section in its place, or nothing."""
    found = read("things: [{profile: {size: 5}}, {profile: }, {}]")
    assert [thing.profile for thing in found.settings.things] == [Profile(size=5), None, None]


def test_a_file_that_names_itself_is_no_hang(read):
    """Directly or by another."""
    for files in ({"a": "base: a"}, {"a": "base: b", "b": "base: a"}):
        (problem,) = read("things: [{profile: a}]", **files).problems
        assert problem.message == "base: a.yaml is being read already: a file cannot name itself"


def test_places_lead_into_the_file(read):
    """Of what is written there; what is not, is where the file begins."""
    places = read("things:\n- {profile: mine}\n", mine="# a comment\nsize: 3\n").places
    assert places.mark("things", 0, "profile") == ("gateway.yaml", 2, 13)
    assert places.mark("things", 0, "profile", "size") == ("mine.yaml", 2, 7)
    assert places.mark("things", 0, "profile", "base") == ("gateway.yaml", 2, 13)


@pytest.mark.parametrize(
    "name", ["/etc/hostname", "../gateway", "a//b", ".hidden", "comon", '"a\\0b"', "mine.yaml", "x" * 300]
)
def test_an_unknown_name_is_said_with_those_that_there_are(read, name):
    """No path leads out of the folders in which profiles are."""
    (problem,) = read(f"things: [{{profile: {name}}}]").problems
    assert problem.message.startswith(
        "profile: expected the name of a file beside this one or of one that comes with the agent"
    )
    assert "common" in problem.message or "mine" in problem.message


def test_a_plugin_alone_is_its_name(read):
    """With everything else at its default."""
    alone, whole = read("format: json").settings, read("format: {kind: json}").settings
    assert alone == whole
    assert alone.format.kind == "json"
    (plug,) = read("format: json").plugs
    assert (plug.group, plug.name, plug.module.__name__) == ("formats", "json", "agent.formats.json")
    assert plug.settings == alone.format
