"""What counts as heard, and as a yes to it."""

from typing import Final

from benchmarks.guards.guard import Guard

CORE: Final = "tests/core/test_conversation_scenarios.py"

GUARDS: Final = (
    Guard(
        "a yes that breaks off is none",
        "core/consent.py",
        " or language.breaks_off(said.text)",
        "",
        CORE,
    ),
    Guard(
        "nothing is read back while an effect is executed",
        "core/agent_side.py",
        "or self.secret is not None or executing",
        "or self.secret is not None",
        CORE,
    ),
    Guard(
        "a yes begins after the read-back was heard",
        "core/consent.py",
        "hasty = began < heard_at or passing",
        "hasty = passing",
        CORE,
    ),
    Guard(
        "a yes began when its voice did, whosever it was taken for",
        "core/conversation.py",
        "self._utterance_at = self._talkspurt_at",
        "self._utterance_at = at",
        CORE,
    ),
    Guard(
        "an effect is waited for as long as its tool may take",
        "core/agent_side.py",
        "self._settings.tool_times.get(tool.name, 0.0)",
        "0.0",
        "tests/core/test_late_answers.py",
    ),
    Guard(
        "only a read-back that was heard can be confirmed",
        "core/consent.py",
        "if heard_at is not None and last and",
        "heard_at = heard_at or 0.0\n        if last and",
        CORE,
    ),
    Guard(
        "heard is what the carrier has proven",
        "core/consent.py",
        "return playback.was_proven(self.proposal) and",
        "return",
        CORE,
    ),
    Guard(
        "nothing was said after the read-back",
        "core/consent.py",
        "playback.last_tag(began) in (self.proposal, self.question_tag)",
        "True",
        CORE,
    ),
    Guard(
        "only a clear yes confirms",
        "core/consent.py",
        "language.yes_or_no(said.text) is True",
        "language.yes_or_no(said.text) is not False",
        CORE,
    ),
    Guard("a key is no yes", "core/consent.py", 'last and said.source == "voice" and', "last and", CORE),
    Guard(
        "a model is shown its mistake once",
        "core/agent_side.py",
        "if repairs <= MAX_REPAIRS and turn.rounds",
        "if turn.rounds",
        CORE,
    ),
    Guard(
        "a hum into the question is no answer to it",
        "core/consent.py",
        "passing = hums and not self._question_was_heard(playback)",
        "passing = False",
        CORE,
    ),
    Guard(
        "a word in another script is not passed over",
        "agent/yes_no.py",
        """r"[^\\W_]+(?:'[^\\W_]+)*|""",
        """r"[a-z0-9]+(?:'[a-z]+)?|""",
        "tests/agent/test_yes_no.py -k written_otherwise",
    ),
    Guard(
        "a reply that nobody waits for asks for nothing",
        "core/agent_side.py",
        "if self.turn is not None and self.turn.reply == reply:",
        "if self.turn is not None:",
        f"{CORE} -k has_taken_back",
    ),
    Guard(
        "a tool call that comes twice runs once",
        "core/agent_side.py",
        "if event.tool_call in self.running or any(",
        "if False and any(",
        f"{CORE} -k same_tool_call",
    ),
    Guard(
        "a proposal that comes twice is one",
        "core/agent_side.py",
        "        if known or self.playback.knows(event.proposal):\n",
        "        if known:\n",
        f"{CORE} -k same_proposal_twice",
    ),
    Guard(
        "an effect that nobody waits for is withdrawn",
        "core/agent_side.py",
        "event.tool_call not in turn.tools or busy:",
        "busy:",
        f"{CORE} -k turn_is_gone",
    ),
    Guard(
        "anything but a clear yes withdraws an effect for good",
        "core/agent_side.py",
        "                self._commands.append(WithdrawEffect(pending.proposal))\n                return None, None",
        "                return None, None",
        f"{CORE} -k clear_yes",
    ),
    Guard(
        "what waits for a yes when the call ends is withdrawn",
        "core/agent_side.py",
        "            self._commands.append(WithdrawEffect(self.pending.proposal))\n",
        "",
        f"{CORE} -k open_proposal",
    ),
    Guard(
        "whoever takes the phone gets a model that knows nothing of the one before",
        "core/agent_side.py",
        "if not self.log.hand_on(event.tool_call):",
        "if event.tool_call not in self.running:",
        f"{CORE} -k gets_a_model",
    ),
    Guard(
        "a guess is made for whoever has the phone",
        "core/agent_side.py",
        'history = (*self.log.shown(self.playback), CallerSaid(text, "voice"))',
        'history = (*self.log.history(self.playback), CallerSaid(text, "voice"))',
        f"{CORE} -k gets_a_model",
    ),
)
