"""The devices of a link, emulated: what `simulate` serves."""
