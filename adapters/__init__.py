"""Chat platforms: each turns its events into questions and draws the replies."""
