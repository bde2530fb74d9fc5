"""Search engines behind the SearchProvider port."""
