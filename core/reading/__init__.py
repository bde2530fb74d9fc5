"""Pages as they arrive: fetched, made readable, cut into passages."""
