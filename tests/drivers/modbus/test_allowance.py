"""The watchdog's patience with a link, against what its schedule really does when everybody is silent."""

from datetime import timedelta

import pytest

from drivers.modbus import DeviceSettings, LinkSettings, allowance
from drivers.modbus.point import PointSettings
from drivers.modbus.polling.schedule import Schedule, Slots
from drivers.modbus.values.registers import Table, Type

POINT = PointSettings(name="p", table=Table.HOLDING, address=0, register_type=Type.UINT16)
S = 1_000_000_000


def longest_gap_s(devices, interval_s, limit_s, quiet_s, hours=6):
    """Let all devices of a link stay silent; the longest time in which no attempt ended, in seconds."""
    schedule, now_ns = Schedule(), 0
    for number in range(devices):
        schedule.add(f"d{number}", [Slots(interval_s * S)], cost_ns=limit_s * S, now_ns=0)
    ended_ns, longest_ns = 0, 0
    while now_ns < hours * 3600 * S:
        turn = schedule.next(now_ns)
        if turn is None:
            now_ns = schedule.wake_ns()
            continue
        now_ns += limit_s * S
        longest_ns, ended_ns = max(longest_ns, now_ns - ended_ns), now_ns
        schedule.failed(turn.device, now_ns, spent_ns=(limit_s + quiet_s) * S)
        now_ns += quiet_s * S
    return longest_ns / S


@pytest.mark.parametrize("quiet_s", [0, 60])
@pytest.mark.parametrize("limit_s", [1, 7, 20, 60])
@pytest.mark.parametrize("devices", [1, 3, 20])
def test_a_building_without_power_starves_no_watchdog(devices, limit_s, quiet_s):
    """However many devices are silent and however long their time limits, something ends within the allowance."""
    link = LinkSettings(
        id="line",
        driver="modbus",
        host="192.0.2.1",
        timeout=timedelta(seconds=limit_s),
        quiet=timedelta(seconds=max(quiet_s, limit_s)),
        devices=tuple(DeviceSettings(id=f"d{number}", points=(POINT,)) for number in range(devices)),
    )
    assert longest_gap_s(devices, 10, limit_s, quiet_s) < allowance(link).total_seconds()
