"""What a hand-over looks like to Twilio: TwiML for the caller's line and for the colleague's.

Every document of the caller's ends by asking `/twilio/resume` again, so that the call survives whatever
process gave it out. Source: Twilio's pages of `<Dial>`, `<Conference>`, `<Gather>`.
"""

from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import urlencode

from twilio.twiml.voice_response import Dial, Gather, VoiceResponse

from talkspurt.server.handover import words
from talkspurt.server.handover.flow import ACCEPT_KEY, BRIEF_KEY
from talkspurt.server.handover.next import Join, Put, Wait
from talkspurt.server.origin import CONFERENCE, LEG_KEY, LEG_STATUS, RESUME, ROOM, Origin
from talkspurt.server.twiml import ONE_MOMENT

Who = Literal["caller", "colleague"]

LANGUAGE: Final = "en-US"
HOLD_SECONDS: Final = 10
"""Seconds of silence between two hold sentences, when there is no music."""
KEY_SECONDS: Final = 8
"""Seconds that a colleague has for a key once the briefing is over."""
ALONE_SECONDS: Final = 5
"""Seconds of silence until whoever is alone in the room asks again."""
ALONE_IN_SILENCE: Final = 3
"""Such silences until they hear again that they wait."""
LONGEST_TALK: Final = 4 * 60 * 60

ANNOUNCED: Final = f"Press {BRIEF_KEY} to hear who is calling and why, {ACCEPT_KEY} to take the call, or 3 to decline."
BRIEFED: Final = f"Press {ACCEPT_KEY} to take the call, {BRIEF_KEY} to hear this again, or 3 to decline."


def about(path: str, handover: str, attempt: int) -> str:
    """The path of a webhook that carries which hand-over and which attempt it is about."""
    return f"{path}?{urlencode({'handover': handover, 'attempt': attempt})}"


def attempt_of(fields: Mapping[str, str]) -> int:
    """Which attempt a webhook is about; 0 when it does not say."""
    return _number(fields, "attempt")


def turns_of(fields: Mapping[str, str]) -> int:
    """How often whoever is alone in the room has asked before."""
    return _number(fields, "turns")


def _number(fields: Mapping[str, str], name: str) -> int:
    number = fields.get(name, "")
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else 0


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
        # "completed" too: `action` may not be asked when it is the caller who hangs up, and the line is held then.
        status_callback_event="answered completed",
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
    _room(dial, following.handover, following.attempt, "caller", origin)
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
    _room(dial, handover, attempt, "colleague", origin)
    response.append(dial)
    response.hangup()
    return str(response)


def alone(handover: str, attempt: int, who: Who, turns: int, origin: Origin) -> str:
    """What whoever is alone in the room is played, `turns` times before; then the carrier asks again.

    Of TwiML the carrier takes no more here than words, music, silence and another address.
    """
    response = VoiceResponse()
    if turns % ALONE_IN_SILENCE == 0:
        response.say(ONE_MOMENT, language=LANGUAGE)
    response.pause(length=ALONE_SECONDS)
    response.redirect(origin.url(room_path(handover, attempt, who, turns + 1)), method="POST")
    return str(response)


def room_path(handover: str, attempt: int, who: Who, turns: int = 0) -> str:
    """Where the carrier asks what to play to whoever is alone in the room, and has been asked `turns` times."""
    return f"{about(ROOM, handover, attempt)}&{urlencode({'who': who, 'turns': turns})}"


def _room(dial: Dial, handover: str, attempt: int, who: Who, origin: Origin) -> None:
    # Whoever leaves ends it for both: nobody stays behind alone.
    dial.conference(
        f"handover-{handover}-{attempt}",
        start_conference_on_enter=True,
        end_conference_on_exit=True,
        max_participants=2,
        beep="false",
        # Asked for as long as one of them is alone: it is how we learn that the other does not come.
        wait_url=origin.url(room_path(handover, attempt, who)),
        wait_method="POST",
        status_callback=origin.url(about(CONFERENCE, handover, attempt)),
        status_callback_event="start",
        status_callback_method="POST",
    )
