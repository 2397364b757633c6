"""Which of the caller's words a vendor has understood: its transcripts come per stretch of audio, ours per utterance.

A stretch is the audio between two commits; an utterance is one or several of them, because it is asked for
again when the caller goes on. The vendor confirms stretches in the order in which they were committed, and only then
do they have a name. Pure: answers go to a function; deadlines are whoever's that asks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from talkspurt.ports import Transcript


@dataclass(eq=False, slots=True)
class _Stretch:
    utterance: int
    item: str | None = None
    """The vendor's name for it."""
    text: str | None = None
    error: str | None = None
    partial: str = ""

    @property
    def settled(self) -> bool:
        return self.text is not None or self.error is not None


@dataclass(frozen=True, slots=True)
class _Question:
    utterance: int
    revision: int
    stretches: tuple[_Stretch, ...]


class Utterances:
    """The caller's utterances on one session."""

    def __init__(self, tell: Callable[[Transcript], None]) -> None:
        """`tell` gets every transcript."""
        self._tell = tell
        self._open: dict[int, None] = {}
        self._stretches: list[_Stretch] = []
        self._questions: list[_Question] = []

    @property
    def current(self) -> int | None:
        """The utterance that began last, if it is still open."""
        return next(reversed(self._open), None)

    @property
    def spared(self) -> frozenset[str]:
        """Names of stretches that are of open utterances: history may not know them yet."""
        return frozenset(
            each.item for each in self._stretches if each.item is not None and each.utterance in self._open
        )

    def begin(self, utterance: int) -> None:
        """Audio belongs to `utterance` from now on."""
        self._open[utterance] = None

    def commit(self, utterance: int) -> None:
        """A stretch of `utterance` was committed; the vendor will name it."""
        self._stretches.append(_Stretch(utterance))

    def name(self, item: str) -> int | None:
        """The vendor named the oldest stretch that has no name; returns its utterance, None when there is none."""
        stretch = next((each for each in self._stretches if each.item is None and each.error is None), None)
        if stretch is None:
            return None
        stretch.item = item
        if stretch.utterance not in self._open:
            self._stretches.remove(stretch)
        return stretch.utterance

    def ask(self, utterance: int, revision: int) -> None:
        """Tell the words of `utterance` up to now, once they are all there."""
        if utterance not in self._open:
            self._tell(Transcript(utterance, revision, "", error="the utterance is not open"))
            return
        stretches = tuple(each for each in self._stretches if each.utterance == utterance)
        self._questions.append(_Question(utterance, revision, stretches))
        self._settle()

    def hear_part(self, item: str, text: str) -> None:
        """The next piece of a stretch's transcript."""
        for stretch in self._named(item):
            stretch.partial += text
            if stretch.utterance == self.current:
                said = [each.text or each.partial for each in self._stretches if each.utterance == stretch.utterance]
                self._tell(Transcript(stretch.utterance, 0, _joined(said), final=False))

    def hear(self, item: str, text: str) -> None:
        """A stretch's whole transcript."""
        for stretch in self._named(item):
            stretch.text = text.strip()
        self._settle()

    def fail(self, item: str, error: str) -> None:
        """A stretch has no transcript."""
        for stretch in self._named(item):
            stretch.error = error
        self._settle()

    def fail_commit(self, error: str) -> None:
        """The oldest stretch without a name will have none."""
        stretch = next((each for each in self._stretches if each.item is None and each.error is None), None)
        if stretch is not None:
            stretch.error = error
            self._settle()

    def give_up(self, utterance: int, revision: int, error: str) -> None:
        """Nobody waits for this answer any longer."""
        for question in self._questions:
            if (question.utterance, question.revision) == (utterance, revision):
                self._questions.remove(question)
                self._tell(Transcript(utterance, revision, "", error=error))
                return

    def end(self, utterance: int) -> None:
        """Forget `utterance`; its questions need no answer any more."""
        self._open.pop(utterance, None)
        self._questions = [each for each in self._questions if each.utterance != utterance]
        # One without a name stays: the next name is its.
        self._stretches = [each for each in self._stretches if each.utterance != utterance or each.item is None]

    def fail_all(self, error: str) -> None:
        """Nothing will be heard any more."""
        questions, self._questions = self._questions, []
        for question in questions:
            self._tell(Transcript(question.utterance, question.revision, "", error=error))

    def _named(self, item: str) -> Iterator[_Stretch]:
        return (each for each in self._stretches if each.item == item)

    def _settle(self) -> None:
        for question in list(self._questions):
            if not all(each.settled for each in question.stretches):
                continue
            self._questions.remove(question)
            error = next((each.error for each in question.stretches if each.error is not None), None)
            text = "" if error else _joined([each.text or "" for each in question.stretches])
            self._tell(Transcript(question.utterance, question.revision, text, error=error))


def _joined(texts: list[str]) -> str:
    return " ".join(text for text in texts if text)
