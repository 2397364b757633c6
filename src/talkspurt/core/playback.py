"""The playback ledger: from what was said, over what was sent, to what was heard.

Theory of operation. Audio goes out in **epochs**; stopping playback ends one and begins
the next. Within an epoch every segment lies at a position (seconds since the epoch
began), and the carrier acknowledges positions by returning marks. Marks of an earlier
epoch prove nothing, since a carrier returns the marks of audio that it has thrown away.

A segment is *open* until it has been heard to its end, was cut by `stop`, has failed, or
was given up because no mark ever came. A settled segment's `text` is what was heard of it.

Imperfect on purpose: without word times from the synthesizer, words are laid over a
segment's duration in proportion to their letters, and a word counts as heard once its
middle has been played. The error is a word or less at the 160 ms between marks.
That is no proof, and the words of a *tagged* segment have to be proven: unless all of it
was played, all of it is unheard and has to be said again.
"""

from dataclasses import dataclass, replace

from talkspurt.core.commands import Phrase

SPEAKING_RATE = 14.0
"""Letters per second when a segment's end is not known yet (measured on Piper joe: 13 to 15)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of speech and what is known of its way to the caller."""

    id: int
    text: str
    epoch: int
    since: float
    """When it was ordered, for the watchdog."""
    phrase: Phrase | None = None
    """What was ordered, until the wording is known."""
    start: float | None = None
    end: float | None = None
    settled: bool = False
    proven: bool = False
    """The carrier acknowledged all of it."""
    cut: bool = False
    """It was stopped, and what was not heard of it handed back."""
    interrupted: bool = False
    """The caller spoke over its rest, and the rest was dropped."""
    tag: str = ""
    """What the segment is part of, such as the read-back of a proposal; kept when its rest is spoken again."""


@dataclass(frozen=True, slots=True)
class Unheard:
    """Words that were cut off before they were heard."""

    text: str | Phrase
    tag: str


class Playback:
    """All segments of a call, in the order they were ordered."""

    def __init__(self) -> None:
        self.epoch = 0
        self.heard = 0.0
        self.progress_at = 0.0
        self.segments: dict[int, Segment] = {}
        self.open: dict[int, None] = {}

    def order(self, segment: int, text: str | Phrase, now: float, *, tag: str = "") -> None:
        """A segment has been ordered; it will lie behind all open ones."""
        if not self.open:
            self.progress_at = now
        if isinstance(text, Phrase):
            self.segments[segment] = Segment(segment, "", self.epoch, now, text, tag=tag)
        else:
            self.segments[segment] = Segment(segment, text, self.epoch, now, tag=tag)
        self.open[segment] = None

    def started(self, segment: int, epoch: int, position: float, text: str, now: float) -> bool:
        """The segment's first sample lies at `position`. False when that is news of the dead."""
        known = self._alive(segment, epoch)
        if known is None or known.start is not None:
            return False
        self.segments[segment] = replace(known, start=position, text=text, phrase=None)
        self.progress_at = now
        return True

    def finished(self, segment: int, epoch: int, position: float, now: float) -> bool:
        """The segment's last sample lies before `position`. False when that is news of the dead."""
        known = self._alive(segment, epoch)
        if known is None or known.start is None or known.end is not None:
            return False
        self.segments[segment] = replace(known, end=max(position, known.start))
        self.progress_at = now
        self._settle_heard()
        return True

    def failed(self, segment: int) -> bool:
        """The segment cannot be spoken (any further). False when that is news of the dead."""
        known = self.segments.get(segment)
        if known is None or known.settled:
            return False
        text, _rest = self._split(known)
        self._settle(replace(known, text=text))
        return True

    def reached(self, epoch: int, position: float, now: float) -> bool:
        """The carrier has played `epoch` up to `position`. False when the mark proves nothing."""
        if epoch != self.epoch or position < self.heard:
            return False
        if position > self.heard:
            self.heard = position
            self.progress_at = now
            self._settle_heard()
        return True

    def stop(self) -> tuple[Unheard, ...]:
        """End the epoch. Returns the words that were not heard, in order; what was heard of them stays."""
        rest: list[Unheard] = []
        for number in list(self.open):
            segment = self.segments[number]
            heard, unheard = self._split(segment)
            again = segment.phrase or (segment.text if segment.tag else unheard)
            if again:
                rest.append(Unheard(again, segment.tag))
            self._settle(replace(segment, text=heard, cut=True))
        self.epoch += 1
        self.heard = 0.0
        return tuple(rest)

    def give_up(self) -> bool:
        """No mark came although everything begun must have been played. Returns whether all of it was sent.

        Words that were sent are kept, though nothing is proven; of what never came to its end, only the heard ones.
        """
        begun = [self.segments[number] for number in self.open if self.segments[number].start is not None]
        for segment in begun:
            self._settle(segment if segment.end is not None else replace(segment, text=self._split(segment)[0]))
        return all(segment.end is not None for segment in begun)

    def last_heard(self, before: int) -> int | None:
        """The last segment ordered after `before` of which something was heard: whether it was interrupted is open."""
        for segment in reversed(self.segments.values()):
            if segment.id <= before:
                return None
            if segment.settled and segment.text:
                return segment.id
        return None

    def interrupt_last(self, before: int) -> None:
        """What was to follow the last words heard, of those ordered after `before`, was dropped: the caller spoke."""
        last = self.last_heard(before)
        if last is not None:
            self.segments[last] = replace(self.segments[last], interrupted=True)

    def was_proven(self, tag: str) -> bool:
        """Whether something was said under this tag, and the carrier proved that all of it was played.

        What was cut does not count, since it was handed back: whoever asks has to know that it was said again.
        """
        tagged = [segment for segment in self.segments.values() if segment.tag == tag and not segment.cut]
        return bool(tagged) and all(segment.proven for segment in tagged)

    def knows(self, tag: str) -> bool:
        """Whether anything was ever ordered under this tag."""
        return any(segment.tag == tag for segment in self.segments.values())

    @property
    def last_tag(self) -> str:
        """The tag of the segment that was ordered last."""
        return next(reversed(self.segments.values())).tag if self.segments else ""

    @property
    def silent(self) -> bool:
        """Nothing is on its way to the caller."""
        return not self.open

    @property
    def unstarted(self) -> Segment | None:
        """The oldest open segment that has no place on the line yet."""
        return next((self.segments[n] for n in self.open if self.segments[n].start is None), None)

    @property
    def unheard(self) -> float:
        """Seconds on the line that the carrier has not acknowledged."""
        ends = [self._end(self.segments[n]) for n in self.open if self.segments[n].start is not None]
        return max(0.0, max(ends, default=0.0) - self.heard)

    def _alive(self, segment: int, epoch: int) -> Segment | None:
        known = self.segments.get(segment)
        return known if known is not None and not known.settled and known.epoch == epoch == self.epoch else None

    def _settle_heard(self) -> None:
        for number in list(self.open):
            segment = self.segments[number]
            if segment.end is None or segment.end > self.heard + 1e-6:
                return
            self._settle(replace(segment, proven=True))

    def _settle(self, segment: Segment) -> None:
        self.segments[segment.id] = replace(segment, settled=True)
        del self.open[segment.id]

    def _end(self, segment: Segment) -> float:
        if segment.end is not None:
            return segment.end
        return (segment.start or 0.0) + len(segment.text) / SPEAKING_RATE

    def _split(self, segment: Segment) -> tuple[str, str]:
        """Cut a segment's words at the heard position."""
        if segment.start is None or self.heard <= segment.start:
            return "", segment.text
        words = segment.text.split()
        letters = sum(len(word) + 1 for word in words)
        played = letters * (self.heard - segment.start) / max(self._end(segment) - segment.start, 1e-9)
        at = 0.0
        for index, word in enumerate(words):
            if at + (len(word) + 1) / 2 > played:
                return " ".join(words[:index]), " ".join(words[index:])
            at += len(word) + 1
        return segment.text, ""
