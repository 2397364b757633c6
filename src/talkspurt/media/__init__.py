"""Sample arithmetic: pure functions and small machines over audio. No I/O, no clock, no randomness."""
