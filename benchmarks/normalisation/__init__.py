"""How well written text is turned into spoken words, and spoken words into values."""
