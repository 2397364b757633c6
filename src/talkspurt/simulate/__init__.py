"""The other end of the line: a carrier that behaves like Twilio, and callers who use it.

`twilio.TwilioDouble` is one call over the real wire format; `caller.run_script` has a scripted
caller hold a conversation on it and reports what was measured. Nothing here knows the server:
it is dialled like any other.
"""
