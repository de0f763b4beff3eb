"""docs/devices.md is what the profiles say."""

from pathlib import Path

from tests.devices_page import page

PAGE = Path(__file__).parents[2] / "docs" / "devices.md"


def test_the_page_of_device_types_is_current():
    """Whoever changes a profile makes it anew: `python -m tests.devices_page > docs/devices.md`."""
    assert PAGE.read_text(encoding="utf-8") == page()
