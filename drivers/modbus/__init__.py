"""Modbus."""

from drivers.modbus.settings import DeviceSettings, LinkSettings, owner, points

__all__ = ["DeviceSettings", "LinkSettings", "owner", "points"]
