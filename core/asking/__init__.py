"""From what a person wrote to what is searched for, if they may ask at all."""
