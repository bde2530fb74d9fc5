"""Which passages answer the question best."""
