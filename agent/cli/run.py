"""`diaccess-agent run`: the daemon itself, in the foreground until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import signal
from typing import TYPE_CHECKING

from agent import log, service
from agent.cli import asking, common, exits
from agent.document import Problems

if TYPE_CHECKING:
    from agent.settings import Root

NAME = "run"
HELP = "poll, store and forward until told to stop (what the service does)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the configuration is, and where questions are answered."""
    common.add_config(parser)
    asking.add_socket(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the daemon; 0 when it was told to stop."""
    # Imported here: the other commands do not need the whole agent, and start faster without it.
    from agent import settings  # noqa: PLC0415

    notify = service.Notify.from_environment()
    service.trace_aborts()
    try:
        root = settings.load(arguments.config)
    except Problems as problems:
        notify.failed(f"bad configuration: {arguments.config}", number=22)
        return common.refuse(problems)
    log.configure(root.log)
    with _loop() as runner:
        runner.run(_until_told_to_stop(arguments, root, notify))
    return exits.FINE


async def _until_told_to_stop(arguments: argparse.Namespace, root: Root, notify: service.Notify) -> None:
    """Cancel the work at SIGTERM or SIGINT; its unwinding is the clean stop. A second signal cuts that short.

    SIGHUP has the configuration read again.
    """
    from agent import app, settings  # noqa: PLC0415  # as above

    loop = asyncio.get_running_loop()
    reread = app.Reread(asyncio.Event(), functools.partial(settings.load, arguments.config))
    loop.add_signal_handler(signal.SIGHUP, reread.asked.set)
    task = asyncio.create_task(app.serve(root, arguments.socket, notify, reread), name="agent")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _loop() -> asyncio.Runner:
    """Take uvloop where it is installed: half the processor time for small messages; not needed by anything."""
    try:
        import uvloop  # noqa: PLC0415  # optional
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)
