"""The offline brain: conversations without a language model, from an agent's `Dialogue`.

    understanding   what the caller's words mean (embedding, classify, english)
    facts           values of slots in what was said
    spelling        what "can you spell that?" is about
    standing        where the dialogue stands, read from the history
    policy          what to do next
    wording         how it is said
    model           all of it behind the `LanguageModel` port

It knows no trade and invents nothing: what it says comes from the dialogue's templates and the
tools' results.
"""

from talkspurt.models.offline.model import OfflineModel

__all__ = ["OfflineModel"]
