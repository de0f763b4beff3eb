"""How long bytes take on a serial line: arithmetic about its speed and its characters.

Pure. Modbus over Serial Line V1.02, 2.5.1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FAST: Final = 19_200
"""Above this many bits a second the silences no longer shrink with the character."""
LEAST_SILENCE_NS: Final = 1_750_000
"""What they are then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTime:
    """A serial line's clock."""

    speed: int
    """Bits a second."""
    bits: int
    """Of one character, with its start, parity and stop bits: 10 or 11 for RTU."""
    silent: bool = True
    """Whether frames are parted by silence (RTU), not by characters (ASCII)."""

    def of(self, characters: int) -> int:
        """Nanoseconds that so many characters take."""
        return characters * self.bits * 1_000_000_000 // self.speed

    @property
    def silence_ns(self) -> int:
        """The silence between two frames: three and a half characters."""
        if not self.silent:
            return 0
        return LEAST_SILENCE_NS if self.speed > FAST else self.of(7) // 2
