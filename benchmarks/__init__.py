"""What is good and what is fast, measured."""
