"""A module that is no plug-in."""
