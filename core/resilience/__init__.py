"""The guards of time and load: deadlines, retries, circuit breakers, shared work."""
