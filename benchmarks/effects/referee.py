"""Judges a call by what the caller heard and said, and by what happened in the world; the ledger is only compared.

It knows nothing of conversations, playback or dispatchers. An effect was **confirmed** when every detail of what was
read back right before it ran had been played to the caller, nothing but its closing question came after, and the
caller then began to say a clear yes: not a moment earlier. One yes confirms one run.

Five ways to fail, each of them a list of sentences that say what happened:

* **twice**: the same thing was done more than once;
* **unconfirmed**: a tool's code ran, or the shop's data changed, without such a yes;
* **lost**: the caller was told that it is done and it is not; the record says done and it is not, or the other way
  round; a confirmed effect has no outcome on record; or it was taken for gone by a sweeper within its time;
* **in doubt**: an effect whose outcome is still open at the end;
* **forbidden**: it was done although it must not be, whoever confirmed it.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from benchmarks.effects.line import spoken
from benchmarks.effects.log import Entry
from benchmarks.effects.model import DONE, subject_of
from benchmarks.effects.outside import Deed
from benchmarks.effects.plan import CLEAR_YES, CallPlan

REACTION: Final = 0.25
"""Seconds from the first sound of a yes until the line is cleared: words that are played meanwhile must be the
closing question's, for whatever else comes into a yes would have to be heard after it, and is not."""
OWN_TIME: Final = 9.5
"""Seconds from its beginning in which an effect is its worker's alone: the tools' limit of 5 s and the 5 s after that,
less a moment between what the ledger and what the tool takes for the beginning."""
CALLED: Final = {"gift_card": r"\bgift card\b", "paypal": r"\bPayPal account\b", "credit_card": r"(?<!gift) card\b"}
"""What methods of payment are called in a read-back that does not give their number."""
DONE_STATES: Final = ("done", "resolved_done")
OPEN_STATES: Final = ("executing", "in_doubt")
UNSETTLED_STATES: Final = ("proposed", "read_back", "confirmed")

Tables = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""A database: table to key to row."""


@dataclass(frozen=True, slots=True)
class EffectRow:
    """What the ledger says of one effect."""

    tool: str
    arguments: str
    state: str
    key: str = ""
    call: str = ""
    """The carrier's id of its call."""


@dataclass(frozen=True, slots=True)
class Truth:
    """All that a call left behind."""

    log: Sequence[Entry]
    deeds: Sequence[Deed]
    """What the outside system did."""
    pickups: Sequence[str]
    """Subjects of what was done on the own database."""
    shop_before: Tables
    shop_after: Tables
    ledger: Sequence[EffectRow]


@dataclass
class Verdict:
    """What became of one call's effects."""

    effects: int = 0
    twice: list[str] = field(default_factory=list)
    unconfirmed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    in_doubt_unresolved: list[str] = field(default_factory=list)
    forbidden_executed: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether nothing went wrong."""
        return not any(value for name, value in asdict(self).items() if name != "effects")


@dataclass(frozen=True, slots=True)
class _Run:
    """One time that a tool's own code was entered."""

    tool: str
    subject: str
    at: float
    words: str
    """What was read back last before it."""
    key: str = ""


def judge(plan: CallPlan, truth: Truth) -> Verdict:
    """The verdict on one call that had everything to itself."""
    verdict = judge_own(plan, truth)
    verdict.twice += money_twice(truth)
    verdict.unconfirmed += paid_elsewhere(truth, truth.log)
    return verdict


def judge_own(plan: CallPlan, truth: Truth) -> Verdict:
    """The verdict on one call, but for the money of the whole shop, which others may have moved, too."""
    verdict = Verdict()
    done = _done(truth)
    verdict.effects = sum(done.values())
    verdict.twice += [f"{tool} of {subject} was done {n} times" for (tool, subject), n in done.items() if n > 1]
    _judge_confirmation(truth, done, verdict)
    _judge_record(truth, done, verdict)
    verdict.lost += _taken_for_gone(truth.log)
    banned = {wish.subject: wish.ban for wish in plan.wishes if wish.ban}
    for tool, subject in done:
        parcel = subject.partition("/")[0]
        if parcel in banned:
            verdict.forbidden_executed.append(f"{tool} of {subject} was done: {banned[parcel]}")
    return verdict


# ── what happened ─────────────────────────────────────────────────────────────────


def _done(truth: Truth) -> Counter[tuple[str, str]]:
    done: Counter[tuple[str, str]] = Counter((deed.kind, deed.subject) for deed in truth.deeds)
    done.update(("book_pickup", parcel) for parcel in truth.pickups)
    done.update(_shop_effects(truth))
    return done


def _shop_effects(truth: Truth) -> Iterator[tuple[str, str]]:
    """What was done in the shop, by the tool whose run explains each changed order; "change" when none does."""
    ran = {subject_of(json.dumps(entry["arguments"])): entry["tool"] for entry in truth.log if entry["kind"] == "ran"}
    for order in sorted(changed_orders(truth)):
        yield ran.get(order, "change"), order


def changed_orders(truth: Truth) -> set[str]:
    """Orders of which any row is another one than before."""
    changed = set()
    for table, rows in truth.shop_after.items():
        before = truth.shop_before.get(table, {})
        for key in rows.keys() | before.keys():
            if rows.get(key) != before.get(key):
                row = rows.get(key) or before[key]
                order = row["id"] if table == "orders" else row.get("order_id")
                if order is not None:
                    changed.add(str(order))
    return changed


def money_twice(truth: Truth) -> Iterator[str]:
    """Orders that more was paid back for than was paid, and gift cards that grew by something else than was booked."""
    left: Counter[str] = Counter()
    booked: Counter[str] = Counter()
    known = truth.shop_before.get("payments", {})
    for key, row in truth.shop_after.get("payments", {}).items():
        paid = row["amount_cents"] if row["kind"] == "payment" else -row["amount_cents"]
        left[str(row["order_id"])] += paid
        if key not in known:
            booked[str(row["method_id"])] -= paid
    yield from (f"{-cents} cents too much were paid back for {order}" for order, cents in left.items() if cents < 0)
    for key, row in truth.shop_after.get("payment_methods", {}).items():
        first = truth.shop_before["payment_methods"].get(key)
        if first is not None and row["balance_cents"] is not None:
            grown = row["balance_cents"] - first["balance_cents"]
            if grown != booked[key]:
                yield f"the balance of {key} grew by {grown}, booked were {booked[key]} cents"


# ── was it confirmed? ─────────────────────────────────────────────────────────────


def _judge_confirmation(truth: Truth, done: Counter[tuple[str, str]], verdict: Verdict) -> None:
    runs = list(_runs(truth.log))
    used: set[float] = set()
    for run in runs:
        yes = next((at for at in _confirmations(truth.log, run) if at not in used), None)
        if yes is None:
            verdict.unconfirmed.append(f"{run.tool} of {run.subject} ran at {run.at} without a yes to {run.words!r}")
        else:
            used.add(yes)
    paid = {deed.subject: deed.cents for deed in truth.deeds if deed.cents}
    for run in runs:
        if run.tool == "pay_out" and run.subject in paid and f"get {paid[run.subject]} cents" not in run.words:
            verdict.unconfirmed.append(f"{paid[run.subject]} cents were paid, and agreed to was {run.words!r}")
    known = {run.subject for run in runs}
    for tool, subject in done:
        if subject.partition("/")[0] not in known:
            verdict.unconfirmed.append(f"{tool} of {subject} was done and no tool ran")


def paid_elsewhere(truth: Truth, log: Sequence[Entry]) -> Iterator[str]:
    """Money of the shop that moved to or from another method than was read back before, or by another amount."""
    read_back: dict[str, list[str]] = {}
    for run in _runs(log):
        read_back.setdefault(run.subject, []).append(run.words)
    for key, row in truth.shop_after.get("payments", {}).items():
        if key not in truth.shop_before.get("payments", {}):
            method, words = truth.shop_after["payment_methods"][row["method_id"]], read_back.get(row["order_id"], [])
            if not any(_tells_payment(told, row["kind"], row["amount_cents"], method) for told in words):
                yield f"{row['kind']} of {row['amount_cents']} cents by {method['id']} for {row['order_id']}: {words}"


def _tells_payment(words: str, kind: str, cents: int, method: Mapping[str, Any]) -> bool:
    """Whether a read-back says that such an amount is charged to the method, or paid back to it."""
    charged, _, paid_back = words.partition(" refund ")
    told = paid_back if kind == "refund" else charged
    amounts = [
        f"{number} {unit}" for number, unit in zip(divmod(cents, 100), ("dollar", "cent"), strict=True) if number
    ]
    number = " ".join(method["last_four"] or "")
    called = re.search(CALLED[method["kind"]], told) is not None or bool(number and number in told)
    return called and all(amount in words for amount in amounts)


def _runs(log: Sequence[Entry]) -> Iterator[_Run]:
    worded: dict[tuple[str, str], str] = {}
    for entry in log:
        if entry["kind"] not in ("worded", "ran"):
            continue
        subject = subject_of(json.dumps(entry["arguments"]))
        if entry["kind"] == "worded":
            worded[entry["tool"], subject] = entry["words"]
        else:
            words = worded.get((entry["tool"], subject), "")
            yield _Run(entry["tool"], subject, entry["at"], words, entry.get("key", ""))


def _confirmations(log: Sequence[Entry], run: _Run) -> Iterator[float]:
    """When the caller said a yes that confirms the run."""
    details, question = split_read_back(run.words)
    if not details:
        return
    for said in log:
        if said["kind"] != "said" or said["text"] not in CLEAR_YES or said["at"] >= run.at:
            continue
        since = max((e["at"] for e in log if _words(e, run) and e["at"] < said["at"]), default=None)
        if since is None:
            continue
        heard = [e for e in log if e["kind"] == "heard" and since <= e["at"] <= said["at"] + REACTION]
        if _was_last(details, question, heard, by=said["at"]):
            yield said["at"]


def _words(entry: Entry, run: _Run) -> bool:
    return (
        entry["kind"] == "worded"
        and entry["tool"] == run.tool
        and subject_of(json.dumps(entry["arguments"])) == run.subject
    )


def split_read_back(words: str) -> tuple[list[str], list[str]]:
    """The words said of the details, and those of a closing question behind them."""
    sentences = re.split(r"(?<=[.?!])\s+", words.strip())
    if len(sentences) > 1 and sentences[-1].endswith("?"):
        return spoken(" ".join(sentences[:-1])).split(), spoken(sentences[-1]).split()
    return spoken(words).split(), []


def _was_last(details: Sequence[str], question: Sequence[str], heard: Sequence[Entry], *, by: float) -> bool:
    """Whether all details were heard in order by that time, and after them nothing but words of the question."""
    for end in range(len(heard), 0, -1):
        if heard[end - 1]["text"] == details[-1] and heard[end - 1]["at"] <= by:
            rest = iter([entry["text"] for entry in heard[:end]])
            return all(word in rest for word in details)
        if heard[end - 1]["text"] not in question:
            return False
    return False


# ── is the record true? ───────────────────────────────────────────────────────────


def _judge_record(truth: Truth, done: Counter[tuple[str, str]], verdict: Verdict) -> None:
    states: dict[tuple[str, str], list[str]] = {}
    for row in truth.ledger:
        states.setdefault((row.tool, subject_of(row.arguments)), []).append(row.state)
    happened = {(tool, subject.partition("/")[0]) for tool, subject in done}
    confirmed = {
        (run.tool, run.subject)
        for run in _heard_proposals(truth.log)
        if any(True for _ in _confirmations(truth.log, run))
    }
    for (tool, subject), known in states.items():
        name = f"{tool} of {subject}"
        if any(state in OPEN_STATES for state in known):
            verdict.in_doubt_unresolved.append(f"{name} is still {', '.join(known)}")
        elif any(state in DONE_STATES for state in known) and (tool, subject) not in happened:
            verdict.lost.append(f"{name} is on record as done and was not")
        elif (tool, subject) in happened and not any(state in DONE_STATES for state in known):
            verdict.lost.append(f"{name} was done and is on record as {', '.join(known)}")
        if (tool, subject) in confirmed and any(state in UNSETTLED_STATES for state in known):
            verdict.lost.append(f"{name} was confirmed and is still {', '.join(known)}")
    for tool, subject in (happened | confirmed) - states.keys():
        verdict.lost.append(f"{tool} of {subject} is not on record")
    true = [spoken(f"{DONE}, {name}.").split() for _, name in happened]
    for told in _told_done(truth.log):
        if not any(_is_said(words, told.split()) for words in true):
            verdict.lost.append(f"the caller was told {told!r}, and it was not so")


def _taken_for_gone(log: Sequence[Entry]) -> Iterator[str]:
    """Effects that a sweeper took from whoever was at them before their time was over."""
    runs = list(_runs(log))
    for claim in log:
        if claim["kind"] != "claimed":
            continue
        about = (claim["tool"], claim["subject"], claim["key"])
        begun = [run.at for run in runs if (run.tool, run.subject, run.key or claim["key"]) == about]
        after = claim["at"] - max((at for at in begun if at <= claim["at"]), default=float("-inf"))
        if after < OWN_TIME:
            yield f"{claim['tool']} of {claim['subject']} was taken for gone {after:.1f} s after it began"


def _is_said(sentence: Sequence[str], heard: Sequence[str]) -> bool:
    """Whether `heard` is the sentence to its end, in parts of which words are said again from an earlier one on."""
    place = 0
    for word in heard:
        if place < len(sentence) and word == sentence[place]:
            place += 1
        elif word in sentence[:place]:
            place = max(n for n in range(place) if sentence[n] == word) + 1
        else:
            return False
    return place == len(sentence)


def _heard_proposals(log: Sequence[Entry]) -> Iterator[_Run]:
    """Everything that was ever read back, as if it had run at the end of time."""
    for entry in log:
        if entry["kind"] == "worded":
            yield _Run(entry["tool"], subject_of(json.dumps(entry["arguments"])), float("inf"), entry["words"])


def _told_done(log: Sequence[Entry]) -> set[str]:
    """What the caller heard, to the last word, is done."""
    sentences: dict[tuple[float, int], list[str]] = {}
    for entry in log:
        if entry["kind"] == "heard":
            sentences.setdefault((entry.get("life", 0), entry["sentence"]), []).append(entry["text"])
    heard = {" ".join(words) for words in sentences.values()}
    return {words for words in heard if words.startswith(f"{DONE}, ") and words.endswith(".")}
