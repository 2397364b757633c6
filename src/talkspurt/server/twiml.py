"""The TwiML that we answer with, built by Twilio's own SDK.

A document that connects a call ends with `<Redirect>` to `/twilio/resume`: whatever ends the
socket, the carrier then asks how to go on, so a call survives the process that held it.
"""

from typing import Final

from twilio.twiml.voice_response import Connect, VoiceResponse

CONTENT_TYPE: Final = "application/xml"

UNKNOWN_NUMBER: Final = "This number is not in service. Goodbye."
ONE_MOMENT: Final = "One moment, please."
TECHNICAL_PROBLEM: Final = "We are sorry, there is a technical problem. Please call again in a few minutes. Goodbye."


def connect(*, stream_url: str, token: str, resume_url: str) -> str:
    """Open a media socket both ways. The token is a parameter because Twilio drops query strings."""
    response = VoiceResponse()
    connect = Connect()
    connect.stream(url=stream_url).parameter(name="token", value=token)
    response.append(connect)
    response.redirect(resume_url, method="POST")
    return str(response)


def ask_again(*, resume_url: str) -> str:
    """Keep the caller for a second, then come back to `resume_url`."""
    response = VoiceResponse()
    response.pause(length=1)
    response.redirect(resume_url, method="POST")
    return str(response)


def wait(*, text: str, language: str, seconds: int, then_url: str) -> str:
    """Keep the caller in silence for some seconds, after a sentence if there is one, and ask again at `then_url`."""
    response = VoiceResponse()
    if text:
        response.say(text, language=language)
    response.pause(length=seconds)
    response.redirect(then_url, method="POST")
    return str(response)


def say_and_hang_up(text: str, *, language: str = "en-US") -> str:
    """Tell the caller something and end the call."""
    response = VoiceResponse()
    response.say(text, language=language)
    response.hangup()
    return str(response)


def hang_up() -> str:
    """End the call."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def reject() -> str:
    """Refuse the call with the busy tone, unanswered and so unbilled."""
    response = VoiceResponse()
    response.reject(reason="busy")
    return str(response)
