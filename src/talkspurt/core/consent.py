"""Whether the caller has agreed to an effect: what is read back to them, what they heard of it, what they answer.

A proposal is read back sentence by sentence, in the words of its tool and not of the model. Only a clear, spoken yes
whose voice began after all of it was heard confirms it, and only if nothing has been said since. Whatever else the
caller says withdraws it for good, but for a yes that came too early or broke off, which is asked for once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from talkspurt.core.events import EffectProposed
from talkspurt.core.history import CallerSaid
from talkspurt.core.language import Language
from talkspurt.core.playback import Playback
from talkspurt.core.sentences import flush, take_sentences
from talkspurt.core.turn import Line, RunningTool

Answer = Literal["agreed", "hasty", "withdrawn"]
"""What a turn of the caller means for the effect that waits: yes; yes, but perhaps to something else, or with something
behind it ("yes, just…"); no."""


@dataclass(frozen=True, slots=True)
class PendingEffect:
    """A proposal that the caller has to say yes to, after they heard what it is."""

    proposal: str
    tool_call: str
    name: str
    arguments: str
    question: tuple[Line, ...] = ()
    """What asks for the yes: the closing question, or all of a read-back that has none."""
    heard_at: float | None = None
    """When the caller had heard all of the read-back that has to be heard."""

    @classmethod
    def of(cls, event: EffectProposed, tool: RunningTool, language: Language) -> tuple["PendingEffect", list[Line]]:
        """The proposal, and the lines that read it back."""
        pending = cls(event.proposal, event.tool_call, tool.name, tool.arguments)
        sentences, rest = take_sentences(event.read_back)
        lines = [Line(sentence, pending.proposal) for sentence in sentences + flush(rest)]
        # What stands last may have come in with an argument ("rent. Thank you for the" … "to Mallory?").
        if len(lines) > 1 and language.asks_only(str(lines[-1].text)):
            lines[-1] = replace(lines[-1], tag=pending.question_tag)
            return replace(pending, question=(lines[-1],)), lines
        return replace(pending, question=tuple(lines)), lines

    @property
    def question_tag(self) -> str:
        """The tag of the closing question of the read-back, which a hasty "yes" may cut off."""
        return f"{self.proposal}?"

    def is_heard(self, playback: Playback, held: Sequence[Line]) -> bool:
        """Whether the carrier has proven all of the read-back that has to be heard; `held` is still to be said."""
        return playback.was_proven(self.proposal) and all(line.tag != self.proposal for line in held)

    def answer(
        self, said: CallerSaid, began: float, playback: Playback, held: Sequence[Line], language: Language
    ) -> Answer:
        """What the caller means, whose voice began at `began`; `held` is still to be said."""
        heard_at = self.heard_at
        last = playback.last_tag(began) in (self.proposal, self.question_tag) and all(
            line.tag == self.question_tag for line in held
        )
        if heard_at is not None and last and said.source == "voice" and language.yes_or_no(said.text) is True:
            # No tolerance: marks and voice come over one line in order, so the voice of whoever answers comes after the
            # mark, and nobody answers within the window by which a voice may seem to have begun too early.
            # A hum into the question is no answer to it: it may say "go on", as into any sentence.
            hums = language.is_hum(said.text)
            passing = hums and not self._question_was_heard(playback)
            hasty = began < heard_at or passing or language.breaks_off(said.text)
            return "hasty" if hasty else "agreed"
        return "withdrawn"

    def _question_was_heard(self, playback: Playback) -> bool:
        """Whether the question behind the read-back was heard; one without is a question itself, and was."""
        asked_behind = any(line.tag == self.question_tag for line in self.question)
        return not asked_behind or playback.was_proven(self.question_tag)
