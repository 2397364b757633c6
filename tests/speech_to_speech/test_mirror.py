"""A vendor's conversation holds our history after every reconciliation, whatever happened in between."""

from dataclasses import replace
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.speech_to_speech.letters import letters
from talkspurt.speech_to_speech.mirror import (
    AgentAudio,
    CallerAudio,
    Change,
    Create,
    Delete,
    Item,
    Told,
    ToolResult,
    ToolUse,
    Truncate,
    reconcile,
)
from talkspurt.speech_to_speech.speech import BYTES_PER_S, Speech

WORDS = ("yes", "no", "order", "orders", "it", "is", "on", "its", "way", "W2378156,", "Well,", "bye.", "five", "5")


def spoken(text: str) -> Speech:
    speech = Speech()
    speech.add_text(text)
    speech.add_sound(bytes(BYTES_PER_S // 10 * len(letters(text))))
    speech.complete()
    return speech


def audio(id_: str, text: str) -> AgentAudio:
    return AgentAudio(id_, spoken(text))


class Vendor:
    """The vendor's side: applies changes as its protocol says, and refuses what it would refuse."""

    def __init__(self, items: list[Item]) -> None:
        self.items = list(items)

    def apply(self, changes: list[Change]) -> None:
        for change in changes:
            ids = [item.id for item in self.items]
            match change:
                case Delete(id_):
                    del self.items[ids.index(id_)]
                case Truncate(id_, seconds):
                    item = self.items[ids.index(id_)]
                    assert isinstance(item, AgentAudio)
                    assert 0 < seconds <= item.speech.length / BYTES_PER_S
                    # All of them that have been spoken whole by then.
                    spoken_whole = [n for n in range(len(item.letters) + 1) if item.speech.seconds_until(n) <= seconds]
                    heard = max(spoken_whole)
                    self.items[ids.index(id_)] = replace(item, heard=heard)
                case Create(item, after):
                    assert item.id not in ids
                    if isinstance(item, ToolResult):
                        assert any(
                            isinstance(each, ToolUse) and each.tool_call == item.tool_call for each in self.items
                        )
                    self.items.insert(0 if after is None else ids.index(after) + 1, item)


def said(items: list[Item]) -> list[tuple[str, str]]:
    """Who said what, by its letters, with neighbouring words of one side together."""
    words: list[tuple[str, str]] = []
    for item in items:
        match item:
            case CallerAudio(text=text):
                add(words, "caller", text or "")
            case AgentAudio():
                add(words, "agent", item.letters)
            case Told(_, by, text):
                add(words, by, text)
    return words


def add(words: list[tuple[str, str]], by: str, text: str) -> None:
    if not letters(text):
        return
    if words and words[-1][0] == by:
        words[-1] = (by, words[-1][1] + letters(text))
    else:
        words.append((by, letters(text)))


def meant(history: list[Entry]) -> list[tuple[str, str]]:
    words: list[tuple[str, str]] = []
    for entry in history:
        if isinstance(entry, CallerSaid):
            add(words, "caller", f"(on the keypad) {entry.text}" if entry.source == "keypad" else entry.text)
        elif isinstance(entry, AgentSaid):
            add(words, "agent", entry.text)
    return words


def check(items: list[Item], history: list[Entry], ids: "count[int]") -> list[Item]:
    """Reconcile and see that the vendor holds what was meant; returns its items."""
    vendor = Vendor(items)
    changes, left = reconcile(items, history, lambda: f"ours_{next(ids)}")
    vendor.apply(changes)
    assert vendor.items == left, "the mirror is not what the vendor holds"
    assert said(left) == meant(history)
    uses = {item.tool_call: item for item in left if isinstance(item, ToolUse)}
    results = {item.tool_call: item.content for item in left if isinstance(item, ToolResult)}
    assert set(uses) == {entry.tool_call for entry in history if isinstance(entry, ToolCalled)}
    assert results == {entry.tool_call: entry.content for entry in history if isinstance(entry, ToolAnswered)}
    assert reconcile(left, history, lambda: "never") == ([], left), "it is not at rest"
    return left


phrase = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join)


@st.composite
def calls(draw: st.DrawFn) -> list[tuple[list[Item], list[Entry]]]:
    """What the vendor adds and history then, by request: histories grow, and words on their way may fall away."""
    ids, steps = count(), []
    history: list[Entry] = []
    tentative = 0
    for _ in range(draw(st.integers(1, 5))):
        items: list[Item] = []
        if tentative and draw(st.booleans()):
            # The agent was cut off in words that had counted as heard.
            last = history[tentative - 1]
            assert isinstance(last, AgentSaid)
            kept = last.text.split()[: draw(st.integers(0, len(last.text.split())))]
            history = history[: tentative - 1] + ([AgentSaid(" ".join(kept), True)] if kept else [])
        tentative = 0
        for _ in range(draw(st.integers(0, 2))):
            kind = draw(st.sampled_from(["voice", "two stretches", "keys", "dismissed", "elsewhere"]))
            text, number = draw(phrase), next(ids)
            if kind in ("voice", "dismissed"):
                items.append(CallerAudio(f"u{number}", number, text))
            elif kind == "two stretches":
                more = draw(phrase)
                items += [CallerAudio(f"u{number}", number, text), CallerAudio(f"u{number}b", number, more)]
                text = f"{text} {more}"
            if kind != "dismissed":
                history.append(CallerSaid(text, "keypad" if kind == "keys" else "voice"))
        for _ in range(draw(st.integers(0, 2))):
            kind = draw(st.sampled_from(["spoken", "cut", "never heard", "ours", "tool", "our tool"]))
            text, number = draw(phrase), next(ids)
            if kind in ("spoken", "cut", "never heard"):
                items.append(audio(f"a{number}", text))
            if kind == "tool":
                items.append(ToolUse(f"t{number}", f"call_{number}", "look", "{}"))
            if kind in ("tool", "our tool"):
                answer = draw(st.sampled_from(['{"status":"running"}', '{"sky":"blue"}']))
                history += [ToolCalled(f"call_{number}", "look", "{}"), ToolAnswered(f"call_{number}", "look", answer)]
            if kind in ("spoken", "ours", "cut"):
                kept = text.split()[: draw(st.integers(1, len(text.split())))] if kind == "cut" else text.split()
                say(history, " ".join(kept), interrupted=kind == "cut")
                tentative = len(history)
        answered = {
            index: replace(entry, content='{"late":1}')
            for index, entry in enumerate(history)
            if isinstance(entry, ToolAnswered) and "running" in entry.content and draw(st.booleans())
        }
        history = [answered.get(index, entry) for index, entry in enumerate(history)]
        steps.append((items, list(history)))
    return steps


def say(history: list[Entry], text: str, *, interrupted: bool = False) -> None:
    """Neighbouring words of the agent are one entry, as in the log."""
    last = history[-1] if history else None
    if isinstance(last, AgentSaid) and not last.interrupted:
        history[-1] = AgentSaid(f"{last.text} {text}", interrupted)
    else:
        history.append(AgentSaid(text, interrupted))


@given(calls())
@settings(max_examples=400)
def test_what_the_vendor_holds_is_history_after_every_request(steps: list[tuple[list[Item], list[Entry]]]) -> None:
    items: list[Item] = []
    ids = count()
    for added, history in steps:
        items = check([*items, *added], history, ids)


@given(calls())
@settings(max_examples=100)
def test_a_new_session_is_told_all_of_it(steps: list[tuple[list[Item], list[Entry]]]) -> None:
    check([], steps[-1][1], count())


def test_audio_that_says_what_history_says_is_kept() -> None:
    items: list[Item] = [CallerAudio("u1", 1, "Where is my order?"), audio("a1", "It is on its way.")]
    history: list[Entry] = [
        AgentSaid("Hello there."),
        CallerSaid("Where is my order?"),
        AgentSaid("One moment. It is on its way."),
    ]
    left = check(items, history, count())
    assert [type(item) for item in left] == [Told, CallerAudio, Told, AgentAudio]


def test_what_was_cut_off_is_truncated_behind_the_last_word_that_was_heard() -> None:
    item = audio("a1", "Your order is on its way.")
    changes, left = reconcile([item], [AgentSaid("Your order", interrupted=True)], lambda: "never")
    assert changes == [Truncate("a1", 0.9)]
    assert [each.letters for each in left if isinstance(each, AgentAudio)] == ["yourorder"]


def test_words_inside_of_which_a_message_is_found_are_no_match() -> None:
    left = check([audio("a1", "is")], [AgentSaid("this")], count())
    assert [type(item) for item in left] == [Told]


def test_a_reply_that_nobody_heard_and_a_voice_that_took_no_turn_are_taken_out() -> None:
    items: list[Item] = [audio("a1", "A guess."), CallerAudio("u1", 1, "mm-hm"), CallerAudio("u2", 2, None)]
    changes, left = reconcile(items, [], lambda: "never")
    assert changes == [Delete("a1"), Delete("u1"), Delete("u2")]
    assert left == []


def test_what_history_may_not_know_yet_is_spared() -> None:
    items: list[Item] = [CallerAudio("u1", 1, "and"), CallerAudio("u2", 2, None)]
    assert reconcile(items, [], lambda: "never", spared={"u2"}) == ([Delete("u1")], [items[1]])
