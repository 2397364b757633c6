"""What one benchmark call leaves on disk: the interface between placing calls and measuring them.

`build/bench/turns/<scenario id>/` holds
* `call.wav`: stereo, 8 kHz, 16 bit. Left is what the caller's side sent (noise, echo and side talk included; a lost
  frame is silence), right is what the carrier double played to the caller. Sample `n` was on the line at `n / 8000`.
* `clean.wav`: mono, aligned with `call.wav`: the caller's own speech before the channel.
* `call.json`: a `CallArtefact`.

`build/bench/turns/run.json` (a `Run`) names the calls that belong to the last run, and what was left out.

All times are call seconds (since the call was answered, the line's own clock) and exact to the sample: they come from
where the runner put the audio, never from listening to it.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from talkspurt.agent.locales import Locale, find_locale

FORMAT: Final = 1
"""Raised whenever a field changes its meaning, so that old artefacts are placed anew."""

Row = Literal[
    "ordinary",  # plain turns and turns with inner pauses
    "yesno",  # answers to a yes/no question
    "entity",  # order ids, e-mails, phone numbers, ZIPs, amounts
    "interruption",  # the caller really wants the agent to stop
    "backchannel",  # "mm-hm" while the agent speaks
    "noise",  # coughs, doors, clicks while the agent speaks
    "side_talk",  # somebody else in the room
    "echo",  # a stretch of the agent's reply that comes back while nobody speaks
    "echo_turn",  # an ordinary turn on a line with echo
    "silence",  # the caller says nothing: a reminder is due
    "both_start",  # caller and agent begin at once
    "one_word",  # one-word answers
    "go_on",  # a plain turn that only keeps the call going; not a row of the report
]

Expectation = Literal[
    "answer",  # the agent waits for the end of the event, then answers
    "stop",  # the agent stops speaking, then answers
    "go_on",  # the agent goes on with its reply (a short yield that is resumed is fine)
    "stay_silent",  # the agent is listening and must not answer this
    "remind",  # the agent asks whether the caller is there
]

PausePlace = Literal["clause", "inside", "groups", "filler"]
"""After a complete clause; inside one; between groups of an entity; after "um" or a self-correction's break."""


ORDER_DOUBT: Final = 0.05
"""Seconds by which an order may seem to have come later than it did. It is noted by the wall clock of another process,
its sound by the double's ticks of 20 ms, which may be late, and the first word may be heard 10 ms after the order."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `begin` to `end`."""

    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence inside an utterance."""

    begin: float
    end: float
    place: PausePlace
    one_utterance: bool
    """Whether both sides were synthesized (or recorded) as one utterance: its prosody says that it goes on."""


@dataclass(frozen=True, slots=True)
class Entity:
    """What the caller gave: `kind` is order_id, email, phone, zip or amount; `value` is its canonical form."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class CallerEvent:
    """One thing the caller's side did. `begin`..`end` runs from the first to the last voiced sample."""

    id: str
    """Unique over all calls: `<scenario id>/<number>`."""
    row: Row
    expects: Expectation
    text: str
    """The words, "" when there are none (coughs, echo, silence)."""
    begin: float
    end: float
    voiced: tuple[Span, ...]
    """Its voiced parts in order; only pauses of the scenario divide them, never a plosive's closure."""
    pauses: tuple[Pause, ...]
    source: str
    """`flite:slt`, `espeak:en-us+f3`, `recording:short/yes.wav`, `synthetic:cough`, `echo`."""
    synthetic: bool
    """A sound that no person and no speech synthesizer made (labelled so in the report)."""
    agent_speaking: bool
    """Whether the double was playing audible agent speech within the last 300 ms when the event began."""
    reply_began: float | None
    """Interruptions and distractions: when the agent's reply became audible to the caller."""
    entity: Entity | None
    level_db: float | None
    """Side talk: relative to the caller's speech. Echo: relative to the agent's voice."""
    far_field: bool
    measured: bool
    """False when the event could not take place as the scenario wants it (`note` says why): do not count it."""
    note: str = ""
    tags: tuple[str, ...] = ()
    """E.g. `plain`, `paused`, `correction`, `filler`, `long_pause` (more than 1.0 s), `short`, `far_field`, `cough`."""


@dataclass(frozen=True, slots=True)
class OrderedReply:
    """A reply as the language model gave it. Dropped speculations are among them."""

    at: float
    """When the model was asked."""
    text: str
    given: bool
    """Whether the model was allowed to finish; False when the session closed it before."""
    heard_so_far: tuple[str, ...] = ()
    """What the caller had said in the history that the model was given."""


@dataclass(frozen=True, slots=True)
class LineEvent:
    """The carrier double's log: `kind` is one of `talkspurt.simulate.recording.EventKind`."""

    at: float
    kind: str
    detail: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One row of the server's `turns` table."""

    n: int
    kind: Literal["agent_said", "caller_said", "tool_called", "tool_answered"]
    content: dict[str, Any]
    """E.g. `{"text": …, "interrupted": …}` of agent_said, `{"text": …, "source": …}` of caller_said."""
    at: float
    """Call seconds, from the server's clock: about 50 ms of doubt."""


@dataclass(frozen=True, slots=True)
class CallArtefact:
    """`call.json`."""

    scenario: dict[str, Any]
    """The scenario as frozen: `id`, `agent`, `voice`, `channel` (band-pass, noise, SNR, echo, loss, jitter), …"""
    stamp: str
    """Digests of the scenario, and of code and configuration: artefacts with another stamp are not of this run."""
    call_sid: str
    seconds: float
    greeting: str
    """What the agent says first; it is not asked of the model."""
    events: tuple[CallerEvent, ...]
    ordered: tuple[OrderedReply, ...]
    history: tuple[StoredEntry, ...]
    line: tuple[LineEvent, ...]
    ended_by: str
    end_reason: str
    worst_lateness: float
    """Seconds by which the double's latest 20 ms tick came late: above 0.1 its timing is in doubt."""
    failures: tuple[str, ...] = field(default=())
    """What went wrong in the call; its events up to then still count."""
    complete: bool = True
    """Whether all steps of the scenario took place."""
    format: int = FORMAT

    @property
    def id(self) -> str:
        """The scenario's id, which is also the folder's name."""
        return str(self.scenario["id"])

    @property
    def locale(self) -> Locale:
        """What is spoken in it."""
        return find_locale(str(self.scenario.get("locale", "en-US")))

    @property
    def hung_up(self) -> bool:
        """Whether the agent took its caller for gone and said goodbye before they had said everything."""
        said = [str(entry.content["text"]) for entry in self.history if entry.kind == "agent_said"]
        farewell = self.locale.phrases["goodbye_silence"]
        return not self.complete and self.ended_by == "agent" and bool(said) and farewell.endswith(said[-1])

    @property
    def counts(self) -> bool:
        """Whether the run need not place the call again.

        An agent that hangs up on its caller has shown what it does; a call that broke off shows nothing.
        """
        return self.complete or self.hung_up


@dataclass(frozen=True, slots=True)
class Run:
    """`run.json`: which folders are of one run. Others may lie beside them, from another one."""

    quick: bool
    stamp: str
    """Digest of code and configuration; each call's own stamp adds its scenario's hash."""
    calls: tuple[str, ...]
    """The scenarios of this run that have artefacts."""
    failed: tuple[str, ...]
    """Scenarios whose call could not be placed, or broke off before its last step and not because the agent hung up,
    each with the reason."""
    missing: tuple[str, ...]
    """Scenarios that were not placed in time: run again to add them."""
    left_out: tuple[str, ...]
    """What was not there, such as recordings: said loudly, and replaced by synthesized speech."""


def save_run(run: Run, folder: Path) -> None:
    """Write `run.json`."""
    (folder / "run.json").write_text(json.dumps(asdict(run), indent=1), encoding="utf-8")


def load_run(folder: Path) -> Run:
    """Read `run.json`. Raises as `load` does."""
    raw = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    lists = {name: tuple(raw[name]) for name in ("calls", "failed", "missing", "left_out")}
    return Run(bool(raw["quick"]), str(raw["stamp"]), **lists)


def save(artefact: CallArtefact, folder: Path) -> None:
    """Write `call.json`, last of all files and in one step: its presence says that the call is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / "call.json.part"
    unfinished.write_text(json.dumps(asdict(artefact), indent=1), encoding="utf-8")
    unfinished.replace(folder / "call.json")


def load(folder: Path) -> CallArtefact:
    """Read `call.json`. Raises `OSError`, `ValueError`, `KeyError` or `TypeError` when it is none of this format."""
    raw = json.loads((folder / "call.json").read_text(encoding="utf-8"))
    if raw.get("format") != FORMAT:
        raise ValueError(f"{folder}: artefact format {raw.get('format')}, not {FORMAT}")
    raw["events"] = tuple(_event(event) for event in raw["events"])
    raw["ordered"] = tuple(
        OrderedReply(**{**ordered, "heard_so_far": tuple(ordered["heard_so_far"])}) for ordered in raw["ordered"]
    )
    raw["history"] = tuple(StoredEntry(**entry) for entry in raw["history"])
    raw["line"] = tuple(LineEvent(**event) for event in raw["line"])
    raw["failures"] = tuple(raw["failures"])
    return CallArtefact(**raw)


def _event(raw: dict[str, Any]) -> CallerEvent:
    return CallerEvent(
        **{
            **raw,
            "voiced": tuple(Span(**span) for span in raw["voiced"]),
            "pauses": tuple(Pause(**pause) for pause in raw["pauses"]),
            "entity": Entity(**raw["entity"]) if raw["entity"] else None,
            "tags": tuple(raw["tags"]),
        }
    )
