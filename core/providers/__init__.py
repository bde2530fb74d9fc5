"""The outside world: one file per thing that is called, behind a port of core.ports."""
