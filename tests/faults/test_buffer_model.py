"""The same random sequences as in the quick suite, many more and longer."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.agent.buffer.model import Sequences

TestManySequences = pytest.mark.faults(pytest.mark.timeout(1200)(Sequences.TestCase))
TestManySequences.settings = settings(
    deadline=None,
    max_examples=1500,
    stateful_step_count=50,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
