"""How one point is written: what may be, by which request, and how it is read back."""
