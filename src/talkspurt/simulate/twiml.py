"""TwiML as a carrier reads it: a document becomes a tuple of verbs, in order.

Not a validator for all of TwiML: it knows the verbs that an answered call with a media
stream needs, and refuses the rest by name, so that a reply which Twilio would understand
and this carrier would not can never pass for a silent success.

Parsing is defusedxml's, for the document comes from whatever was dialled.

Source: Twilio's "TwiML for Programmable Voice", pages of the verbs named below.
"""

from dataclasses import dataclass
from xml.etree.ElementTree import Element  # nosec B405

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from talkspurt.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class ConnectStream:
    """`<Connect><Stream>`: a media socket in both directions; the next verb runs when it has ended."""

    url: str
    parameters: tuple[tuple[str, str], ...] = ()
    action: str | None = None
    """Requested when the stream has ended; its TwiML replaces the rest of this one."""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Redirect:
    """`<Redirect>`: go on with the TwiML at `url`; "" is the current document."""

    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Say:
    """`<Say>`: the carrier itself speaks."""

    text: str


@dataclass(frozen=True, slots=True)
class Pause:
    """`<Pause>`: seconds of silence."""

    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Play:
    """`<Play>`: a recording at `url`."""

    url: str


@dataclass(frozen=True, slots=True)
class Gather:
    """`<Gather>`: play the prompts and wait for a key; without one the next verb runs."""

    prompts: tuple[Say | Pause | Play, ...]
    action: str | None = None
    """Told the key; its TwiML replaces the rest of this one."""
    timeout: float = 5.0
    """Seconds that a key is waited for when the prompts are over."""


@dataclass(frozen=True, slots=True)
class Room:
    """`<Conference>` within `<Dial>`: meet whoever else is in the room of that name."""

    name: str
    starts: bool = True
    """Whether the conference may begin with this participant."""
    ends: bool = False
    """Whether it ends for all when this participant leaves."""
    status_callback: str | None = None
    """Told when it begins."""
    wait_url: str | None = None
    """Asked what to play to whoever is alone in it."""


@dataclass(frozen=True, slots=True)
class Dial:
    """`<Dial>`: connect the caller with `number`, or with whoever is in `room`."""

    number: str = ""
    room: Room | None = None
    action: str | None = None
    """Told how the second leg went; its TwiML replaces the rest of this one."""
    method: str = "POST"
    timeout: float = 30.0
    """Seconds that the telephone rings."""
    status_callback: str | None = None
    """Told of `number` what is in `events`."""
    events: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hangup:
    """`<Hangup>`: end the call."""


@dataclass(frozen=True, slots=True)
class Reject:
    """`<Reject>`: do not answer; the caller hears `reason`, `busy` or `rejected`."""

    reason: str = "rejected"


Verb = ConnectStream | Redirect | Say | Pause | Play | Gather | Dial | Hangup | Reject


def parse_twiml(document: str) -> tuple[Verb, ...]:
    """Read a TwiML document.

    Raises `ProtocolError` where Twilio would say "application error" (12100, 12200), and
    for verbs that this carrier does not speak.
    """
    try:
        root: Element = fromstring(document, forbid_dtd=True)
    except (ParseError, DefusedXmlException) as error:
        reason = str(error) or type(error).__name__
        raise ProtocolError("twiml", f"12100 the answer is not an XML document: {reason}") from None
    if root.tag != "Response":
        raise ProtocolError("twiml", f"12100 the root must be <Response>, not <{root.tag}>")
    return tuple(_verb(element) for element in root)


def _verb(element: Element) -> Verb:
    match element.tag:
        case "Connect":
            return _connect(element)
        case "Redirect":
            return Redirect(_text(element), _method(element))
        case "Say":
            return Say(_text(element))
        case "Pause":
            return Pause(_seconds(element, "length", "1"))
        case "Play":
            return Play(_text(element))
        case "Gather":
            return _gather(element)
        case "Dial":
            return _dial(element)
        case "Hangup":
            return Hangup()
        case "Reject":
            return Reject(element.get("reason", "rejected"))
    raise ProtocolError("twiml", f"12200 this carrier does not speak <{element.tag}>")


def _connect(element: Element) -> ConnectStream:
    if [child.tag for child in element] != ["Stream"]:
        raise ProtocolError("twiml", "12200 <Connect> must hold exactly one <Stream>")
    stream = element[0]
    url = stream.get("url", "")
    if not url.startswith(("wss://", "ws://")):
        raise ProtocolError("twiml", f"31922 <Stream url> must begin with wss://, not {url!r}")
    parameters = []
    for child in stream:
        if child.tag != "Parameter" or not child.get("name"):
            raise ProtocolError("twiml", "12200 <Stream> may hold only <Parameter name value>")
        parameters.append((child.get("name", ""), child.get("value", "")))
    return ConnectStream(url, tuple(parameters), element.get("action"), _method(element))


def _gather(element: Element) -> Gather:
    prompts = []
    for child in element:
        prompt = _verb(child)
        if not isinstance(prompt, Say | Pause | Play):
            raise ProtocolError("twiml", f"12200 <Gather> may not hold <{child.tag}>")
        prompts.append(prompt)
    if element.get("numDigits") != "1":
        raise ProtocolError("twiml", "12200 this carrier knows <Gather> only with numDigits 1")
    return Gather(tuple(prompts), element.get("action"), _seconds(element, "timeout", "5"))


def _dial(element: Element) -> Dial:
    if _text(element):
        return Dial(_text(element), None, element.get("action"), _method(element), _seconds(element, "timeout", "30"))
    if len(element) != 1 or element[0].tag not in ("Number", "Conference") or not _text(element[0]):
        raise ProtocolError("twiml", "12200 <Dial> names no number and no conference, or several")
    noun = element[0]
    events = noun.get("statusCallbackEvent", "").split()
    room = None
    if noun.tag == "Conference":
        room = Room(
            _text(noun),
            starts=noun.get("startConferenceOnEnter", "true") == "true",
            ends=noun.get("endConferenceOnExit", "false") == "true",
            status_callback=noun.get("statusCallback") if "start" in events else None,
            wait_url=noun.get("waitUrl"),
        )
    return Dial(
        number="" if room else _text(noun),
        room=room,
        action=element.get("action"),
        method=_method(element),
        timeout=_seconds(element, "timeout", "30"),
        status_callback=None if room else noun.get("statusCallback"),
        events=frozenset(events),
    )


def _seconds(element: Element, attribute: str, default: str) -> float:
    length = element.get(attribute, default)
    if not length.isdecimal():
        raise ProtocolError("twiml", f"12200 <{element.tag} {attribute}> must be whole seconds, not {length!r}")
    return float(length)


def _method(element: Element) -> str:
    return element.get("method", "POST").upper()


def _text(element: Element) -> str:
    return (element.text or "").strip()
