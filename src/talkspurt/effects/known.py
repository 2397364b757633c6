"""What this process knows of a call's effects beside the ledger: what it has done, and what it is still at.

It answers a wish that comes again before anything is written or asked, and it knows what no other process can: that a
tool which everybody else takes for gone still runs here.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from talkspurt.agent import Tool
from talkspurt.effects.content import error_content
from talkspurt.effects.proposal import DONE, Identity, identity, result_of
from talkspurt.effects.refusals import CHECKING, UNDER_WAY
from talkspurt.ports import EffectRecord


class KnownEffects:
    """Those of one call."""

    def __init__(self, under_way: set[str]) -> None:
        """`under_way` are the proposals that this process is at, of all its calls."""
        self._under_way = under_way
        self._done: dict[Identity, EffectRecord] = {}
        """Effects that were done here, written down or not."""
        self._meant: dict[Identity, Identity] = {}
        """What the words of each wish were last found to mean."""
        self._held: dict[str, EffectRecord] = {}
        """By proposal, effects whose tool still runs, though its time is over."""
        self._begun: dict[str, EffectRecord] = {}
        """Those that are being carried out within their time."""

    def answer(self, wish: Identity) -> str | None:
        """What to say to a wish that was carried out in this call, or is just being; None for any other."""
        if wish in self._done:
            return result_of(self._done[wish])
        if any(identity(record) == wish for record in self._held.values()):
            return error_content("in_doubt", CHECKING)
        begun = any(identity(record) == wish for record in self._begun.values())
        return error_content("in_doubt", UNDER_WAY) if begun else None

    def answer_to_words(self, said: Identity) -> str | None:
        """The same for a wish in the caller's words, by what they were last found to mean."""
        return self.answer(self._meant.get(said, said))

    def note_meaning(self, said: Identity, meant: Identity) -> None:
        """The words of a wish were found to mean this."""
        self._meant[said] = meant

    def done_as(self, record: EffectRecord) -> EffectRecord | None:
        """What was done here already, and is the same."""
        return self._done.get(identity(record))

    def note_done(self, record: EffectRecord) -> None:
        """It was done here, with this result."""
        self._done[identity(record)] = record

    def forget_set_by(self, record: EffectRecord, tool: Tool) -> None:
        """The effect begins, and what it sets to something else may be wished for anew."""
        self._done = {name: done for name, done in self._done.items() if not record.sets_anew(done, tool.sets)}

    def is_under_way(self, proposal: str) -> bool:
        """Whether this process is at it, perhaps in another session of this call, which came back from a hand-over."""
        return proposal in self._under_way

    @contextmanager
    def carrying_out(self, record: EffectRecord) -> Iterator[None]:
        """It is being carried out here; behind that its tool may still run (`hold`)."""
        self._begun[record.proposal] = record
        self._under_way.add(record.proposal)
        try:
            yield
        finally:
            del self._begun[record.proposal]
            if record.proposal not in self._held:
                self._under_way.discard(record.proposal)

    def hold(self, record: EffectRecord) -> None:
        """Its tool still runs, though its time is over."""
        self._held[record.proposal] = record

    def release(self, record: EffectRecord) -> None:
        """Its tool has come to an end, or nobody waits for that any more."""
        self._held.pop(record.proposal, None)
        if record.proposal not in self._begun:
            self._under_way.discard(record.proposal)

    def is_open(self, record: EffectRecord) -> bool:
        """Whether it may yet turn out either way."""
        return record.state not in DONE if record.proposal in self._held else record.state in ("executing", "in_doubt")
