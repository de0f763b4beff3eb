"""Blocking calls that can be given up: in a thread that nobody waits for, not even the end of the process.

A thread of asyncio's pool would hold up stopping for as long as the call takes, and the C library's look-up of a name
takes up to half a minute without a network.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def look_up(host: str, port: int) -> list[Any]:
    """The TCP addresses of a name, as socket.getaddrinfo gives them. Raises `OSError`, of which `gaierror` is one."""
    return await aside(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), f"look up {host}")


async def aside(work: Callable[[], T], name: str) -> T:
    """Do it in a thread that nobody waits for once this is cancelled, not even the end of the process."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            settle = functools.partial(answer.set_result, work())
        except Exception as error:  # noqa: BLE001  # it is raised again where the answer is awaited
            settle = functools.partial(answer.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
            loop.call_soon_threadsafe(lambda: answer.done() or settle())

    threading.Thread(target=run, name=name, daemon=True).start()
    return await answer
