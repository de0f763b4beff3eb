"""What a technician types in front of the device, and reads: scan, probe, read --raw, watch."""

import asyncio
import contextlib
import hashlib
import json
import os
import re
import struct

import pytest
from structlog.testing import capture_logs

from agent import log
from agent.cli import exits, main
from tests.emulators.agent import AgentProcess
from tests.emulators.modbus import Server, good, nothing, refuses

LIMIT_S = 60


@pytest.fixture
def ask(tmp_path, monkeypatch, capsys):
    """Runs a command in a thread of its own, 80 columns wide; gives its code and what it printed."""
    monkeypatch.setattr(log, "configure", lambda _: None)  # it is the whole process's
    monkeypatch.setenv("COLUMNS", "80")

    async def _ask(*words, config=None, socket=None, plain=False):
        more = [] if plain else ["--socket", str(socket or tmp_path / "none")]
        if config is not None:
            more += ["--config", str(config)]
        capsys.readouterr()
        async with asyncio.timeout(LIMIT_S):
            with capture_logs():
                code = await asyncio.to_thread(main, [*map(str, words), *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    return _ask


def registers(**held):
    """Answers with these bytes, whatever is asked; `at_40="fc2dffff"` at address 40."""
    by_address = {int(name.removeprefix("at_")): bytes.fromhex(words) for name, words in held.items()}

    async def behaviour(request):
        data = by_address.get(request.address)
        if data is None or len(data) != request.count * 2:
            request.send(request.frame(bytes([request.function | 0x80, 2])))
        else:
            request.send(request.frame(bytes([request.function, len(data)]) + data))

    return behaviour


def configuration(folder, port, **link):
    """A meter of one point, on a line that leads to this port."""
    points = [
        {
            "name": "power",
            "table": "input",
            "address": 40,
            "type": "int32",
            "order": "CDAB",
            "unit": "W",
            "scale": 0.1,
        },
        {"name": "gone", "table": "input", "address": 90, "type": "uint16"},
    ]
    file = folder / "gateway.yaml"
    line = {
        "id": "meters",
        "driver": "modbus",
        "host": "127.0.0.1",
        "port": port,
        "timeout": "5s",
        "devices": [{"id": "meter-1", "unit_id": 3, "interval": "200ms", "gap": 60, "points": points}],
        **link,
    }
    file.write_text(json.dumps({"gateway": {"id": "gw-1"}, "links": [line]}))
    return file


# --- scan ------------------------------------------------------------------------------------------------------


async def test_scan_prints_what_it_found_and_what_to_write(ask):
    """Rows as they are found, then lines for the configuration."""
    async with Server({3: [good], 17: [refuses(2)]}, default=refuses(0x0B)) as server:
        code, out, err = await ask(
            "scan", "modbus", "--host", "127.0.0.1", "--port", server.port, "--units", "1-20"
        )
    assert code == exits.FINE
    assert re.sub(r"found in .*", "found", re.sub(r"[ \d.]{8} ms", "       1 ms", out)).splitlines() == [
        "WHERE     ANSWERS IN  WHAT",
        "unit 3          1 ms  type not known (data at holding:0)",
        "unit 17         1 ms  type not known (exception 02 at holding:0)",
        "2 devices found",
        "",
        "For the configuration, under links (choose ids that last: consumers know them):",
        "",
        "  - id: line-1",
        "    driver: modbus",
        "    host: 127.0.0.1",
        f"    port: {server.port}",
        "    devices:",
        "      # - {id: unit-3, unit_id: 3}  # needs a profile, or points",
        "      # - {id: unit-17, unit_id: 17}  # needs a profile, or points",
    ]
    assert err.splitlines() == [f"searching 127.0.0.1:{server.port}: 20 unit ids, 20 s if nobody answers"]


async def test_scan_says_how_long_a_whole_line_takes(ask):
    """Before it begins: four minutes, if nobody answers."""
    async with Server(default=refuses(0x0B)) as server:
        code, out, err = await ask("scan", "modbus", "--host", "127.0.0.1", "--port", server.port)
    assert code == exits.FAILED
    assert re.fullmatch(r"0 devices found in .* s\.\n", out)
    assert "247 unit ids, 4 min 7 s if nobody answers" in err
    assert "TCP is fine" in " ".join(err.split())


async def test_scan_for_programs(ask):
    """One JSON document on standard output, and nothing else."""
    async with Server({3: [good]}, default=refuses(0x0B)) as server:
        code, out, _ = await ask(
            "scan", "modbus", "--host", "127.0.0.1", "--port", server.port, "--units", "1-5", "--json"
        )
    said = json.loads(out)
    assert code == exits.FINE
    assert said["complete"] is True
    assert [one["device"] for one in said["found"]] == [{"id": "unit-3", "unit_id": 3}]
    assert said["found"][0]["link"]["port"] == server.port


async def test_scan_of_a_place_where_nobody_listens(ask):
    """69, with the address; a wrong option, or no place at all, is 2."""
    async with Server() as server:
        port = server.port
    code, _, err = await ask("scan", "modbus", "--host", "127.0.0.1", "--port", port)
    assert code == exits.UNAVAILABLE
    assert f"127.0.0.1:{port}" in err
    code, out, err = await ask(
        "scan", "modbus", "--host", "127.0.0.300"
    )  # a name, to the system, and no known one
    assert (code, out) == (exits.UNAVAILABLE, "")
    assert "127.0.0.300:502: " in err
    assert not any(word in err for word in ("Errno", "link line-1"))
    code, _, err = await ask("scan", "modbus")
    assert (code, "a place such as --host or --serial" in err) == (exits.USAGE, True)
    with pytest.raises(SystemExit) as ended:
        await ask("scan", "modbus", "--host", "127.0.0.1", "--units", "0-999")
    assert ended.value.code == exits.USAGE


async def test_scan_of_a_configured_line_knows_its_devices(ask, tmp_path):
    """What is there already is said, and not proposed again."""
    async with Server({3: [good], 4: [good]}, default=refuses(0x0B)) as server:
        file = configuration(tmp_path, server.port)
        code, out, _ = await ask("scan", "modbus", "--link", "meters", "--units", "1-5", config=file)
    assert code == exits.FINE
    assert "configured as meter-1" in out
    assert "unit_id: 4" in out
    assert "unit_id: 3" not in out


# --- probe -----------------------------------------------------------------------------------------------------


async def test_probe_finds_the_word_order(ask, tmp_path):
    """A public trace of a meter that sends the low word first: -979, and not -64094209."""
    async with Server({3: [registers(at_40="fc2dffff")]}) as server:
        file = configuration(tmp_path, server.port)
        words = (
            "probe",
            "meters",
            "--unit",
            3,
            "--table",
            "input",
            "--address",
            40,
            "--unit-of-measure",
            "W",
        )
        code, out, err = await ask(*words, "--expect", "-97.9", config=file)
    assert (code, err) == (exits.FINE, "")
    assert out.splitlines()[:6] == [
        "input 40 to 41",
        "",
        "ADDRESS  HEX   UNSIGNED  SIGNED  BITS                 TEXT",
        "     40  fc2d     64557    -979  1111 1100 0010 1101  .-",
        "     41  ffff     65535      -1  1111 1111 1111 1111  ..",
        "",
    ]
    assert out.splitlines()[-3:] == [
        "For the configuration, under points:",
        "",
        "  - {name: input_40, table: input, address: 40, type: int32, order: CDAB, scale: 0.1, unit: W}",
    ]
    heads, best, second = out.splitlines()[6:9]
    assert heads.split() == ["ADDRESS", "READ", "AS", "RAW", "SCALE", "VALUE"]
    assert best.split() == [">>", "40-41", "int32", "CDAB", "-979", "0.1", "-97.9"]
    assert not second.startswith(">")
    assert "int32 ABCD" in out
    assert "-64094209" in out


async def test_probe_of_a_range_finds_how_the_device_is_read(ask):
    """Three voltages as floats: all three are marked, and proposed."""
    held = struct.pack(">3f", 230.1, 229.4, 231.7).hex()
    async with Server({1: [registers(at_0=held)]}) as server:
        words = ("probe", "--host", "127.0.0.1", "--port", server.port, "--address", 0, "--count", 6)
        code, out, _ = await ask(*words, "--unit-of-measure", "V")
        assert code == exits.FINE
        assert [line.split()[1:4] for line in out.splitlines() if line.startswith(">>")] == [
            [f"{at}-{at + 1}", "float32", "ABCD"] for at in (0, 2, 4)
        ]
        assert out.count("type: float32, unit: V") == 3
        code, out, _ = await ask(*words, "--unit-of-measure", "V", "--json")
    assert json.loads(out)["proposals"][0] == {
        "name": "holding_0",
        "table": "holding",
        "address": 0,
        "type": "float32",
        "unit": "V",
    }


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (refuses(0x01), "try another table, such as --table input"),
        (refuses(0x02), "lists often count from 1"),
        (refuses(0x03), "a smaller --count"),
        (refuses(0x0B), "wrong speed and parity set in the gateway"),
        (refuses(0x04), "exception 04"),
        (nothing, "another speed or parity"),
    ],
)
async def test_probe_says_what_to_try_when_nothing_comes(ask, behaviour, words):
    """A wrong parity and no device at all are one silence, and both are named."""
    async with Server(default=behaviour) as server:
        code, _, err = await ask(
            "probe", "--host", "127.0.0.1", "--port", server.port, "--address", 0, "--timeout", "200ms"
        )
    assert code == exits.UNAVAILABLE
    assert words in err


async def test_probe_of_zeros_says_that_they_tell_nothing(ask):
    """And proposes nothing."""
    async with Server({1: [registers(at_0="00000000")]}) as server:
        code, out, _ = await ask("probe", "--host", "127.0.0.1", "--port", server.port, "--address", 0)
    assert code == exits.FINE
    assert "All zero" in out
    assert "For the configuration" not in out


# --- read --raw ------------------------------------------------------------------------------------------------


async def test_read_shows_what_a_value_was_made_of(ask, tmp_path):
    """The words beside the value; a point that the device refuses does not take the others with it."""
    async with Server({3: [registers(at_40="fc2dffff")]}) as server:
        file = configuration(tmp_path, server.port)
        code, out, err = await ask("read", "meter-1", "--raw", config=file)
    assert (code, err) == (exits.FINE, "")
    assert out.splitlines() == [
        "device meter-1",
        "POINT  RAW                  VALUE  UNIT  QUALITY",
        "power  input 40: fc2d ffff  -97.9  W     good",
        "gone   -                        -        bad (configuration_error)",
    ]


async def test_read_of_a_silent_device_waits_for_one_answer_only(ask, tmp_path):
    """Not for one answer a block; 69 says that it did not answer, raw or not, and the table why."""
    async with Server(default=nothing) as server:
        file = configuration(tmp_path, server.port, timeout="200ms")
        code, out, _ = await ask("read", "meter-1", "--raw", config=file)
        assert server.requests[3] == 1
        assert out.count("bad (timeout)") == 2
        plain, out, _ = await ask("read", "meter-1", config=file)
        assert out.count("bad (timeout)") == 2
    assert (code, plain) == (exits.UNAVAILABLE, exits.UNAVAILABLE)


# --- handover --------------------------------------------------------------------------------------------------


async def test_a_handover_lists_every_point_with_what_it_was_made_of(ask, tmp_path):
    """A point without a value fails, one outside of its limits is to be looked at; the checksum is of all above it."""
    points = [
        {"name": "power", "table": "input", "address": 40, "type": "int32", "order": "CDAB", "unit": "W"},
        {"name": "gone", "table": "input", "address": 90, "type": "uint16", "designation": "GT1"},
        {"name": "hot", "table": "input", "address": 50, "type": "int16", "unit": "Cel", "maximum": 30},
    ]
    device = {"id": "meter-1", "unit_id": 3, "points": points, "place": {"building": "a", "room": "211"}}
    held = registers(at_40="fc2dffff", at_50="0050")
    async with Server({3: [held]}) as server:
        file = configuration(tmp_path, server.port, devices=[device])
        code, out, err = await ask("handover", "-o", tmp_path / "list.txt", config=file)
    assert (code, err) == (exits.FAILED, "")
    assert out == f"3 points: 1 pass, 1 to be looked at, 1 fail. Written to {tmp_path / 'list.txt'}.\n"
    text = (tmp_path / "list.txt").read_text(encoding="utf-8")
    listed, _, seal = text.rpartition("\n")[0].rpartition("\nSHA-256 of all above: ")
    assert seal == hashlib.sha256(listed.encode()).hexdigest()
    first, *rest = listed.splitlines()
    assert re.fullmatch(
        r"Handover of gateway gw-1, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, diaccess-agent .*", first
    )
    assert rest[1] == "device meter-1 (link meters)"
    assert [line.split() for line in rest[3:6]] == [
        ["pass", "power", "-979", "W", "input", "40:", "fc2d", "ffff", "a/211", "good"],
        ["FAIL", "gone", "-", "a/211", "GT1", "bad", "(configuration_error)"],
        ["LOOK", "hot", "80", "Cel", "input", "50:", "0050", "a/211", "uncertain", "(outside_limits)"],
    ]


async def test_a_handover_passes_nothing_of_a_profile_that_nobody_vouches_for(ask, tmp_path):
    """What its values would look like if it were wrong, nobody knows: each is to be compared with the display."""
    device = {"id": "box-1", "unit_id": 3, "profile": "advantech-adam-6224"}
    async with Server({3: [good]}) as server:
        file = configuration(tmp_path, server.port, devices=[device])
        code, out, err = await ask("handover", config=file)
    assert (code, err) == (exits.FAILED, "")
    assert "  LOOK, compare with its display; not verified: the word order" in out
    assert " 0 pass, " in out
    assert re.search(r"LOOK +digital_input_0 .* good", out)


async def test_a_handover_of_a_line_that_is_not_there_says_so(ask, tmp_path):
    """Each of its devices fails, with the reason; and the list is printed where no file is named."""
    async with Server() as server:
        port = server.port
    code, out, _ = await ask("handover", config=configuration(tmp_path, port))
    assert code == exits.FAILED
    assert f"FAIL: link meters: 127.0.0.1:{port}" in out
    assert "1 point: 0 pass" in out


async def test_a_handover_that_cannot_be_written_reads_nothing(ask, tmp_path):
    """Whether the file can be written is looked at first: reading may take minutes."""
    async with Server({3: [registers(at_40="fc2dffff")]}) as server:
        file = configuration(tmp_path, server.port)
        code, _, err = await ask("handover", "-o", tmp_path / "nope" / "x", config=file)
        assert server.connections == 0
    assert (code, "No such file or directory" in err) == (exits.FAILED, True)


# --- the running agent -----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def running(tmp_path, port):
    """An agent that reads the meter, and has read it."""
    file = configuration(tmp_path, port)
    folder = tmp_path / "agent"
    folder.mkdir()
    async with AgentProcess(folder, json.loads(file.read_text())) as agent:
        await agent.until_logged("agent.ready")
        while not await agent.ask("latest", patterns=[]):  # noqa: ASYNC110  # what it waits for is another process
            await asyncio.sleep(0.05)
        yield agent, file


async def test_the_running_agent_is_asked_and_goes_on_reading(ask, tmp_path):
    """One connection to the device, whoever asks; what is asked of its line goes through it."""
    held = registers(at_40="fc2dffff")
    async with Server({3: [held], 4: [good]}, default=refuses(0x0B)) as server:
        async with running(tmp_path, server.port) as (agent, file):
            code, out, err = await ask(
                "scan",
                "modbus",
                "--host",
                "127.0.0.1",
                "--port",
                server.port,
                "--units",
                "1-6",
                socket=agent.socket,
            )
            assert code == exits.FINE
            assert "unit 4" in out
            assert "The running agent has this line as its link meters" in err
            assert "configured as meter-1" not in out  # nobody said which configuration it runs by

            place = ("--host", "127.0.0.1", "--port", server.port, "--units", "1-6")
            code, out, _ = await ask("scan", "modbus", *place, config=file, socket=agent.socket)
            assert (code, "configured as meter-1" in out) == (exits.FINE, True)
            assert "unit_id: 3" not in out

            words = ("probe", "meters", "--unit", 3, "--table", "input", "--address", 40)
            code, out, _ = await ask(*words, config=file, socket=agent.socket)
            assert (code, ">>" in out) == (exits.FINE, True)

            code, out, _ = await ask("read", "meter-1", "--raw", socket=agent.socket)
            assert "input 40: fc2d ffff" in out

            code, out, _ = await ask("handover", config=file, socket=agent.socket)
            assert (code, "2 points: 1 pass, 0 to be looked at, 1 fail." in out) == (exits.FAILED, True)

            code, out, _ = await ask("watch", "power", "--for", "1", "--lines", socket=agent.socket)
            assert code == exits.FINE
            rows = out.splitlines()
            assert len(rows) > 1
            assert all(re.fullmatch(r"\d\d:\d\d:\d\d meter-1/power -97.9 W good", row) for row in rows)

            code, out, _ = await ask("watch", "meter-1/*", "--for", "0", "--json", socket=agent.socket)
            assert [json.loads(row)["point"] for row in out.splitlines()] == ["power", "gone"]

            code, _, err = await ask("watch", "nothing", socket=agent.socket)
            assert (code, "matches nothing" in err) == (exits.FAILED, True)
        assert server.connections == 1


async def test_what_cannot_be_asked_is_declined_in_words(ask, tmp_path):
    """An unknown link with the known ones, a request that is none with what is wrong with it."""
    async with Server({3: [registers(at_40="fc2dffff")]}) as server:
        async with running(tmp_path, server.port) as (agent, _):
            for arguments, words in (
                ({"link": "water", "request": {}}, "expected one of meters"),
                ({"link": "meters", "request": {"unit_id": 1}}, "table"),
                ({"link": "meters", "request": {"unit_id": 999, "table": "input", "address": 0}}, "255"),
            ):
                with pytest.raises(Exception, match=words):
                    await agent.ask("ask", **arguments)


# --- record and replay -----------------------------------------------------------------------------------------


async def test_a_line_is_recorded_and_replayed(ask, tmp_path):
    """Without an agent: from the line itself, and then without the device, under another configuration too."""
    async with Server({3: [registers(at_40="fc2dffff")]}) as server:
        file = configuration(tmp_path, server.port)
        tape = tmp_path / "tape.ndjson"
        code, out, err = await ask("record", "meters", "--for", "1s", "-o", tape, config=file)
    assert (code, err) == (exits.FINE, "")
    assert re.fullmatch(rf"\d+ frames in 1 s: {re.escape(str(tape))}\n", out)
    code, out, _ = await replay(ask, tape, file)
    assert code == exits.FINE
    assert out.splitlines()[:2] == [
        "meter-1 1 power -97.9 W good",
        "meter-1 1 gone - bad (configuration_error)",
    ]
    file.write_text(file.read_text().replace("CDAB", "ABCD"))
    code, out, _ = await replay(ask, tape, file)
    assert out.splitlines()[0] == "meter-1 1 power -6409420.9 W good"
    code, out, _ = await replay(ask, tape, file, "--json")
    assert json.loads(out.splitlines()[0])["points"][0]["value"] == -6409420.9


async def test_the_running_agent_is_asked_what_passes(ask, tmp_path):
    """It goes on reading; nobody opens a second connection."""
    tape = tmp_path / "tape.ndjson"
    async with Server({3: [registers(at_40="fc2dffff")]}) as server:
        async with running(tmp_path, server.port) as (agent, file):
            code, _, _ = await ask("record", "meters", "--for", "1s", "-o", tape, socket=agent.socket)
            assert code == exits.FINE
            code, _, err = await ask(
                "record", "water", "--for", "1s", "-o", tape.with_name("b"), socket=agent.socket
            )
            assert (code, "expected one of meters" in err) == (exits.FAILED, True)
        assert server.connections == 1
    code, out, _ = await replay(ask, tape, file)
    assert (code, out.splitlines()[0]) == (exits.FINE, "meter-1 1 power -97.9 W good")


async def test_what_cannot_be_replayed_says_why(ask, tmp_path):
    """No file, no recording, and nothing of this link in it."""
    file = configuration(tmp_path, 502)
    code, _, err = await replay(ask, tmp_path / "none", file)
    assert (code, "No such file" in err) == (exits.FAILED, True)
    code, _, err = await replay(ask, file, file)
    assert (code, "expected the first line of a recording" in err) == (exits.CONFIGURATION, True)
    empty = tmp_path / "empty.ndjson"
    empty.write_text('{"recording": 1, "link": "meters", "driver": "modbus"}\n')
    code, _, err = await replay(ask, empty, file)
    assert (code, "nothing of the devices of link meters" in err) == (exits.FAILED, True)


async def replay(ask, tape, file, *more):
    """`replay` has no socket to ask."""
    return await ask("replay", tape, "--config", file, *more, plain=True)


async def test_watch_without_an_agent(ask):
    """69: there is nothing to watch."""
    code, _, err = await ask("watch")
    assert (code, "no agent is running" in err) == (exits.UNAVAILABLE, True)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_the_screen_fits_the_terminal():
    """Rows that do not fit are counted, and no line is longer than the terminal is wide."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from agent.cli.watch import screen  # noqa: PLC0415

    entries = [
        {
            "device": f"meter-{number}",
            "point": "voltage_of_a_phase_with_a_long_name_indeed",
            "value": 230.0123456,
            "unit": "V",
            "quality": "uncertain",
            "reason": "outside_limits",
            "age_s": 3,
        }
        for number in range(50)
    ]
    shown = screen(entries, 60, 20, datetime(2026, 11, 25, 8, 30, tzinfo=UTC)).splitlines()
    assert len(shown) == 20
    assert max(map(len, shown)) <= 60
    assert shown[0] == "08:30:00  50 points, 0 bad  (Ctrl-C ends)"
    assert shown[-1] == "... and 34 more: name devices or points to see them"
