"""The conversation: pure state machines, facts in, commands out.

Nothing in this package does I/O, reads a clock, draws a random number or awaits.
Times are seconds since the call began, so that a conversation can move to another host.
"""
