"""How a reply is said: text for the eye becomes text for a synthesizer, per language."""
