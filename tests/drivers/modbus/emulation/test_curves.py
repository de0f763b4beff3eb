"""Curves: what emulated devices show is plausible, fits together, and is always the same."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.modbus.emulation.curves import COUNTING_SINCE_S, DAY_S, JOULES, Curve, Sine, curve, wave
from drivers.modbus.point import PointSettings
from drivers.modbus.values.registers import Table, Type

unhurried = settings(deadline=None)

NOON = COUNTING_SINCE_S + 200.5 * DAY_S
moments = st.floats(COUNTING_SINCE_S, COUNTING_SINCE_S + 3000 * DAY_S)


def shown(name, unit=None, device="d", **given_settings):
    defaults = {"table": Table.INPUT, "address": 0, "register_type": Type.FLOAT32}
    return curve(device, PointSettings(name=name, unit=unit, **(defaults | given_settings)))


@unhurried
@given(start=moments, length=st.floats(0, 86_400))
def test_an_integral_is_the_area_under_its_curve(start, length):
    """Against the trapezoids of 4,000 slices."""
    made = Curve(5.0, (Sine(2.0, DAY_S, 0.3), Sine(0.5, 3601.0, 1.1)))
    slices = 4000
    heights = [made.at(start + length * index / slices) for index in range(slices + 1)]
    area = (sum(heights) - (heights[0] + heights[-1]) / 2) * length / slices
    assert made.integral(start, start + length) == pytest.approx(area, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("unit", sorted(JOULES))
@unhurried
@given(earlier=moments, step=st.floats(1, 86_400))
def test_a_counter_only_rises(unit, earlier, step):
    """Power is never below zero, so its integral never falls; with a clock of 1970 it stands at zero."""
    counter = shown("energy", unit)
    assert counter(0.0) == 0
    assert 0 <= counter(earlier) < counter(earlier + step)


def test_a_counter_rises_by_the_power_that_the_device_shows():
    """Over an hour, the energy is the power's average: within a percent, as power changes little in a minute."""
    power, energy = shown("active_power_total", "W"), shown("active_energy_import", "kW.h")
    average = sum(power(NOON + second) for second in range(3600)) / 3600
    assert (energy(NOON + 3600) - energy(NOON)) * 1000 == pytest.approx(average, rel=0.01)


def test_the_phases_of_a_meter_add_up():
    """Power and energy of all phases are the sums of theirs, and current times voltage is apparent power."""
    phases = ["_l1", "_l2", "_l3"]
    for name, unit in (("active_power", "W"), ("active_energy_import", "kW.h"), ("apparent_power", "V.A")):
        whole = shown(f"{name}_total", unit)(NOON)
        assert sum(shown(name + phase, unit)(NOON) for phase in phases) == pytest.approx(whole)
    apparent = shown("apparent_power_l1", "V.A")(NOON)
    assert shown("voltage_l1", "V")(NOON) * shown("current_l1", "A")(NOON) == pytest.approx(
        apparent, rel=0.02
    )


@pytest.mark.parametrize(
    ("name", "unit", "least", "greatest"),
    [
        ("room_temperature", "Cel", 18, 24),
        ("outdoor_air_temperature", "Cel", -5, 15),
        ("co2", "[ppm]", 400, 1200),
        ("relative_humidity", "%", 25, 60),
        ("relative_humidity", "%{RH}", 25, 60),
        ("voltage_l1", "V", 225, 237),
        ("voltage_l1_l2", "V", 390, 410),
        ("frequency", "Hz", 49.9, 50.1),
        ("active_power_total", "W", 1, 10_000),
        ("filter_remaining_time", "s", 0, 90 * DAY_S),
    ],
)
@unhurried
@given(moment=moments)
def test_values_are_such_as_a_building_has(name, unit, least, greatest, moment):
    """At any time of any day."""
    assert least <= shown(name, unit)(moment) <= greatest


def test_the_same_device_shows_the_same_at_the_same_time_and_others_do_not():
    """Nothing is random, and two sensors of one type do not march in step."""
    assert shown("t", "Cel")(NOON) == shown("t", "Cel")(NOON)
    assert shown("t", "Cel")(NOON) != shown("t", "Cel", device="other")(NOON)


def test_something_moves_while_one_looks():
    """Within ten seconds a temperature has changed by more than a hundredth of a degree."""
    look = wave("seed", 21.0, 1.0, 0.2).at
    seen = [look(NOON + second) for second in range(0, 60, 10)]
    assert max(abs(later - earlier) for earlier, later in pairwise(seen)) > 0.01


def test_the_day_has_its_peak_in_the_afternoon():
    """Between 14 and 15 UTC, so that a curve over a day looks like one of an occupied building."""
    look = wave("seed", 0.0, 1.0, 0.0).at
    peak_h = max(range(24 * 4), key=lambda quarter: look(NOON + DAY_S / 2 + quarter * 900)) / 4
    assert 13 <= peak_h <= 16


def test_alarms_are_quiet_and_other_flags_change():
    """A building in order shows no alarm; a flag is worth emulating because it changes."""
    for name, changes in (("filter_alarm", False), ("relay_status", True)):
        flag = shown(name, table=Table.COIL, register_type=None)
        states = {flag(NOON + minute * 60) for minute in range(30)}
        assert states == ({True, False} if changes else {False})
    assert shown("alarm_type_a", register_type=Type.UINT16)(NOON) == 0


def test_a_state_stays_within_its_limits():
    """A mode that begins at 3 is not shown as 1."""
    assert shown("mode", register_type=Type.UINT16, minimum=Fraction(3))(NOON) == 3
    assert math.isfinite(shown("what", "furlong")(NOON))
