"""What the line of a caller who is being handed over does next. It knows no carrier: its transport carries it out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Put:
    """Ring `number` with the caller on the line; then ask again, with how it went and this `attempt`."""

    handover: str
    attempt: int
    number: str
    ring: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Let the caller wait, tell them `text`, then ask again, with the key that they pressed."""

    text: str


@dataclass(frozen=True, slots=True)
class Join:
    """Put the caller together with the colleague who waits in this room; then ask again."""

    handover: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Back:
    """The call is the agent's again."""


@dataclass(frozen=True, slots=True)
class Over:
    """The caller has spoken with a person, and the call is over."""


Next = Put | Wait | Join | Back | Over
