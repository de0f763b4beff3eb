"""A plug-in that cannot be imported on this machine."""

raise OSError("libattic.so is not installed")
