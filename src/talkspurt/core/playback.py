"""The playback ledger: from what was said, over what was sent, to what was heard.

Theory of operation. Audio goes out in **epochs**; stopping playback ends one and begins
the next. Within an epoch every segment lies at a position (seconds since the epoch
began), and the carrier acknowledges positions by returning marks. Marks of an earlier
epoch prove nothing, since a carrier returns the marks of audio that it has thrown away.

A segment is *open* until it has been heard to its end, was cut by `stop`, has failed, or
was given up because no mark ever came. A settled segment's `text` is what was heard of it.

What is said is not what is written ("#W2378156" is eight words), so a segment may come with
its *spoken form*: places and times are those of the said words, and a written word counts as
heard when every word that is said for it does. History has written words only.

A said word counts as heard once its middle has been played; the pause behind a mark, and the
silence that a segment ends with, are no part of it. Where words lie, the synthesizer says; those
that it has not placed are laid over the rest of the segment's duration in proportion to their
letters.

Marks lie 160 ms apart and take their time to return, in which two short words are said. What is
cut off while it is played is therefore reckoned on from the last mark, at most to where the next
one lies, and no further than audio was sent by then. The error is a word or less.

None of that is proof, and the words of a *tagged* segment have to be proven: unless all of it was
played, all of it is unheard and has to be said again.

What was cut off need not be synthesised again: its audio exists, and `Line.source`
says from where on it has to be sent. The segment that sends it lies on the line like any
other, but its words and its own sources are found in the audio of the first one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from talkspurt.core.commands import Phrase, Source
from talkspurt.core.spoken_form import SpokenForm, as_written, is_sound
from talkspurt.core.turn import Line

MARKS_APART = 0.16
"""Seconds between two marks, as `media.pacing` sends them: further than that nothing is reckoned on from one."""

SPEAKING_RATE = 14.0
"""Letters per second when a segment's end is not known yet (measured on Piper joe: 13 to 15)."""

LEAD = 0.02
"""Seconds before a word that its audio is sent again from: word times are about 10 ms off, and onsets soft."""

VOICED_SHARE = 0.5
"""How much of the time until the next word a word before a mark takes; the rest is pause (Piper joe: 44 to 49 %)."""

SILENCE_BEHIND = 0.14
"""Seconds of silence at the end of a segment (Piper joe: 0.11 to 0.17 s in half of 147 sentences, by a script that
is not kept; taken for other voices too). At most half of the time from where the last word begins, for voices that
leave none."""

_MARKS = tuple(",.;:!?…—")
_CLOSING = "\"'”’)]"


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
    ahead: bool = False
    """It bridges the wait for another one, or for the caller's words: that it was played says nothing of how those are
    getting on, and nobody misses what was cut off of it."""
    tag: str = ""
    """What the segment is part of, such as the read-back of a proposal; kept when its rest is spoken again."""
    spoken: SpokenForm | None = None
    """How it is said; None when word by word as it is written. Kept as long as `starts`."""
    starts: tuple[float, ...] = ()
    """Where its first said words begin, in seconds after `start`; kept while what was cut off may be sent again."""
    source: Source | None = None
    """The audio of another segment that this one is to send, and has sent if it has started."""
    reply: int | None = None
    """The reply whose words these are; kept, like the tag, when its rest is spoken again."""
    stock: bool = False
    """It was ordered as a stock sentence, or is the rest of one."""

    @property
    def said(self) -> SpokenForm:
        """What is said of its text."""
        return self.spoken or as_written(self.text)


class Playback:
    """All segments of a call, in the order they lie on the line."""

    def __init__(self) -> None:
        self.epoch = 0
        self.heard = 0.0
        self.marked_at = 0.0
        """When the last mark came."""
        self.ahead = 0.0
        """Seconds that are surely played on behind it: none before the first mark, and none where nothing was sent."""
        self.progress_at = 0.0
        self.segments: dict[int, Segment] = {}
        self.open: dict[int, None] = {}

    def order(
        self,
        segment: int,
        text: str | Phrase,
        now: float,
        *,
        tag: str = "",
        source: Source | None = None,
        reply: int | None = None,
        ahead: bool = False,
        stock: bool = False,
    ) -> None:
        """A segment has been ordered; it will lie behind all open ones. The words are those of a `Line`."""
        if not self.open:
            self.progress_at = now
        if isinstance(text, Phrase):
            self.segments[segment] = Segment(segment, "", self.epoch, now, text, tag=tag, ahead=ahead, stock=True)
        else:
            self.segments[segment] = Segment(
                segment, text, self.epoch, now, tag=tag, source=source, reply=reply, stock=stock
            )
        self.open[segment] = None

    def order_ahead(self, segment: int, phrase: Phrase, now: float) -> None:
        """A stock sentence has been ordered that bridges the wait for what has not begun: it will lie before that."""
        later = [number for number in self.open if self.segments[number].start is None]
        self.order(segment, phrase, now, ahead=True)
        for number in later:
            self.segments[number] = self.segments.pop(number)
            self.open[number] = self.open.pop(number)

    def started(
        self,
        segment: int,
        epoch: int,
        position: float,
        text: str,
        now: float,
        *,
        spoken: SpokenForm | None = None,
        resumed: bool = False,
    ) -> bool:
        """The segment's first sample lies at `position`. False when that is news of the dead.

        `spoken` is how `text` is said, None for word by word; one that is not of `text` counts as None. `resumed`: its
        audio is that of the source it was ordered with, not made anew, and so is its spoken form.
        """
        known = self._alive(segment, epoch)
        if known is None or known.start is not None:
            return False
        source = known.source if resumed else None
        starts: tuple[float, ...] = ()
        if source is not None and source.segment in self.segments:
            origin = self.segments[source.segment]
            spoken = origin.spoken and origin.spoken.rest(source.word)
            starts = self._starts_behind(source)
        if spoken is not None and (
            spoken == as_written(text) or spoken.written.split() != text.split() or not is_sound(spoken)
        ):
            spoken = None
        begun = replace(known, start=position, text=text, phrase=None, source=source, spoken=spoken)
        self.segments[segment] = replace(begun, starts=starts[: len(begun.said.words)])
        self._progressed(known, now)
        for number in [number for number in self.open if self.segments[number].ahead and number != segment]:
            # What should have bridged the wait for it is not needed any more.
            if self.segments[number].start is None:
                self._settle(self.segments[number])
        return True

    def placed(self, segment: int, epoch: int, starts: tuple[float, ...]) -> bool:
        """The segment's first said words begin at `starts`, in seconds within it. False when that says nothing new.

        Of one that was cut they are told as well: it is made on as long as its rest may be sent again.
        """
        known = self.segments.get(segment)
        if known is None or known.epoch != epoch or known.start is None or not len(known.starts) < len(starts):
            return False
        if not (known.cut or (self._alive(segment, epoch) and len(starts) <= len(known.said.words))):
            return False
        if not all(0.0 <= start < math.inf for start in starts):
            return False
        self.segments[segment] = replace(known, starts=tuple(accumulate(starts, max)))
        for number in self.open:
            rest = self.segments[number]
            if rest.start is not None and rest.source is not None and rest.source.segment == segment:
                behind = self._starts_behind(rest.source)
                self.segments[number] = replace(rest, starts=behind[: len(rest.said.words)])
        return True

    def _starts_behind(self, source: Source) -> tuple[float, ...]:
        """Where the words from the source's on begin in what is sent of it."""
        origin = self.segments[source.segment]
        begin = origin.spoken.said_before(source.word) if origin.spoken else source.word
        return tuple(max(0.0, start - source.offset) for start in origin.starts[begin:])

    def finished(self, segment: int, epoch: int, position: float, now: float) -> bool:
        """The segment's last sample lies before `position`. False when that is news of the dead."""
        known = self._alive(segment, epoch)
        if known is None or known.start is None or known.end is not None:
            return False
        self.segments[segment] = replace(known, end=max(position, known.start))
        self._progressed(known, now)
        self._settle_heard()
        return True

    def failed(self, segment: int) -> bool:
        """The segment cannot be spoken (any further). False when that is news of the dead."""
        known = self.segments.get(segment)
        if known is None or known.settled:
            return False
        self._settle(replace(known, text=self._heard_of(known)))
        return True

    def reached(self, epoch: int, position: float, now: float, *, ahead: float = 0.0) -> bool:
        """The carrier has played `epoch` up to `position` and has `ahead` seconds more. False if it proves nothing."""
        if epoch != self.epoch or position < self.heard:
            return False
        if position > self.heard:
            playing = next((each for n in self.open if (each := self.segments[n]).start is not None), None)
            self._progressed(playing, now)
            self.heard, self.marked_at, self.ahead = position, now, min(ahead, MARKS_APART)
            self._settle_heard()
        return True

    def stop(self, playing: float | None = None) -> tuple[Line, ...]:
        """End the epoch. Returns the words that were not heard, in order; what was heard of them stays.

        `playing` is the time if the line was being played until now, None if it had gone or hung.
        """
        if playing is not None:
            self.heard += max(0.0, min(playing - self.marked_at, self.ahead))
        rest: list[Line] = []
        for number in list(self.open):
            segment = self.segments[number]
            heard = self._heard_of(segment)
            first = 0 if segment.tag else len(heard.split())
            again = segment.phrase or _from_word(segment.text, first)
            if again and not segment.ahead:
                rest.append(Line(again, segment.tag, _source(segment, first), segment.reply, segment.stock))
            self._settle(replace(segment, text=heard, cut=True))
        self.epoch += 1
        self.heard = self.ahead = 0.0
        return tuple(rest)

    def give_up(self) -> bool:
        """No mark came although everything begun must have been played. Returns whether all of it was sent.

        Words that were sent are kept, though nothing is proven; of what never came to its end, only the heard ones.
        What is said next is not waited for behind them once more.
        """
        begun = [self.segments[number] for number in self.open if self.segments[number].start is not None]
        self.heard = max([self.heard, *(segment.end for segment in begun if segment.end is not None)])
        self.ahead = 0.0
        for segment in begun:
            self._settle(segment if segment.end is not None else replace(segment, text=self._heard_of(segment)))
        return all(segment.end is not None for segment in begun)

    def last_heard(self, before: int) -> int | None:
        """The last segment ordered after `before` of which something was heard: whether it was interrupted is open.

        What only bridged a wait was none of the turn's words.
        """
        for segment in reversed(self.segments.values()):
            if segment.id <= before:
                return None
            if segment.settled and segment.text and not segment.ahead:
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

    def last_tag(self, began: float) -> str:
        """The tag of the segment ordered last, but for what bridged the wait for words of a voice that began then."""
        ordered = reversed(self.segments.values())
        return next((each.tag for each in ordered if not each.ahead or each.since < began), "")

    @property
    def silent(self) -> bool:
        """Nothing is on its way to the caller."""
        return not self.open

    @property
    def unstarted(self) -> Segment | None:
        """The open segment that has waited longest for its place on the line."""
        return min((each for n in self.open if (each := self.segments[n]).start is None), key=_number, default=None)

    @property
    def unheard(self) -> float:
        """Seconds on the line that the carrier has not acknowledged."""
        ends = [self._end(self.segments[n]) for n in self.open if self.segments[n].start is not None]
        return max(0.0, max(ends, default=0.0) - self.heard)

    def _alive(self, segment: int, epoch: int) -> Segment | None:
        known = self.segments.get(segment)
        return known if known is not None and not known.settled and known.epoch == epoch == self.epoch else None

    def _progressed(self, segment: Segment | None, now: float) -> None:
        if segment is None or not segment.ahead:
            self.progress_at = now

    def _settle_heard(self) -> None:
        for number in list(self.open):
            segment = self.segments[number]
            if segment.start is None:
                continue
            if segment.end is None or segment.end > self.heard + 1e-6:
                return
            self._settle(replace(segment, proven=True))

    def _settle(self, segment: Segment) -> None:
        if not segment.cut or segment.source is not None:
            segment = replace(segment, starts=(), spoken=None)
        self.segments[segment.id] = replace(segment, settled=True)
        del self.open[segment.id]

    def _end(self, segment: Segment) -> float:
        if segment.end is not None:
            return segment.end
        placed, start, text = segment.starts, segment.start or 0.0, segment.said.text
        if not placed:
            return start + len(text) / SPEAKING_RATE
        return start + placed[-1] + len(_from_word(text, len(placed) - 1)) / SPEAKING_RATE

    def _heard_of(self, segment: Segment) -> str:
        """The written words of a segment up to the heard position."""
        if segment.start is None or self.heard <= segment.start:
            return ""
        said = segment.said
        heard = said.heard(self._said_words_heard(segment, said.words, self.heard - segment.start))
        return segment.text if heard == len(said.ends) else " ".join(segment.text.split()[:heard])

    def _said_words_heard(self, segment: Segment, words: Sequence[str], played: float) -> int:
        assert segment.start is not None
        begins = _begins(words, segment.starts, self._end(segment) - segment.start)
        for index, word in enumerate(words):
            span = begins[index + 1] - begins[index]
            if index == len(words) - 1:
                # An end that is not known yet is reckoned from the letters alone, without silence.
                span -= 0.0 if segment.end is None else min(SILENCE_BEHIND, span / 2)
            elif segment.starts and word.rstrip(_CLOSING).endswith(_MARKS):
                span *= VOICED_SHARE
            if begins[index] + span / 2 > played:
                return index
        return len(words)


def _number(segment: Segment) -> int:
    return segment.id


def _begins(words: Sequence[str], placed: tuple[float, ...], end: float) -> list[float]:
    """Where each word begins, and the last one ends: as placed, then in proportion to their letters."""
    begins = list(placed[:-1])
    at = placed[-1] if placed else 0.0
    rest = words[len(begins) :]
    per_letter = max(end - at, 0.0) / max(sum(len(word) + 1 for word in rest), 1)
    return begins + list(accumulate(((len(word) + 1) * per_letter for word in rest), initial=at))


def _from_word(text: str, first: int) -> str:
    return " ".join(text.split()[first:]) if first else text


def _source(segment: Segment, first: int) -> Source | None:
    """Where the audio of the segment's words from number `first` on is."""
    if segment.start is None:
        return segment.source
    origin = segment.source or Source(segment.id, 0, 0.0)
    at = segment.said.said_before(first)
    if at == 0:
        return replace(origin, word=origin.word + first)
    if at >= len(segment.starts):
        return None
    before, begin = segment.starts[at - 1 : at + 1]
    # Never so early that a word which counts as heard would be heard again.
    offset = max(begin - LEAD, (before + begin) / 2)
    return Source(origin.segment, origin.word + first, origin.offset + offset)
