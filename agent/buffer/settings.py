"""What an operator sets about the buffer."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec

from agent.fields import Limits, Size
from agent.interfaces import Settings


class BufferSettings(Settings, frozen=True):
    """The buffer on disk: where it is, how much it may hold and how often it is written."""

    folder: Annotated[
        Path,
        msgspec.Meta(
            description="Folder of the store file, its 1 MiB reserve and damaged files that were set aside.",
        ),
    ] = Path("/var/lib/diaccess-agent/buffer")
    size: Annotated[
        Size,
        Limits(least="4MiB", greatest="1024GiB"),
        msgspec.Meta(
            description="Most that readings may take on the disk; then the least precious go first."
        ),
    ] = Size(2**30)
    age: Annotated[
        timedelta,
        Limits(least="1min", greatest="3650d"),
        msgspec.Meta(description="Readings older than this are dropped."),
    ] = timedelta(days=30)
    memory: Annotated[
        Size,
        Limits(least="1MiB", greatest="1GiB"),
        msgspec.Meta(
            description="Most that the store in memory may take, which stands in while the disk fails."
        ),
    ] = Size(16 * 2**20)
    commit_interval: Annotated[
        timedelta,
        Limits(least="0s", greatest="60s"),
        msgspec.Meta(
            description="Time between two writes: what a power cut can cost. 0s writes as soon as the last is done."
        ),
    ] = timedelta(seconds=1)
