"""Upstreams: one file for each kind."""
