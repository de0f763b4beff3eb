"""Drivers: one module for each protocol that brings samples in."""
