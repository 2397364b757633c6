"""What a hand-over looks like to Twilio: TwiML for the caller's line and for the colleague's.

Every document of the caller's ends by asking `/twilio/resume` again, so that the call survives whatever
process gave it out. Source: Twilio's pages of `<Dial>`, `<Conference>`, `<Gather>`.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from twilio.twiml.voice_response import Dial, Gather, VoiceResponse

from talkspurt.server.handover import words
from talkspurt.server.handover.flow import ACCEPT_KEY, BRIEF_KEY
from talkspurt.server.handover.next import Join, Put, Wait
from talkspurt.server.origin import CONFERENCE, LEG_KEY, LEG_STATUS, RESUME, Origin

LANGUAGE: Final = "en-US"
HOLD_SECONDS: Final = 10
"""Seconds of silence between two hold sentences, when there is no music."""
KEY_SECONDS: Final = 8
"""Seconds that a colleague has for a key once the briefing is over."""
LONGEST_TALK: Final = 4 * 60 * 60

ANNOUNCED: Final = f"Press {BRIEF_KEY} to hear who is calling and why, {ACCEPT_KEY} to take the call, or 3 to decline."
BRIEFED: Final = f"Press {ACCEPT_KEY} to take the call, {BRIEF_KEY} to hear this again, or 3 to decline."


def about(path: str, handover: str, attempt: int) -> str:
    """The path of a webhook that carries which hand-over and which attempt it is about."""
    return f"{path}?{urlencode({'handover': handover, 'attempt': attempt})}"


def attempt_of(fields: Mapping[str, str]) -> int:
    """Which attempt a webhook is about; 0 when it does not say."""
    attempt = fields.get("attempt", "")
    return int(attempt) if attempt.isascii() and attempt.isdecimal() and len(attempt) < 10 else 0


def put(following: Put, origin: Origin) -> str:
    """Ring a person while the caller hears the ringing."""
    response = VoiceResponse()
    dial = Dial(
        answer_on_bridge=True,
        action=origin.url(about(RESUME, following.handover, following.attempt)),
        method="POST",
        timeout=following.ring,
        time_limit=LONGEST_TALK,
    )
    dial.number(
        following.number,
        status_callback=origin.url(about(LEG_STATUS, following.handover, following.attempt)),
        status_callback_event="answered",
        status_callback_method="POST",
    )
    response.append(dial)
    return str(response)


def wait(following: Wait, origin: Origin, music: str | None) -> str:
    """Let the caller wait with words, music and keys, and ask again when it has been played."""
    response = VoiceResponse()
    gather = Gather(num_digits=1, action=origin.url(RESUME), method="POST", timeout=1)
    gather.say(following.text, language=LANGUAGE)
    if music is None:
        gather.pause(length=HOLD_SECONDS)
    else:
        gather.play(music)
    response.append(gather)
    response.redirect(origin.url(RESUME), method="POST")
    return str(response)


def join(following: Join, origin: Origin) -> str:
    """Put the caller into the room where the colleague waits."""
    response = VoiceResponse()
    dial = Dial(
        action=origin.url(about(RESUME, following.handover, following.attempt)),
        method="POST",
        time_limit=LONGEST_TALK,
    )
    _room(dial, following.handover, following.attempt, origin)
    response.append(dial)
    return str(response)


def briefing(text: str, keys: str, handover: str, attempt: int, origin: Origin) -> str:
    """Tell whoever picked up of the call and what the `keys` are (`ANNOUNCED`, `BRIEFED`), and wait for one."""
    response = VoiceResponse()
    key_url = origin.url(about(LEG_KEY, handover, attempt))
    for line in (f"{text} {keys}", keys):
        gather = Gather(num_digits=1, action=key_url, method="POST", timeout=KEY_SECONDS)
        gather.say(line, language=LANGUAGE)
        response.append(gather)
    response.redirect(key_url, method="POST")
    return str(response)


def accepted(handover: str, attempt: int, origin: Origin) -> str:
    """Put the colleague into the room that the caller is about to join."""
    response = VoiceResponse()
    response.say(words.ACCEPTED, language=LANGUAGE)
    dial = Dial(time_limit=LONGEST_TALK)
    _room(dial, handover, attempt, origin)
    response.append(dial)
    response.hangup()
    return str(response)


def _room(dial: Dial, handover: str, attempt: int, origin: Origin) -> None:
    # Whoever leaves ends it for both: nobody stays behind alone.
    dial.conference(
        f"handover-{handover}-{attempt}",
        start_conference_on_enter=True,
        end_conference_on_exit=True,
        max_participants=2,
        beep="false",
        wait_url="",
        status_callback=origin.url(about(CONFERENCE, handover, attempt)),
        status_callback_event="start",
        status_callback_method="POST",
    )
