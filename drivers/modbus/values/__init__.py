"""How registers become values, and back: pure."""
