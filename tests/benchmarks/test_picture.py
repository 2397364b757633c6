"""The picture of a call: everything of it is drawn where it happened, and what is not there is left out."""

import json
import re
import sys
import wave
from dataclasses import asdict, replace
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import pytest

# Benchmarks are run from the repository and are not installed.
from benchmarks.turns.align import HeardWord, Stretch
from benchmarks.turns.artefacts import CallArtefact, CallerEvent, LineEvent, OrderedReply, Span, save
from benchmarks.turns.picture import LEFT, PIXELS_PER_SECOND, Note, Scene, draw, main, read_scene
from defusedxml.ElementTree import fromstring

CALLER = CallerEvent(
    "call/0", "ordinary", "answer", "Where is <my> parcel?", 1.0, 2.0, (Span(1.0, 2.0),), (), "flite:slt", False, False,
    None, None, None, False, True,
)  # fmt: skip
ARTEFACT = CallArtefact(
    {"id": "ordinary-001", "voice": "flite:slt", "channel": {"snr_db": 15}}, "", "", 6.0, "Hello.", (CALLER,),
    (OrderedReply(2.1, "It is on its way", given=True),), (), (LineEvent(3.4, "clear"),), "caller", "", 0.0,
)  # fmt: skip
HEARD = (
    Stretch(1, 2.6, 3.4, tuple(HeardWord(n, 1.0, 2.6 + n / 5, 2.8 + n / 5) for n in range(4)), 0, 0.5, 0.0, 0.8),
    Stretch(1, 4.0, 4.4, tuple(HeardWord(n, 1.0, 3.4 + n / 5, 3.6 + n / 5) for n in (3, 4)), 3, 0.5, 0.6, 1.0),
)
JOURNAL = (
    Note(0.0, "state", "Listening"), Note(1.1, "state", "Hearing"), Note(2.4, "state", "Speaking"),
    Note(2.4, "decision", "ask", "reply 1"), Note(3.9, "decision", "resume", "at word 3"),
)  # fmt: skip


def tone(begin: float, end: float) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    samples = np.zeros(48_000, dtype=np.int16)
    samples[round(begin * 8_000) : round(end * 8_000)] = np.tile([6_000, -6_000], round((end - begin) * 4_000))
    return samples


SCENE = Scene(ARTEFACT, tone(1.0, 2.0), tone(1.0, 2.0), tone(2.6, 4.4), HEARD, JOURNAL)


def drawn(scene: Scene = SCENE, begin: float = 0.0, end: float | None = None) -> Element:
    root: Element = fromstring(draw(scene, begin, end))
    return root


def labels(root: Element) -> list[str]:
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def x(at: float) -> float:
    return LEFT + at * PIXELS_PER_SECOND


def test_everything_that_is_known_is_labelled() -> None:
    shown = " ".join(labels(drawn()))
    for words in ("Where is <my> parcel?", "snr db 15", "600 ms", "Listening", "Speaking", "ask reply 1",
                  "resume at word 3", "clear", "broken off, taken up again", "way"):  # fmt: skip
        assert words in shown


def test_what_was_not_written_is_not_drawn() -> None:
    shown = labels(drawn(replace(SCENE, stretches=(), journal=())))
    assert "state" not in shown
    assert "words heard" not in shown
    assert "clear" in shown


def test_the_line_tells_of_a_clear_only_when_the_journal_does_not() -> None:
    journal = (*JOURNAL, Note(3.41, "decision", "clear", "barge-in"))
    shown = labels(drawn(replace(SCENE, journal=journal)))
    assert [words for words in shown if words.startswith("clear")] == ["clear barge-in"]


def test_waves_states_and_talkspurts_lie_on_one_time_axis() -> None:
    root = drawn()
    rectangles = [
        (float(one.get("x", "-1")), float(one.get("width", "0")))
        for one in root.iter("{http://www.w3.org/2000/svg}rect") if one.get("x")
    ]  # fmt: skip
    for begin, end in ((1.0, 2.0), (2.6, 4.4), (1.1, 2.4), (2.4, 6.0)):
        assert any(abs(a - x(begin)) < 1 and abs(w - (end - begin) * PIXELS_PER_SECOND) < 1.5 for a, w in rectangles)
    agent = list(root.iter("{http://www.w3.org/2000/svg}polygon"))[-1]
    points = [tuple(map(float, point.split(","))) for point in (agent.get("points") or "").split()]
    middle = points[0][1]
    loud = [place for place, height in points if abs(height - middle) > 5]
    assert min(loud) == pytest.approx(x(2.6), abs=1)
    assert max(loud) == pytest.approx(x(4.4), abs=1)


def test_a_part_of_a_call_shows_only_that_part() -> None:
    root = drawn(SCENE, 2.2, 3.0)
    assert float(root.get("width") or 0) < float(drawn().get("width") or 0)
    shown = labels(root)
    assert "3 s" in shown
    assert "1 s" not in shown
    assert not any("resume" in words for words in shown)


def test_labels_of_the_same_moment_do_not_lie_over_each_other() -> None:
    journal = tuple(Note(2.0, "decision", f"decision number {n}") for n in range(12))
    root = drawn(replace(SCENE, journal=journal))
    places = [
        (one.get("x"), one.get("y"))
        for one in root.iter("{http://www.w3.org/2000/svg}text") if "decision number" in (one.text or "")
    ]  # fmt: skip
    assert len(set(places)) == 12


def test_a_part_that_the_call_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("lasts 6.0 s")):
        draw(SCENE, 7.0)


def test_a_folder_of_artefacts_becomes_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    save(ARTEFACT, tmp_path)
    for name, tracks in (("call.wav", (SCENE.caller, SCENE.agent)), ("clean.wav", (SCENE.clean,))):
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setnchannels(len(tracks))
            file.setsampwidth(2)
            file.setframerate(8_000)
            file.writeframes(np.column_stack(tracks).astype("<i2").tobytes())
    kept = {"key": "", "content": {"stretches": [asdict(stretch) for stretch in HEARD]}}
    (tmp_path / "aligned.json").write_text(json.dumps(kept))
    (tmp_path / "journal.jsonl").write_text("\n".join(json.dumps(asdict(note)) for note in JOURNAL))
    read = read_scene(tmp_path)
    assert read.journal == JOURNAL
    assert draw(read) == draw(SCENE)
    monkeypatch.setattr(sys, "argv", ["picture", str(tmp_path)])
    assert main() == 0
    assert (tmp_path / "call.svg").read_text() == draw(SCENE)
    assert str(tmp_path / "call.svg") in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["picture", str(tmp_path / "none")])
    assert main() == 1
