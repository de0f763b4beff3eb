"""Units of measurement as UCUM codes (https://ucum.org/ucum): is this one, and if not, which was meant.

Pure, and only as wide as buildings are. A code is a product of terms joined by `.` or `/`; a term is a prefix, a unit
and an exponent (`m3.h-1`, `kW.h`), or something counted (`{#}`); an annotation in braces says of what
(`V.A{reactive}`). One quantity has one spelling, that of the tables upstream formats are translated by: volume flow
is `m3.h-1`, although UCUM would let `m3/h` pass.
"""

from __future__ import annotations

import re
from functools import lru_cache

PREFIXES = ("G", "M", "k", "h", "d", "c", "m", "u", "n", "")

_METRIC = """m g s K Cel rad mol cd A V W J N Pa bar Hz Ohm S F H T Wb lm lx L l eq t cal Bq Sv Gy B B[W] B[V]
    m[H2O] m[Hg]"""
METRIC = frozenset(_METRIC.split())
"""Units that take a prefix."""

_PLAIN = """% 1 min h d wk mo a deg atm har ar [ppth] [ppm] [ppb] [pptr] [pH] [degF] [psi] [in_i'H2O] [in_i] [ft_i]
    [lb_av] [gal_us] [Btu_IT]"""
PLAIN = frozenset(_PLAIN.split())
"""Units that do not."""

WRONG = {
    "ppm": "[ppm]",
    "ppb": "[ppb]",
    "%RH": "%{RH}",
    "%rH": "%{RH}",
    "% RH": "%{RH}",
    "RH": "%{RH}",
    "percent": "%",
    "°C": "Cel",
    "C": "Cel",
    "degC": "Cel",
    "celsius": "Cel",
    "Celsius": "Cel",
    "°F": "[degF]",
    "var": "V.A{reactive}",
    "VAr": "V.A{reactive}",
    "VAR": "V.A{reactive}",
    "kvar": "kV.A{reactive}",
    "kVAr": "kV.A{reactive}",
    "kVAR": "kV.A{reactive}",
    "varh": "V.A.h{reactive}",
    "kvarh": "kV.A.h{reactive}",
    "kVArh": "kV.A.h{reactive}",
    "VA": "V.A",
    "kVA": "kV.A",
    "VAh": "V.A.h",
    "kVAh": "kV.A.h",
    "Wh": "W.h",
    "kWh": "kW.h",
    "MWh": "MW.h",
    "GWh": "GW.h",
    "m³": "m3",
    "m³/h": "m3.h-1",
    "m3/h": "m3.h-1",
    "m³/s": "m3.s-1",
    "m3/s": "m3.s-1",
    "l/s": "L.s-1",
    "L/s": "L.s-1",
    "l/min": "L.min-1",
    "L/min": "L.min-1",
    "l/h": "L.h-1",
    "L/h": "L.h-1",
    "liter": "L",
    "litre": "L",
    "m/s": "m.s-1",
    "rpm": "{#}.min-1",
    "1/min": "{#}.min-1",
    "\u00b5g/m³": "ug.m-3",  # the micro sign
    "\u03bcg/m³": "ug.m-3",  # Greek mu
    "\u00b5g/m3": "ug.m-3",
    "\u03bcg/m3": "ug.m-3",
    "ug/m3": "ug.m-3",
    "mg/m3": "mg.m-3",
    "mg/m³": "mg.m-3",
    "g/m3": "g.m-3",
    "g/m³": "g.m-3",
    "kg/m3": "kg.m-3",
    "kg/m³": "kg.m-3",
    "g/kg": "g.kg-1",
    "kJ/kg": "kJ.kg-1",
    "W/m2": "W.m-2",
    "W/m²": "W.m-2",
    "m²": "m2",
    "lux": "lx",
    "\u03a9": "Ohm",  # Greek omega
    "\u2126": "Ohm",  # the ohm sign
    "ohm": "Ohm",
    "°": "deg",
    "psi": "[psi]",
    "sec": "s",
    "hour": "h",
    "hours": "h",
    "days": "d",
}
"""What people write, and its code."""

_TERM = re.compile(
    r"(?P<unit>[A-Za-z%'\[\]_][A-Za-z0-9%'\[\]_]*?|1)?(?P<power>[-+]?[0-9]+)?(?P<note>\{[!-z|~]*\})?"
)


@lru_cache(256)
def check(text: str) -> str | None:
    """Look at a unit: `None` when it is known, a doubt when it is not; raises `ValueError` naming the code that is meant."""
    if code := WRONG.get(text):
        raise ValueError(f"expected a UCUM code; found {text}: write {_quoted(code)}")
    if is_code(text):
        return None
    guess = _closest(text)
    return f"{text[:40]!r} is not a UCUM code known here" + (
        f": did you mean {_quoted(guess)}?" if guess else ""
    )


def is_code(text: str) -> bool:
    """Whether a text is made of the units known here, by the grammar of UCUM without its parentheses."""
    return bool(text) and all(map(_is_term, re.split(r"[./]", text)))


def _is_term(text: str) -> bool:
    match = _TERM.fullmatch(text)
    if not match or not text:
        return False
    unit = match["unit"]
    if unit is None:
        return match["note"] is not None and match["power"] is None
    return unit in PLAIN or any(
        unit.startswith(prefix) and unit[len(prefix) :] in METRIC for prefix in PREFIXES
    )


def _quoted(code: str) -> str:
    """Write a code as it must stand in YAML."""
    return f'"{code}"' if code[0] in "[{%" else code


def _closest(text: str) -> str | None:
    import difflib  # noqa: PLC0415  only a mistake needs it, and every start would pay for it

    known = {*WRONG.values(), *PLAIN, *METRIC, *(f"k{unit}" for unit in METRIC)}
    return next(iter(difflib.get_close_matches(text, sorted(known), 1, 0.6)), None)
