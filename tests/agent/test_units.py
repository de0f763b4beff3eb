"""Units are UCUM codes; the well-known wrong ones say which is meant."""

import pytest
import yaml
from hypothesis import given, strategies
from hypothesis import settings as hypothesis_settings

from agent import units

CODES = """Cel K % %{RH} [ppm] [ppb] W kW MW W.h kW.h MW.h GW.h GJ J V mV A mA Hz V.A kV.A V.A{reactive}
    kV.A.h{reactive} Pa hPa kPa bar mbar m3 L mL m3.h-1 L.s-1 L.h-1 L.min-1 lx {#} {#}.min-1 ug.m-3 mg.m-3 g.m-3
    kg.m-3 g.kg-1 kJ.kg-1 1 h min s d deg m m.s-1 mm W.m-2 Ohm dB [degF] [pH] uS.cm-1 Bq.m-3"""


@pytest.mark.parametrize("code", CODES.split())
def test_what_buildings_measure_is_known(code):
    """Without a doubt."""
    assert units.check(code) is None


@pytest.mark.parametrize("wrong", sorted(units.WRONG))
def test_a_wrong_one_names_its_code(wrong):
    """And that code is known; it stands in quotes where YAML needs them."""
    code = units.WRONG[wrong]
    assert units.check(code) is None
    with pytest.raises(ValueError, match="expected a UCUM code") as raised:
        units.check(wrong)
    written = str(raised.value).rpartition("write ")[2]
    assert yaml.safe_load(f"unit: {written}") == {"unit": code}


def test_an_unknown_one_is_a_doubt():
    """The table is as wide as buildings are; somebody's building may be wider."""
    assert units.check("Celcius") == "'Celcius' is not a UCUM code known here: did you mean Cel?"
    assert units.check("furlong") == "'furlong' is not a UCUM code known here"
    for text in ("", ".", "W.", "kW..h", "m3 h-1", "{#", "W{a}{b}", "kg/", "Wh.h", "-1", "2"):
        assert units.check(text)


@given(strategies.text(max_size=40))
@hypothesis_settings(deadline=None)
def test_any_text_is_known_doubtful_or_wrong(text):
    """Nothing else happens."""
    try:
        doubt = units.check(text)
    except ValueError:
        assert text in units.WRONG
    else:
        assert doubt is None or "UCUM" in doubt
