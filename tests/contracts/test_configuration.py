"""What is shipped in config/ is right and complete: examples, demonstration, schema."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent import document, plugins, settings
from agent.document.collection import Either, List, OrNothing, Table
from agent.document.plugged import FiledSettings, PluginSettings
from agent.document.section import Section
from agent.document.types import kind_of, section_of
from tests.emulators.json_schema import as_an_editor_reads, complaints

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
EXAMPLE = CONFIG / "gateway.yaml"
SCHEMA = json.loads((CONFIG / "schema.json").read_text(encoding="utf-8"))
ROOTS = sorted(CONFIG.rglob("gateway.yaml"))
COMMENTED = re.compile(r"^( *)#(?=[a-z])", re.MULTILINE)


def sections():
    """Every section of the configuration, with all plug-ins of ours, by its title."""
    found = {}
    waiting = [kind_of(settings.Root)]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, Section):
            if kind.title not in found:
                found[kind.title] = kind
                waiting += [field.kind for field in kind.fields.values()]
        elif isinstance(kind, PluginSettings):
            group = kind.plugged.group
            waiting += [section_of(plugins.settings_type(group, name)) for name in plugins.names(group)]
        elif isinstance(kind, FiledSettings):
            continue  # what is in profiles, each profile shows
        elif isinstance(kind, OrNothing):
            waiting.append(kind.kind)
        elif isinstance(kind, List):
            waiting.append(kind.entry)
        elif isinstance(kind, Table):
            waiting += [kind.key, kind.entry]
        elif isinstance(kind, Either):
            waiting += kind.kinds
    return found


@pytest.mark.parametrize("path", ROOTS, ids=str)
def test_every_configuration_is_right(path):
    """Without a warning either."""
    assert settings.read(path).warnings == ()


def test_every_setting_stands_in_the_example():
    """With its key at the beginning of a line or in a section on one line, in use or left out."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for title, section in sections().items():
        for key in section.fields:
            assert re.search(rf"(?:^ *(?:- |#)?|[{{,] *){re.escape(key)}:", text, re.MULTILINE), (
                f"{title}: {key}"
            )


def test_what_the_example_leaves_out_is_right_too(tmp_path):
    """Settings behind `#` are as good as the others: taken in, they load."""
    text, count = COMMENTED.subn(r"\1", EXAMPLE.read_text(encoding="utf-8"))
    assert count
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "roof.yaml").write_bytes((CONFIG / "links" / "roof.yaml").read_bytes())
    (tmp_path / "gateway.yaml").write_text(text, encoding="utf-8")
    assert settings.read(tmp_path / "gateway.yaml").warnings == ()


def test_the_example_shows_defaults():
    """Where a setting has one, the example's value is it: whoever deletes the line changes nothing."""
    root = settings.load(EXAMPLE)
    assert root.log == type(root.log)()
    assert root.buffer == type(root.buffer)()
    plant_room, *_ = root.links
    for name in ("port", "timeout", "request_delay", "quiet"):
        assert getattr(plant_room, name) == next(
            field.default for field in _fields(plant_room) if field.name == name
        )
    city, janitor = root.uplinks
    for name in (
        "protocol",
        "keepalive",
        "connect_timeout",
        "ack_timeout",
        "window",
        "max_packet_size",
        "from_",
        "format",
    ):
        assert getattr(city, name) == getattr(janitor, name)


def _fields(settings_):
    import msgspec  # noqa: PLC0415

    return msgspec.structs.fields(settings_)


def test_the_schema_is_current():
    """`diaccess-agent schema > config/schema.json` after every change of a setting."""
    assert document.schema(settings.Root) == SCHEMA


def test_the_schema_is_the_same_in_every_run():
    """Whatever the order of hashes."""
    printed = [
        subprocess.run(
            [sys.executable, "-m", "agent", "schema"],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin"},
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1] == (CONFIG / "schema.json").read_bytes()


@pytest.mark.parametrize("path", ROOTS, ids=str)
def test_the_schema_takes_what_the_agent_takes(path):
    """No editor complains of a right configuration."""
    assert complaints(SCHEMA, as_an_editor_reads(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "gateway: {id: 1234}",
        "gateway: {id: on, place: {storey: 2, room: 0100}}",
        "gateway: {id: a, place:}\nlog:\nbuffer:\nlinks:\nuplinks:\n",
        "gateway: !include gateway.yaml\nlinks: [!include links.yaml]\n",
        "gateway: {id: a}\nlinks: [{id: a, driver: modbus, host: 1234, devices: [{id: 7, unit_id: 0x10, profile: 3}]}]",
        "gateway: {id: a}\nlinks: [{id: a, driver: modbus, host: a, devices: [{id: b, points: [{name: p, table: input, address: 1, type: int16, unit: 1, scale: 1/3}]}]}]",
        "gateway: {id: a}\nuplinks: [{id: a, kind: mqtt, host: a, protocol: 5, username: 007, password: !secret a, format: json}]",
        "gateway: {id: a}\nuplinks: [{id: a, kind: mqtt, host: a, protocol: 3.1.1, tls: {}, format: {kind: json}, filter: {devices: [12]}}]",
    ],
)
def test_the_schema_takes_words_that_editors_read_otherwise(text):
    """`1234` is a number to an editor, where a text is wanted; and both tags are texts to it."""
    assert complaints(SCHEMA, as_an_editor_reads(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "gateway: {id: a b}",
        "gateway: {id: a, plaec: {}}",
        "gateway: {id: a}\nbuffer: {size: 1}",
        "gateway: {id: a}\nbuffer: {age: 30}",
        "gateway: {id: a}\nlog: {level: loud}",
        "gateway: {id: a}\nlinks: [{id: a, driver: modbsu}]",
        "gateway: {id: a}\nlinks: [{id: a, driver: modbus, host: a, port: 70000, devices: [{id: b}]}]",
        "gateway: {id: a}\nlinks: [{id: a, driver: modbus, host: a}]",
        "gateway: {id: a}\nuplinks: [{id: a, kind: mqtt, host: a, format: jsno}]",
    ],
)
def test_the_schema_refuses_what_it_can(text):
    """What an editor can know is underlined while it is typed."""
    assert complaints(SCHEMA, as_an_editor_reads(text)) != []


def test_the_schema_describes_its_sections():
    """Each has a description, which an editor shows."""
    for title, definition in SCHEMA["$defs"].items():
        assert definition.get("description"), title


def test_no_secret_has_a_default():
    """The schema knows references only."""
    assert "hunter2" not in json.dumps(SCHEMA)
    password = SCHEMA["$defs"]["uplinks.mqtt"]["properties"]["password"]
    assert "default" not in password
    assert "!secret" in password["description"]
