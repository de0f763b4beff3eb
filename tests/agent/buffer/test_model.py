"""Random sequences of everything that happens to a buffer, against a model of sets; more of them in tests/faults."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.agent.buffer.model import Sequences

TestSequences = pytest.mark.timeout(600)(Sequences.TestCase)
TestSequences.settings = settings(
    deadline=None, max_examples=15, stateful_step_count=30, suppress_health_check=list(HealthCheck)
)
