"""The devices of a Modbus link, emulated: to try a configuration, a format or an upstream without hardware.

    bytes --pymodbus: frame--> question --Image--> right answer --misbehaviour--> what is said, and when

Decides only; `serving` moves the bytes. A unit id that is nobody's is answered as a gateway does for a device that is
silent, 0B; on a serial line by nobody.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from pymodbus.constants import ExcCodes
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.register_message import MaskWriteRegisterRequest

from agent.faults import Fault, Kind
from drivers.modbus.emulation.image import Image
from drivers.modbus.emulation.misbehaviour import ANSWERED_TO, EXCEPTION, Exchange, Framer, Saying, said
from drivers.modbus.line.ends import FramingKind
from drivers.modbus.settings import LinkSettings
from drivers.modbus.values.registers import Table

READS: Final = {table.function: table for table in Table}
WRITES: Final = {5: Table.COIL, 15: Table.COIL, 6: Table.HOLDING, 16: Table.HOLDING, 22: Table.HOLDING}
_COUNTING: Final = {15, 16}
"""Functions that are answered with address and count; the other three echo what they were sent."""

SEED: Final = 1
"""What is left to chance is the same in each run."""


class Unit(Protocol):
    """What answers to one unit id; an `Image`."""

    def read(self, table: Table, address: int, count: int, time_s: float, /) -> bytes | ExcCodes:
        """Two bytes for each register, one (0 or 1) for each bit; or an exception."""

    def write(self, table: Table, address: int, content: bytes, /) -> ExcCodes | None:
        """Keep what is written; or an exception."""


class Emulator:
    """Answers for the devices of a link, as each of them is told to."""

    def __init__(
        self, link: LinkSettings, time_s: Callable[[], float], units: Mapping[int, Unit] | None = None
    ) -> None:
        """`units` stand in for what the devices of the link are configured to hold."""
        self._link = link
        self._time_s = time_s
        ids = {device.unit_id for device in link.devices}
        self._units: Mapping[int, Unit] = units or {
            unit: Image(device for device in link.devices if device.unit_id == unit) for unit in ids
        }
        self._identified = link.frames is FramingKind.TCP
        self._faults: dict[str, dict[Kind, Fault]] = {}
        """By name of a device, or of the link for all of them; none that is empty."""
        self._decoder = DecodePDU(is_server=True)
        self._random = random.Random(SEED)  # noqa: S311  # nothing is secret about noise

    # --- what goes wrong ---------------------------------------------------------------------------------------

    def inflict(self, name: str, fault: Fault | None) -> None:
        """Give a device, or the link with all of them, a fault beside those it has; `None` takes all of them.

        Raises `ValueError` for a fault that it cannot have.
        """
        if fault is None:
            self._faults.pop(name, None)
            return
        if fault.kind in ANSWERED_TO and not self._identified:
            raise ValueError(f"{fault.kind.value}: link {self._link.id} has no transaction ids")
        if fault.kind is Kind.ECHO and self._identified:
            raise ValueError(
                f"echo: link {self._link.id} has none: that is for lines without transaction ids"
            )
        if fault.kind is Kind.BAUD_TRUE:
            if name != self._link.id:
                raise ValueError(f"baud-true: expected the link {self._link.id}, found the device {name}")
            if not self._link.serial:
                raise ValueError(f"baud-true: link {name} is no serial line: nobody knows its speed")
        self._faults.setdefault(name, {})[fault.kind] = fault

    def units(self, name: str) -> set[int]:
        """The unit ids of a device, or of all that are on the link."""
        return {device.unit_id for device in self._link.devices if name in {device.id, self._link.id}}

    @property
    def faults(self) -> Mapping[str, Sequence[Fault]]:
        """What is wrong, by name."""
        return {name: tuple(faults.values()) for name, faults in self._faults.items()}

    @property
    def baud_true(self) -> Fault | None:
        """Whether bytes take their time, and how long a device thinks."""
        return self._faults.get(self._link.id, {}).get(Kind.BAUD_TRUE)

    def _faults_of(self, unit: int) -> dict[Kind, Fault]:
        faults = dict(self._faults.get(self._link.id, {}))
        for device in self._link.devices:
            if device.unit_id == unit:
                faults |= self._faults.get(device.id, {})
        return faults

    # --- what is answered --------------------------------------------------------------------------------------

    def hear(self, unit: int, identity: int, question: bytes, framer: Framer) -> list[Saying]:
        """What is said to a question, of which `question` is the PDU."""
        if unit not in self._units:
            if not self._identified:
                return []
            answer = _exception(question, ExcCodes.GATEWAY_NO_RESPONSE)
        else:
            answer = self._answer(self._units[unit], question)
        exchange = Exchange(unit=unit, identity=identity, question=question, answer=answer)
        return said(
            exchange,
            self._faults_of(unit),
            framer,
            chance=self._random.random,
            noise=self._random.randbytes,
        )

    def _answer(self, unit: Unit, question: bytes) -> bytes:
        """The PDU of the right answer."""
        function = question[0]
        if function not in READS and function not in WRITES:
            return _exception(question, ExcCodes.ILLEGAL_FUNCTION)
        request = self._decoder.decode(question)
        if request is None:
            return _exception(question, ExcCodes.ILLEGAL_VALUE)
        if table := READS.get(function):
            content = unit.read(table, request.address, request.count, self._time_s())
            if isinstance(content, ExcCodes):
                return _exception(question, content)
            payload = _packed(content) if table.bits else content
            return bytes([function, len(payload)]) + payload
        return self._write(unit, question, request)

    def _write(self, unit: Unit, question: bytes, request: ModbusPDU) -> bytes:
        function = question[0]
        table = WRITES[function]
        content: bytes | ExcCodes
        if isinstance(request, MaskWriteRegisterRequest):
            content = self._masked(unit, request)
        elif table.bits:
            content = bytes(request.bits)
        else:
            content = b"".join(register.to_bytes(2, "big") for register in request.registers)
        if isinstance(content, bytes) and function in _COUNTING:
            width = 1 if table.bits else 2
            content = content if len(content) == request.count * width else ExcCodes.ILLEGAL_VALUE
        refusal = content if isinstance(content, ExcCodes) else unit.write(table, request.address, content)
        if refusal is not None:
            return _exception(question, refusal)
        return question[:5] if function in _COUNTING else question

    def _masked(self, unit: Unit, request: MaskWriteRegisterRequest) -> bytes | ExcCodes:
        """What a register is once its bits are masked (Modbus Application Protocol V1.1b3, 6.16)."""
        held = unit.read(Table.HOLDING, request.address, 1, self._time_s())
        if isinstance(held, ExcCodes):
            return held
        and_mask: int = request.and_mask
        or_mask: int = request.or_mask
        return (int.from_bytes(held) & and_mask | or_mask & ~and_mask & 0xFFFF).to_bytes(2)


def _exception(question: bytes, code: ExcCodes) -> bytes:
    return bytes([question[0] | EXCEPTION, code])


def _packed(bits: bytes) -> bytes:
    """Bits, one in each byte, as they are sent: eight to a byte, the first the lowest."""
    packed = bytearray((len(bits) + 7) // 8)
    for place, bit in enumerate(bits):
        packed[place // 8] |= bit << place % 8
    return bytes(packed)
