"""A caller and a world that do whatever one source of chance tells them, plausibly.

The same steps serve hypothesis, which shrinks what it finds, and long runs with fixed seeds.
"""

import json
from collections.abc import Callable
from random import Random

from core.call_world import (
    HANGOVER,
    Asks,
    Fails,
    HandsOn,
    Part,
    Proposes,
    Returns,
    Says,
    Stalls,
    Starts,
    Voices,
    Wants,
    World,
    settings,
    words,
)
from talkspurt.core.agent_side import NEW_CALLER
from talkspurt.core.commands import ExecuteEffect, RunTool, Speak
from talkspurt.core.conversation import Conversation
from talkspurt.core.digits import EntryRules
from talkspurt.core.events import (
    UNKNOWN_VOICE,
    CallerHungUp,
    DigitPressed,
    EndRequested,
    LineOpened,
    PartlyTranscribed,
    ReplyTextReceived,
    SecretEntered,
    SecretProgress,
    SpeechStarted,
    ToolReturned,
    Voice,
)
from talkspurt.core.states import Closing, Collecting, Ended, Lost, Opening, Speaking

RULES = settings(max_call=90.0, max_digits=4)
PATIENCE = RULES.closing_timeout + RULES.lost_line_patience
"""How long a call may outlive its longest time."""


class Fate:
    """One call in a capricious world."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.marks_lost = False
        self.late = False
        self.world = World(
            rules=RULES,
            default_reply=self._reply,
            tool=self._tool,
            keyed=self._keyed,
            effect=self._effect,
            voice=self._voice,
            transcribe=self._transcribe,
            judge=self._judge,
            mark=lambda: None if self.marks_lost else 0.06,
            late_news=lambda: self.late,
        )

    # ── what the world does ───────────────────────────────────────────────────────

    def _odds(self, one_in: int) -> bool:
        return self.chance.randrange(one_in) == 0

    def _reply(self, reply: int) -> list[Part]:
        parts: list[Part] = []
        for sentence in range(self.chance.choice([0, 1, 1, 1, 2, 3])):
            text = words(f"r{reply}.{sentence}", self.chance.choice([2, 5, 12]))
            parts.append(Says(f"{text}. ", after=self.chance.choice([0.05, 0.3, 2.0])))
        tools = range(self.chance.choice([0, 0, 1, 1, 2]))
        parts.extend(Asks(self.chance.choice(["look", "refund", "refund", "verify", "verify", "work"])) for _ in tools)
        if self._odds(12):
            parts.append(Asks("end_call"))
        if self._odds(12):
            parts.insert(self.chance.randrange(len(parts) + 1), Asks(NEW_CALLER))
        if self._odds(8):
            parts.append(Fails() if self._odds(2) else Stalls())
        return parts

    def _tool(self, command: RunTool) -> Returns | HandsOn | Starts | Proposes | Wants | None:
        if command.name == NEW_CALLER:
            return HandsOn()
        if command.name == "work":
            later = self.chance.choice([None, 0.5, 4.0, 20.0, 60.0])
            news = self.chance.choice([(), (1.0,), (2.0, 2.1, 9.0)])
            return Starts(later, news, answer=f'"{command.tool_call} done"', after=self.chance.choice([0.1, 0.6, 25.0]))
        if command.name == "verify" and not self._odds(8):
            shortest, longest = self.chance.choice([(4, 4), (4, 4), (2, 6)])
            return Wants(EntryRules(shortest, longest), self.chance.choice([0.05, 0.05, 1.5]))
        after = self.chance.choice([0.1, 0.1, 0.5, 3.0, 25.0])
        if self._odds(10):
            return None
        if command.name == "refund" and not self._odds(4):
            number = next(self.world.proposals)
            details = [f"{words(f'p{number}.{index}', 3)}." for index in range(self.chance.choice([1, 2]))]
            question = f" Shall {words(f'p{number}.q', 2)}?" if self.chance.choice([True, True, False]) else ""
            return Proposes(" ".join(details) + question, f"p{number}", after)
        return Returns(f'"{command.tool_call}"', after)

    def _keyed(self, _secret: str) -> Returns | None:
        return None if self._odds(8) else Returns('"keyed"', self.chance.choice([0.1, 1.0]))

    def _effect(self, command: ExecuteEffect) -> Returns | None:
        if self._odds(6):
            return None
        return Returns(f'"{command.proposal} done"', self.chance.choice([0.1, 2.0]))

    def _voice(self, _speak: Speak) -> Voices | None:
        if self._odds(40):
            return None
        return Voices(self.chance.choice([0.05, 0.2, 1.0]), self.chance.choice([0.05, 0.5]), fails=self._odds(25))

    def _transcribe(self, text: str) -> tuple[float, str | None] | None:
        if self._odds(20):
            return None
        return self.chance.choice([0.05, 0.05, 0.3, 0.3, 1.0, 2.0]), None if self._odds(20) else text

    def _judge(self, _text: str) -> tuple[float, float] | None:
        if self._odds(4):
            return None
        return self.chance.choice([0.05, 0.3, 1.0]), self.chance.choice([0.0, 0.5, 1.0])

    def _sound(self) -> Voice:
        """Mostly the caller; now and then an echo, somebody else, a noise."""
        if not self._odds(4):
            return UNKNOWN_VOICE
        return self.chance.choice(
            [Voice(is_echo=True), Voice(is_caller=False), Voice(is_caller=True), Voice(is_voice=False)]
        )

    # ── what may happen next ──────────────────────────────────────────────────────

    @property
    def alive(self) -> bool:
        return not self.world.ended

    def wait(self) -> None:
        self.world.run(self.chance.choice([0.02, 0.1, 0.3, 1.0, 3.0, 12.0]))

    def listen(self) -> None:
        """Wait for the agent to finish, so that there is something to say yes to."""
        self.world.run_until(
            lambda world: type(world.floor).__name__ in ("Opening", "Listening", "Lost", "Ended"), patience=200
        )

    def speak(self) -> None:
        """Start to speak, or stop."""
        world = self.world
        if world.speaking_since is not None:
            world.stops()
        else:
            world.starts(self.chance.choice(["", "yes", "no", "what", "tell me and", "mhm", "whole"]), self._sound())

    def answer(self) -> None:
        """Say something whole."""
        world = self.world
        if world.speaking_since is None:
            world.says(self.chance.choice(["yes", "yes", "yes", "no", "what", ""]), self.chance.choice([0.2, 0.9]))
            world.run(self.chance.choice([0.3, 0.9, 1.5]) + HANGOVER)

    def agree(self) -> None:
        """Hear the agent out, and say yes."""
        if self.world.speaking_since is not None:
            self.world.stops()
        self.listen()
        if self.alive:
            self.answer()

    def cut_in(self) -> None:
        """Speak, or cough, into what the agent says."""
        world = self.world
        if world.speaking_since is not None:
            return
        for _ in range(40):
            if isinstance(world.floor, Speaking | Ended):
                break
            world.run(0.1)
        world.run(self.chance.choice([0.2, 0.8, 1.6, 2.4]))
        if self.alive:
            world.says(
                self.chance.choice(["yes", "mhm", "stop", "", ""]), self.chance.choice([0.1, 0.3, 0.9]), self._sound()
            )
            world.run(1.0)

    def hint(self) -> None:
        """A streaming recognizer tells what it has understood so far, rightly or wrongly."""
        utterance = self.world.referee.utterance
        words = " ".join([*self.world.utterance_words, self.world.saying])
        self.world.give(PartlyTranscribed(utterance, self.chance.choice([words, words, "stop", "", "whole"])))

    def turn_up(self) -> None:
        """A voice that went on turns out to be another's, or the caller's after all."""
        self.world.sound = self._sound()

    def press(self) -> None:
        """Press keys. Now and then the call is to end, or ends, before they are a whole entry."""
        self.world.types(self.chance.choice(["1", "5#", "12#", "*", "#", "x", "12345"]), pause=0.2)
        self._break_off()

    def key_in(self) -> None:
        """Key in a secret when one is asked for: at once or when asked to, whole or not."""
        world = self.world
        if self._odds(2):
            for _ in range(60):
                if isinstance(world.floor, Collecting | Ended):
                    break
                world.run(0.1)
        pause = self.chance.choice([0.1, 0.4, 3.0])
        for key in self.chance.choice(["DBCA", "DBCA", "DBCA", "DBCA#", "CAB", "D#", "BA*", "#", "x"]):
            # Who keys in a secret that nobody asked for tells it to everyone.
            if self.alive and (world.pad.claims(world.now) or key not in "ABCD"):
                world.types(key, pause)
                self._break_off()

    def _break_off(self) -> None:
        """Leave the caller's keys where they are: few things happen by themselves in so short a time."""
        if self._odds(25) and self.alive:
            self.chance.choice([self.hang_up, self.ask_to_end, self.ask_to_end])()

    def line(self) -> None:
        """Lose the line, or get one (a first, another, or a second at once)."""
        world = self.world
        if isinstance(world.floor, Opening | Lost) or self._odds(3):
            world.dial()
        else:
            world.lose_line(hung_up=self._odds(8))

    def repeat(self) -> None:
        """Some news comes again. Text and keys have no id, and a dead line is not opened again."""
        current = self.world.referee.collecting
        recent = [
            event
            for event in self.world.delivered[-60:]
            # How many digits there are is no news that could be stale, as long as they are collected.
            if not (isinstance(event, SecretProgress | SecretEntered) and event.tool_call == current)
            and not isinstance(event, ReplyTextReceived | DigitPressed | LineOpened | EndRequested | CallerHungUp)
        ]
        if recent:
            event = self.chance.choice(recent)
            if isinstance(event, SpeechStarted) and event.talkspurt > self.world.conversation._talkspurt:
                return  # of an earlier line, whose talkspurts nobody can tell from the new one's
            self.world.give(event)

    def be_late(self) -> None:
        """From now on (or no longer) news of what was cancelled arrives all the same."""
        self.late = not self.late

    def lose_marks(self) -> None:
        self.marks_lost = self._odds(2)

    def step_back(self) -> None:
        self.world.give(None, at=self.world.now - 1.0)

    def answer_late(self) -> None:
        """A tool answers that was given up long ago."""
        for tool_call in list(self.world.answers())[:3]:
            self.world.give(ToolReturned(tool_call, '"late"'))

    def ask_to_end(self) -> None:
        self.world.give(EndRequested(self.chance.choice(["shutdown", "operator", "handover", "agent"])))

    def hang_up(self) -> None:
        self.world.give(CallerHungUp())

    def move(self) -> None:
        """From here on a restored conversation has to do the same."""
        self.world.clone()

    def abandon(self) -> None:
        """Were nothing ever to happen again, the call would still end, in bounded work."""
        left = Conversation.restore(RULES, json.loads(json.dumps(self.world.conversation.snapshot())))
        now, steps = self.world.now, 0
        while left.deadline is not None:
            now = max(now, left.deadline)
            assert len(left.receive(None, now)) < 40
            steps += 1
            assert steps < 400
        assert isinstance(left.floor, Ended)
        assert left.floor.reason
        assert left.floor.at <= max(self.world.now, RULES.max_call) + PATIENCE

    ORDINARY: tuple[Callable[["Fate"], None], ...] = (
        *([wait] * 6),
        *([speak] * 3),
        *([answer] * 4),
        *([agree] * 6),
        *([cut_in] * 3),
        *([key_in] * 4),
        press,
        line,
        move,
        hint,
        turn_up,
        *([repeat] * 2),
    )
    RARE: tuple[Callable[["Fate"], None], ...] = (
        abandon,
        be_late,
        lose_marks,
        step_back,
        answer_late,
        ask_to_end,
        hang_up,
        line,
    )

    def happen(self) -> None:
        """Anything."""
        self.chance.choice(self.RARE if self._odds(15) else self.ORDINARY)(self)

    def finish(self) -> None:
        """Let the call run out, and check the account of it."""
        self.abandon()
        world = self.world
        if not isinstance(world.floor, Closing | Ended):
            world.run(max(0.0, RULES.max_call - world.now))
        world.run(PATIENCE + 30.0)
        assert world.ended
        world.referee.close()
