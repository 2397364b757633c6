"""Whether a voice that is heard while it is the agent's turn takes the turn away: in two steps.

The first step is taken at the first voiced frames: fall silent at once, unless the voice is
known not to be the caller's. The second comes `patience` later, if the voice still goes on: by
then its sound tells more, and the agent either stays silent or goes on from the word where it
stopped. A voice that has ceased meanwhile is judged by its words instead (see `Conversation`).

A carrier cannot duck or hold what it has received (see docs/adr): yielding is `clear`, going on
is sending the unheard rest again.
"""

from dataclasses import dataclass

from talkspurt.core.events import Voice


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The rules."""

    patience: float = 0.3
    """Seconds from falling silent to the second step."""
    echo: float = 0.5
    """Share of the agent's own voice from which it is an echo: a caller who speaks over an echo drowns it."""
    stranger: float = 0.25
    """Likeness to the caller up to which it is somebody else: side talk, a television."""
    noise: float = 0.2
    """Voicing up to which it is no speech."""

    def is_echo(self, voice: Voice) -> bool:
        """Whether this is the agent's own voice."""
        return voice.echo >= self.echo

    def is_somebody_else(self, voice: Voice) -> bool:
        """Whether words of this voice are not the caller's: an echo, a stranger."""
        return self.is_echo(voice) or (voice.likeness is not None and voice.likeness <= self.stranger)

    def is_foreign(self, voice: Voice) -> bool:
        """Whether this is not the caller speaking: an echo, somebody else, a noise."""
        return self.is_somebody_else(voice) or voice.voicing <= self.noise
