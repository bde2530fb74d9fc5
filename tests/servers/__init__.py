"""Local servers that speak what the outside speaks: real sockets, on loopback only."""
