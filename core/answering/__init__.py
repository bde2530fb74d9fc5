"""From ranked passages to an answer with footnotes."""
