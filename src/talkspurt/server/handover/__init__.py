"""Handing a call over to a person, and taking the caller back when nobody comes.

`targets` and `hours` say who may be called and when; `desk` answers the agent's tools; `flow` takes a
call through its hand-over, fact by fact; `briefing` words what the colleague hears; `webhooks` and
`documents` speak of it with Twilio. See docs/handover.md.
"""
