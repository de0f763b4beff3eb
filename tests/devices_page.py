"""docs/devices.md, made from the profiles: `python -m tests.devices_page > docs/devices.md`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from drivers.modbus.point import PointSettings
from drivers.modbus.profile import Profile
from drivers.modbus.technician.shelf import models, profiles

WORDS = {
    "AbsoluteHumidity": "humidity",
    "ActiveEnergy": "energy",
    "ActivePower": "power",
    "ApparentPower": "apparent power",
    "DimensionlessRatio": "percentages",
    "ElectricCharge": "charge",
    "ElectricCurrent": "current",
    "ElectricPower": "power",
    "Energy": "energy",
    "Frequency": "frequency",
    "HeatFlowRate": "thermal power",
    "Length": "length",
    "MassRatio": "humidity",
    "MoleFraction": "CO2 or VOC",
    "PowerFactor": "power factor",
    "Pressure": "pressure",
    "ReactiveEnergy": "reactive energy",
    "ReactivePower": "reactive power",
    "RelativeHumidity": "humidity",
    "Resistance": "resistance",
    "RotationalVelocity": "speed",
    "SpecificEnthalpy": "enthalpy",
    "Temperature": "temperature",
    "ThermalEnergy": "thermal energy",
    "Time": "time",
    "Voltage": "voltage",
    "Volume": "volume",
    "VolumeFlowRate": "flow",
}
"""What people call a quantity kind."""
TEXTS, STATES, VALUES = "texts", "states", "values whose unit is not known"

HEAD = """# Device types

Made from the profiles by `python -m tests.devices_page > docs/devices.md`; do not edit it here.

A device of one of these types takes three lines under `devices` of its link: an id that is unique on the gateway, its
unit id, and the name of the profile.

    - id: meter-1
      unit_id: 1
      profile: eastron-sdm630

What a profile says can be narrowed and overruled there: `only` names the points that are read, a point written out under
`points` takes the place of the profile's, and `order`, `gap`, `max_count` and `timeout` are those of this device alone. A
device type that is not here is a file of the same form beside the configuration. docs/modbus.md says how.

**Nothing here was tried by us on the device itself.** "Checked" says in how many sources the map was found alike. Where
"compare" stands, no source is certain: `check` warns, the log says it whenever the link is opened, and the readings are to
be compared with the display before anybody relies on them. "Known by" is what the device must show before it is read.
"""


def listed(points: Sequence[PointSettings]) -> str:
    """What these points measure, in words: the most frequent first, and how many they are."""
    words: dict[str, int] = {}
    for point in points:
        word = WORDS[point.quantity_kind] if point.quantity_kind else _bare(point)
        words[word] = words.get(word, 0) + 1
    order = sorted(words, key=lambda word: (word in {TEXTS, STATES, VALUES}, -words[word]))
    return f"{', '.join(order)} ({len(points)} points)"


def _bare(point: PointSettings) -> str:
    if point.is_text:
        return TEXTS
    floating = point.register_type is not None and point.register_type.floating
    return VALUES if floating or point.scale != 1 else STATES


def table(all_: dict[str, Profile]) -> Iterator[str]:
    """One line for each, with what it measures."""
    yield "| device type | profile | measures | |"
    yield "|---|---|---|---|"
    for name, profile in sorted(all_.items(), key=_by_maker):
        doubt = "compare" if profile.unverified else ""
        link = f"[{name}](#{name})"
        yield f"| {profile.manufacturer} {profile.model} | {link} | {listed(profile.points)} | {doubt} |"


def _by_maker(entry: tuple[str, Profile]) -> tuple[str, str]:
    name, profile = entry
    return profile.manufacturer.lower(), name


def section(name: str, profile: Profile) -> Iterator[str]:
    """Everything that whoever installs one should read."""
    yield from (f"### {name}", "")
    yield f"**{profile.manufacturer} {profile.model}**" + (
        f", {profile.revision}" if profile.revision else ""
    )
    yield ""
    yield f"- Checked: {profile.verified}"
    if profile.unverified:
        yield f"- **Compare**: {profile.unverified}."
    for sign in profile.identity:
        yield f"- Known by: {sign.expected}."
    yield from (f"- {note}" for note in profile.notes)
    yield f"- Sources: {'; '.join(profile.source)}."
    yield from ("", f"    - id: {name}-1", "      unit_id: 1", f"      profile: {name}", "")
    yield f"Points: {', '.join(_named(profile))}."
    yield ""


def _named(profile: Profile) -> Iterator[str]:
    for point in profile.points:
        yield f"`{point.name}`" + (f" ({point.unit})" if point.unit else "")


SUNSPEC = """## SunSpec

Inverters, meters and batteries that follow SunSpec say themselves which models they have, and where: name the models, in the
device's order. `scan` proposes them. From the published model definitions (github.com/sunspec/models); some were checked with
public traces of a SolarEdge and a Kostal inverter, none was tried by us on a device.

    - id: inverter-1
      unit_id: 1
      sunspec: {models: [1, 103]}

| model | what it is | measures |
|---|---|---|"""


def sunspec() -> Iterator[str]:
    """The models of SunSpec."""
    yield SUNSPEC
    for number, model in models().items():
        points = list(model.all_points(1))
        each = f" (for each {model.repeated.word})" if model.repeated else ""
        yield f"| {number} | {model.name} | {listed(points)}{each} |"
    yield ""


def page() -> str:
    """The whole page."""
    all_ = profiles()
    lines = [HEAD, *table(all_), "", *sunspec()]
    for maker, entries in groupby(sorted(all_.items(), key=_by_maker), lambda entry: entry[1].manufacturer):
        lines += [f"## {maker}", ""]
        for name, profile in entries:
            lines += section(name, profile)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    print(page(), end="")
