"""What this process knows of a call's effects beside the ledger: what it has done, and what it is still at.

It answers a wish that comes again before anything is written or asked, and it knows what no other process can: that a
tool which everybody else takes for gone still runs here.
"""

from talkspurt.agent import Tool
from talkspurt.effects.content import error_content
from talkspurt.effects.proposal import DONE, Identity, identity, result_of
from talkspurt.effects.refusals import CHECKING
from talkspurt.ports import EffectRecord


class KnownEffects:
    """Those of one call."""

    def __init__(self) -> None:
        self._done: dict[Identity, EffectRecord] = {}
        """Effects that were done here, written down or not."""
        self._meant: dict[Identity, Identity] = {}
        """What the words of each wish were last found to mean."""
        self._held: dict[str, EffectRecord] = {}
        """By proposal, effects whose tool still runs, though its time is over."""

    def answer(self, wish: Identity) -> str | None:
        """What to say to a wish that was carried out in this call, or is just being; None for any other."""
        if wish in self._done:
            return result_of(self._done[wish])
        held = any(identity(record) == wish for record in self._held.values())
        return error_content("in_doubt", CHECKING) if held else None

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

    def hold(self, record: EffectRecord) -> None:
        """Its tool still runs, though its time is over."""
        self._held[record.proposal] = record

    def release(self, record: EffectRecord) -> None:
        """Its tool has come to an end, or nobody waits for that any more."""
        self._held.pop(record.proposal, None)

    def is_open(self, record: EffectRecord) -> bool:
        """Whether it may yet turn out either way."""
        return record.state not in DONE if record.proposal in self._held else record.state in ("executing", "in_doubt")
