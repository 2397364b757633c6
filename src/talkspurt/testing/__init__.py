"""Public doubles for trying and testing agents: they need no account, no key and, but for the fakes, no network.

`providers` are scripted recognizers, models and synthesizers with fixed timing; `virtual_time` is an event loop
whose clock jumps; `text_call` holds a call in text; `ledger` keeps effects in memory; `event_log` plays a call again
from the log of its events; `fakes` speak vendors' real wire formats on loopback.
"""
