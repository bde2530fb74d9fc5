"""A small web of its own, so that the bot can be tried without keys or a network."""
