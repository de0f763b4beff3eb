"""Who on a link is asked when, and what follows from how it answers."""
