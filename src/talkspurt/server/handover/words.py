"""How hand-overs are spoken of, in English: to the caller, to the model, to the colleague.

Every sentence says what happened and no more. "Escalated" is none of them.
"""

from datetime import datetime, timedelta
from typing import Final

from talkspurt.agent.handover import HandoverAnswer

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

CAUSES: Final = {
    "no_answer": "Nobody in {place} answered.",
    "busy": "The line of {place} is busy.",
    "failed": "{place} can't be reached at the moment.",
    "declined": "Nobody in {place} is free to take the call.",
    "no_response": "Nobody in {place} is free to take the call.",
    "voicemail": "Only an answering machine took the call in {place}.",
    "hung_up": "The line to {place} was cut off.",
    "waited_too_long": "Nobody in {place} has become free.",
    "closed": "{place} has closed meanwhile.",
    "came_back": "You wanted to come back to me.",
    "callback": "A colleague is to call you back.",
}
"""Why a hand-over came to nothing, by cause."""

WISHES: Final = frozenset({"came_back", "callback"})
"""Causes that are no failure: the caller wanted it so."""


def place(name: str) -> str:
    """A target's name as it is said."""
    return name.replace("_", " ").replace("-", " ")


def moment(when: datetime, now: datetime) -> str:
    """An opening time as it is said today: "today at 9 AM", "tomorrow at 9:30 AM", "on Monday at 1 PM"."""
    days = (when.date() - now.astimezone(when.tzinfo).date()) / timedelta(days=1)
    if days < 1:
        day = "today"
    elif days < 2:
        day = "tomorrow"
    elif days < 7:
        day = f"on {_DAYS[when.weekday()]}"
    else:
        day = f"on {_MONTHS[when.month - 1]} {when.day}"
    hour = when.hour % 12 or 12
    minutes = f":{when.minute:02}" if when.minute else ""
    return f"{day} at {hour}{minutes} {'AM' if when.hour < 12 else 'PM'}"


def connecting(target: str) -> str:
    """Said before the caller is put through."""
    return f"I'm trying to put you through to {place(target)} now. If nobody takes the call, I'll be back with you."


def queued(target: str, position: int) -> str:
    """Said before the caller waits in a queue."""
    return (
        f"Everybody in {place(target)} is busy right now. You're number {position} in the queue, and I'll put you "
        "through as soon as somebody is free."
    )


def closed(target: str, opens: str | None) -> str:
    """Said when nobody is there."""
    return f"Nobody is in {place(target)} right now; they are back {opens}." if opens else "Nobody is there right now."


def no_number() -> str:
    """Said when there is no number to call back."""
    return "I can't see your number to call you back. Please call again with your number shown."


def callback_noted() -> str:
    """Said when a call-back was noted."""
    return "I've asked a colleague to call you back on this number."


def callback_kept(target: str | None) -> str:
    """Said when the call has a call-back already, from another place or for another account than is asked for now."""
    colleague = f"A colleague from {place(target)}" if target else "A colleague"
    return f"{colleague} was asked earlier in this call to call back on this number. I can't note another call-back."


def returned(target: str, cause: str) -> HandoverAnswer:
    """What the model is told of a hand-over that came to nothing."""
    known = CAUSES.get(cause, CAUSES["failed"]).format(place=place(target))
    message = known[0].upper() + known[1:]
    if cause not in WISHES:
        message += " I can have a colleague call you back, or try to help you myself."
    return HandoverAnswer("unavailable", message, target=target, callback=cause == "callback")


def hold(target: str, ahead: int | None) -> str:
    """What the caller hears while they wait; `ahead` is None while the telephone there rings."""
    if ahead is None:
        return f"Thank you for holding. I'm still trying to reach {place(target)}."
    return f"Thank you for holding. You're number {ahead + 1} in the queue for {place(target)}."


def hold_keys(number: str) -> str:
    """What the caller may press meanwhile; nobody can call a withheld number back."""
    return f"Press {'1 to be called back instead, or ' if number else ''}2 to come back to me."


NOT_WAITING: Final = "The caller is not waiting any more. Thank you. Goodbye."
DECLINED: Final = "Thank you. Goodbye."
ACCEPTED: Final = "Connecting you now."
