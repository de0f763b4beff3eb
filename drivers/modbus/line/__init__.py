"""How a question gets to a device and its answer back: framings, the conversation, and what carries the bytes."""
