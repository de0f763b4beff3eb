"""The frame of the command line: what it imports, what it says, how it ends."""

import re
import subprocess
import sys
import types

import pytest

from agent import __version__, cli
from agent.cli import exits, main
from agent.interfaces import Misconfigured, Unavailable

COMMANDS = cli.commands()


def program(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **options,
    )


@pytest.fixture
def pretended(monkeypatch):
    """A command `pretended` whose `run` is what the test says."""

    def _pretended(run):
        module = types.ModuleType("agent.cli.pretended", "`diaccess-agent pretended`: does nothing.")
        vars(module).update(NAME="pretended", HELP="does nothing", add_arguments=lambda parser: None, run=run)
        monkeypatch.setattr(cli, "command", lambda name: module)
        return main(["pretended"])

    return _pretended


def test_help_lists_every_command_with_its_line():
    """And says what exit codes mean."""
    said = program("--help")
    assert said.returncode == 0
    for name, command in COMMANDS.items():
        assert re.search(rf"^    {name} +{re.escape(command.HELP[:30])}", said.stdout, re.MULTILINE)
    assert exits.EXPLAINED in said.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_is_called_as_its_file_and_explains_itself(name, capsys):
    """So that it is found without importing the others."""
    command = COMMANDS[name]
    assert command.__name__ == f"agent.cli.{name}"
    assert command.HELP[0].islower() or command.HELP.startswith("JSON")
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "exit codes:" in said
    assert f"usage: diaccess-agent {name}" in said


def test_only_the_command_that_is_used_is_imported():
    """Starting is light: no daemon, no event loop, no command beside it."""
    lines = "import sys; from agent.cli import command; command('schema'); print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=True, timeout=60
    )
    imported = set(said.stdout.split())
    assert "agent.cli.schema" in imported
    heavy = {
        "agent.cli.run",
        "agent.cli.check",
        "agent.app",
        "agent.settings",
        "asyncio",
        "yaml",
        "structlog",
    }
    assert not imported & heavy


def test_version():
    """As everybody asks for it."""
    assert program("--version").stdout == f"diaccess-agent {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [[], ["chek"], ["common"], ["--nothing"], ["check", "--nothing"], ["check", "x"], ["../x"]]
)
def test_wrong_usage_ends_with_2(arguments, capsys):
    """And says how it is used."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == exits.USAGE
    assert "usage: diaccess-agent" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(Misconfigured("link a: no"), 78), (Unavailable("link a: not now"), 69), (KeyboardInterrupt(), 130)],
)
def test_errors_end_with_their_remedy(pretended, capsys, error, code):
    """One line, no stack trace; the exit code says who has to do something."""

    def run(_arguments):
        raise error

    assert pretended(run) == code
    said = capsys.readouterr().err
    assert said == (f"diaccess-agent: {error}\n" if str(error) else "")


def test_a_bug_is_a_traceback(pretended):
    """It is not dressed up as anything else."""

    def run(_arguments):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pretended(run)


def test_who_has_read_enough_may_go():
    """`diaccess-agent schema | head -1` says nothing more, and no traceback either."""
    command = f"{sys.executable} -m agent schema | head -c 1; echo $?"
    said = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert said.stdout == "{0\n"
    assert said.stderr == ""


def test_a_terminal_without_utf8_gets_escapes(tmp_path):
    """A text that it cannot show does not end the program."""
    (tmp_path / "gateway.yaml").write_text('gateway: {id: "Pärmen"}\n', encoding="utf-8")
    said = program(
        "check", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii", "DIACCESS_CONFIG": "gateway.yaml"}
    )
    assert said.returncode == exits.CONFIGURATION
    assert "P\\xe4rmen" in said.stderr
