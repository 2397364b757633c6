"""A guess at the caller's turn: the reply that is being made while the silence is still waited for.

The model is asked as soon as the words seem to be all. What it sends is kept here, unheard and
unseen: nothing of it enters history, and no tool it asks for runs. When the turn is taken with
the very words that were guessed, what was kept is dealt with as if it had just come; otherwise
it is dropped, and counted.
"""

from dataclasses import dataclass, replace

from talkspurt.core.events import ReplyCompleted, ReplyFailed, ReplyTextReceived, ReplyToolRequested
from talkspurt.core.sentences import split_long, take_speakable

ReplyNews = ReplyTextReceived | ReplyToolRequested | ReplyCompleted | ReplyFailed

PREPARED = 1
"""Sentences that are synthesized ahead: the first is what is waited for; the others have its length to be made."""
KEPT = 2000
"""Pieces of a reply that are kept; a model that sends more before the turn is taken is not worth following."""


@dataclass(frozen=True, slots=True)
class Guess:
    """The reply to words that may be the caller's turn."""

    reply: int
    said: str
    """The words it answers."""
    asked_at: float = 0.0
    """When the model was asked."""
    news: tuple[ReplyNews, ...] = ()
    """What the model has sent, in order."""
    text: str = ""
    """What of it makes no whole sentence yet."""
    prepared: int = 0

    @property
    def over(self) -> bool:
        """Whether the model has finished, or failed."""
        return bool(self.news) and isinstance(self.news[-1], ReplyCompleted | ReplyFailed)

    def add(self, news: ReplyNews) -> tuple["Guess", tuple[str, ...]]:
        """Keep what the model sent; returns the sentences to synthesize ahead."""
        kept = replace(self, news=(*self.news, news))
        match news:
            case ReplyTextReceived(text=text) if self.prepared < PREPARED:
                sentences, rest = take_speakable(self.text + text, first=not self.prepared)
            case ReplyCompleted() | ReplyToolRequested() if self.text and self.prepared < PREPARED:
                sentences, rest = split_long(self.text), ""
            case _:
                return kept, ()
        ahead = sentences[: PREPARED - self.prepared]
        return replace(kept, text=rest, prepared=self.prepared + len(ahead)), ahead
