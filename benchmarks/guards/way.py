"""An effect's way from the wish to its outcome, as this process goes it."""

from typing import Final

from benchmarks.guards.guard import Guard

AUTHORITY: Final = "tests/effects/test_authority.py"
WAY: Final = "tests/effects/test_ledger_way.py"
DISPATCHER: Final = "tests/effects/test_dispatcher.py"
BAD_CALLS: Final = "tests/session/test_bad_tool_calls.py"
SNAPSHOTS: Final = "tests/server/test_snapshots_are_written.py"
AS_AGREED: Final = "tests/retail/test_as_agreed.py"

GUARDS: Final = (
    Guard(
        "what was not heard is not done",
        "effects/proposals.py",
        "        if pending.heard_at is None:\n            raise",
        "        if False:\n            raise",
        WAY,
    ),
    Guard(
        "an effect is for the account that it was worded for",
        "effects/authority.py",
        "return self._caller.account == account or not (tool is None or tool.level or account)",
        "return True",
        AUTHORITY,
    ),
    Guard(
        "a caller who lost the level confirms nothing",
        "effects/authority.py",
        "        if tool is not None and self._caller.level < tool.level:\n            return False\n",
        "",
        DISPATCHER,
    ),
    Guard(
        "what changed since it was read back is not done",
        "effects/proposals.py",
        '        if changed is not None:\n            raise NotDoneError("refused", changed)',
        '        if False:\n            raise NotDoneError("refused", "")',
        AUTHORITY,
    ),
    Guard(
        "what a wish was found to mean stands for its words",
        "effects/proposals.py",
        "self._authority.scope(tool, found_to_mean(tool, arguments, read_back))",
        "arguments",
        AS_AGREED,
    ),
    Guard(
        "the policy is asked again after the yes",
        "effects/proposals.py",
        "account)\n        self._authority.judge(tool, read_back)",
        "account)",
        AUTHORITY,
    ),
    Guard(
        "whoever takes the phone while it is worded again gets nothing",
        "effects/proposals.py",
        "            raise\n        self._same_caller(tool, account)\n        return read_back",
        "            raise\n        return read_back",
        f"{WAY} -k while_it_is_worded_again",
    ),
    Guard(
        "a tool acts for the caller who was judged",
        "effects/execution.py",
        "tool.keywords(pending.arguments, caller, effect",
        "tool.keywords(pending.arguments, replace(self._caller), effect",
        WAY,
    ),
    Guard(
        "a process does not remember what it has set to something else",
        "effects/known.py",
        "for name, done in self._done.items() if not record.sets_anew(done, tool.sets)",
        "for name, done in self._done.items()",
        WAY,
    ),
    Guard(
        "a slow outside system has its time",
        "effects/calling.py",
        "return tool.timeout + GRACE + tool.settles_within",
        "return tool.timeout + GRACE",
        WAY,
    ),
    Guard(
        "what came of a doubt is told to nobody else",
        "effects/outcomes.py",
        'return content if serves else error_content("refused", NOT_YOURS)',
        "return content",
        WAY,
    ),
    Guard(
        "what was done is told to nobody else",
        "effects/execution.py",
        'return content if state == "in_doubt" else self._outcomes.for_caller(pending.record, content)',
        "return content",
        f"{WAY} -k whoever_takes_the_phone",
    ),
    Guard(
        "what another process has done is told to nobody else",
        "effects/outcomes.py",
        """        if record.state in DONE:
            return self.for_caller(record, result_of(record))
        if record.state in ("executing", "in_doubt"):""",
        """        if record.state in DONE:
            return result_of(record)
        if record.state in ("executing", "in_doubt"):""",
        f"{WAY} -k whoever_takes_the_phone",
    ),
    Guard(
        "what another process was at is told to nobody else",
        "effects/outcomes.py",
        "return self.for_caller(record, found)",
        "return found",
        f"{WAY} -k whoever_takes_the_phone",
    ),
    Guard(
        "why something is not done is told to nobody else",
        "effects/proposals.py",
        """        except NotDoneError:
            self._same_caller(tool, account)
            raise""",
        """        except NotDoneError:
            raise""",
        f"{WAY} -k whoever_takes_the_phone",
    ),
    Guard(
        "what was proposed when somebody else took the phone is not read to them",
        "effects/proposals.py",
        "        if not self._authority.serves(tool, account):\n            await",
        "        if False:\n            await",
        f"{WAY} -k whoever_takes_the_phone",
    ),
    Guard(
        "how far a tool is with one caller's wish is not told to the next",
        "effects/dispatcher.py",
        "if account not in (None, self._caller.account):",
        "if False:",
        f"{WAY} -k whoever_takes_the_phone",
    ),
    Guard(
        "what came of a doubt is told",
        "session.py",
        "if isinstance(fact, ToolStarted) and not self.ended.is_set():",
        "if False:",
        BAD_CALLS,
    ),
    Guard(
        "that somebody else has the phone outlives the process",
        "session.py",
        "if not (known and owned) or any(",
        "if not owned or any(",
        BAD_CALLS,
    ),
    Guard(
        "whoever takes the phone is served once that is stored",
        "session.py",
        "        if command.name not in BUILT_IN:\n            await self._standing_stored()\n",
        "",
        f"{BAD_CALLS} -k no_tool_runs_until",
    ),
    Guard(
        "that an effect is executed is stored at once",
        "session.py",
        "at_once = any(isinstance(command, ExecuteEffect | EndCall) for command in commands)",
        "at_once = any(isinstance(command, EndCall) for command in commands)",
        "tests/session/test_session.py -k being_executed",
    ),
    Guard(
        "that somebody else has the phone is stored before the transcript",
        "server/recorder.py",
        "if not (state.urgent or await self._store.turns.reached",
        "if not (await self._store.turns.reached",
        f"{SNAPSHOTS} -k not_behind_turns",
    ),
    Guard(
        "a tool that failed after it was done has done it",
        "effects/execution.py",
        'return ("in_doubt", self._outcomes.doubt(pending.record, tool)) if found is None else ("done", found)',
        'return ("in_doubt", self._outcomes.doubt(pending.record, tool))',
        WAY,
    ),
    Guard(
        "a hang-up does not stop an effect",
        "effects/proposals.py",
        "return await asyncio.shield(task)",
        "return await task",
        f"{DISPATCHER} -k 'hang_up or by_force'",
    ),
    Guard(
        "one effect of a call runs at a time",
        "effects/proposals.py",
        "        async with self._turn:\n",
        "        if True:\n",
        f"{DISPATCHER} {WAY}",
    ),
    Guard(
        "while a tool runs its effect is open",
        "effects/execution.py",
        "                await bounded(self._ledger.hold(proposal, patience=patience(tool)))",
        "                pass",
        f"{WAY} -k nobody_is_certain",
    ),
    Guard(
        "what a tool that never ends has done is found out all the same",
        "effects/execution.py",
        "while not work.done() and loop.time() < end:",
        "while not work.done():",
        f"{WAY} -k never_ends",
    ),
    Guard(
        "what is held no longer is not held by the process that has the tool either",
        "effects/execution.py",
        "            self._known.release(pending.record)\n            await asyncio.wait({work})",
        "            await asyncio.wait({work})",
        f"{WAY} -k never_ends",
    ),
    Guard(
        "what still runs here is not certain here",
        "effects/known.py",
        "return record.state not in DONE if record.proposal in self._held else record.state in",
        "return record.state in",
        f"{WAY} -k by_the_process_that_has_it",
    ),
    Guard(
        "what still runs here is not proposed again",
        "effects/known.py",
        "held = any(identity(record) == wish for record in self._held.values())",
        "held = False",
        f"{WAY} -k by_the_process_that_has_it",
    ),
    Guard(
        "whoever carried it out is believed",
        "effects/execution.py",
        '                    if state == "done":\n',
        "                    if False:\n",
        f"{WAY} -k whatever_others",
    ),
    Guard(
        "what was not done, and was, is told to a person",
        "effects/execution.py",
        'if news in ("overruled", "twice"):',
        "if False:",
        f"{WAY} -k whatever_others",
    ),
    Guard(
        "what is cut off is not done",
        "effects/wording.py",
        "if _is_cut(read_back.words):",
        "if False:",
        f"{WAY} -k would_be_cut",
    ),
    Guard(
        "an amount is a number",
        "effects/wording.py",
        "        and type(read_back.amount_cents) in (int, NoneType)\n",
        "",
        f"{WAY} -k no_number",
    ),
    Guard(
        "a lookup that failed has not found out that nothing happened",
        "effects/sweeper.py",
        "        return False, None\n    return True",
        "        return True, None\n    return True",
        f"{WAY} -k lookup_that_fails",
    ),
    Guard(
        "megabytes are found out before they are worked on",
        "effects/content.py",
        "        _measure(result, _Room())\n",
        "",
        "tests/effects/test_content.py -k megabytes",
    ),
    Guard(
        "what a wish was found to mean is of the caller's own account",
        "effects/proposals.py",
        "self._authority.scope(tool, found_to_mean(tool, arguments, read_back))",
        "found_to_mean(tool, arguments, read_back)",
        f"{AUTHORITY} -k found_to_mean",
    ),
    Guard(
        "what one caller's wish would do is not read to the next",
        "effects/proposals.py",
        "            raise\n        self._same_caller(tool, account)\n        return read_back",
        "            raise\n        return read_back",
        f"{WAY} -k told_nothing",
    ),
    Guard(
        "what has no words is not proposed",
        "effects/wording.py",
        "    if not words:\n",
        "    if False:\n",
        f"{DISPATCHER} -k without_words",
    ),
    Guard(
        "what the ledger does not begin is not done",
        "effects/proposals.py",
        'raise NotDoneError("in_doubt", IN_DOUBT)',
        "return",
        f"{WAY} -k begun_elsewhere",
    ),
    Guard(
        "what the ledger does not confirm is not done",
        "effects/proposals.py",
        "        if not confirmed:\n",
        "        if False:\n",
        f"{WAY} -k withdrawn_in_the_ledger",
    ),
    Guard(
        "what cannot be written down as confirmed is not done",
        "effects/proposals.py",
        '_log.error("effect_not_confirmed", tool=record.tool, **where(error))\n'
        '            raise NotDoneError("failed", FAILED) from None',
        "confirmed = True",
        f"{WAY} -k cannot_be_written",
    ),
    Guard(
        "what cannot be written down as begun is not done",
        "effects/proposals.py",
        '_log.error("effect_not_begun", tool=tool.name, **where(error))\n'
        '            raise NotDoneError("failed", FAILED) from None',
        "return",
        f"{WAY} -k cannot_be_written",
    ),
    Guard(
        "what the ledger refuses as too often is not done",
        "effects/proposals.py",
        'if begun.state == "refused":',
        "if False:",
        f"{AUTHORITY} -k begun_as_often",
    ),
    Guard(
        "what was withdrawn is not done, whatever the store says",
        "effects/proposals.py",
        "if self._open.pop(proposal, None) is None:",
        "if self._open.get(proposal) is None:",
        f"{DISPATCHER} -k withdrawal_holds",
    ),
    Guard(
        "arguments of megabytes are not read",
        "effects/calling.py",
        "if len(encoded) > ARGUMENT_BYTES:",
        "if False:",
        f"{DISPATCHER} -k wrong_arguments",
    ),
)
