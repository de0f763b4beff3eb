"""A plug-in whose settings no configuration could be read as."""

from agent.interfaces import LinkBase


class LinkSettings(LinkBase, frozen=True, kw_only=True):
    number: complex = 0j
