"""Between a link, which cannot wait, and whoever takes the samples of one device: the newest of each shape."""

from __future__ import annotations

import asyncio

from agent.sample import Sample, Shape


class Outlet:
    """Holds at most one sample of each shape. One side puts and never waits; the other takes, one call at a time."""

    def __init__(self) -> None:
        self._newest: dict[Shape, Sample] = {}
        """In the order in which they came."""
        self._error: Exception | None = None
        self._awaited: asyncio.Future[None] | None = None

    def put(self, sample: Sample) -> bool:
        """Offer a sample; whether an older one had to go that nobody took."""
        replaced = self._newest.pop(sample.shape, None) is not None
        self._newest[sample.shape] = sample
        self._wake()
        return replaced

    def fail(self, error: Exception) -> None:
        """Have `take` raise this as soon as no sample waits any more."""
        self._error = error
        self._wake()

    async def take(self) -> Sample:
        """Wait for a sample, however long it takes. Raises what `fail` was given."""
        while not self._newest:
            if self._error is not None:
                raise self._error
            self._awaited = asyncio.get_running_loop().create_future()
            await self._awaited
        return self._newest.pop(next(iter(self._newest)))

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)
