"""Where passages are scored, and later kept."""
