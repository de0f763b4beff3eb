"""Durable store and forward."""
