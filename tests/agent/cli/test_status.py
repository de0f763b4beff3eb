"""`status`, laid out for a person."""

from agent.cli.status import lines

READING = {"unit": None, "quality": "good", "reason": None, "age_s": 1.0, "label": None}
STATUS = {
    "gateway": "demo-01",
    "version": "0.1.0",
    "up_s": 100.0,
    "clock": "synchronised",
    "store": {"durable": True, "bytes": 2048, "bound": 2**30, "id": "ab12"},
    "uplinks": [],
    "links": [
        {
            "id": "line",
            "driver": "modbus",
            "state": "working",
            "for_s": 90.0,
            "error": None,
            "counts": {"requests": 1200, "timeouts": 0},
            "figures": {"utilisation": 0.02345, "lateness_ms": 4.10679},
            "devices": [
                {
                    "id": "fan",
                    "state": "working",
                    "error": None,
                    "answering": {"state": "ok", "answer_ms": 0.61401, "missed_slots": 0},
                    "points": [
                        {**READING, "point": "mode", "value": 2, "label": "heating"},
                        {
                            **READING,
                            "point": "supply",
                            "value": 125.0,
                            "unit": "Cel",
                            "quality": "uncertain",
                            "reason": "outside_limits",
                        },
                    ],
                },
                {
                    "id": "old",
                    "state": "out of service",
                    "error": "being exchanged",
                    "answering": {},
                    "points": [],
                },
            ],
        }
    ],
}
SHOWN = """\
link line (modbus)  working for 90 s
  requests 1200  utilisation 2.3%  lateness_ms 4.11

  device fan  working  answer_ms 0.614
    POINT         VALUE  UNIT  QUALITY                     AGE
    mode    2 (heating)        good                        1 s
    supply          125  Cel   uncertain (outside_limits)  1 s

  device old  out of service  being exchanged
"""


def test_links_devices_and_points():
    """What happened and how full the line is; how each device does; labels beside values, reasons beside doubts."""
    shown = "\n".join(lines(STATUS))
    assert SHOWN in shown
