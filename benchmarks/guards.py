"""`python -m benchmarks.guards`: take the guards of effects away, one at a time, and see that a test notices.

Each guard is a piece of the source and what stands there once it is gone. The tests named beside it run on a copy of
the package without it; they have to fail. Exits with 1 when a guard can be removed without anybody noticing, or is not
where this list says. docs/effects.md has the list in words.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.effects.postgres import postgresql

ROOT: Final = Path(__file__).parent.parent
TIMEOUT: Final = 300
"""Seconds for the tests of one guard."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What is kept by `source` in `file`; `gone` is what stands there without it."""

    keeps: str
    file: str
    source: str
    gone: str
    tests: str
    needs_postgresql: bool = False

    def taken_from(self, text: str) -> str:
        """The text of `file` without the guard. Raises `LookupError` unless it is there, once."""
        if (found := text.count(self.source)) != 1:
            raise LookupError(f"{self.keeps}: found {found} times in {self.file}: correct benchmarks/guards.py")
        return text.replace(self.source, self.gone)


AUTHORITY: Final = "tests/effects/test_authority.py"
WAY: Final = "tests/effects/test_ledger_way.py"
VERIFICATION: Final = "tests/effects/test_verification.py"
DISPATCHER: Final = "tests/effects/test_dispatcher.py"
LEDGER: Final = "tests/store/test_effect_ledger.py"
CONTRACT: Final = "tests/contracts/test_effect_ledger.py"
ATTEMPTS: Final = "tests/contracts/test_verification_attempts.py tests/store/test_attempts.py"
ONCE: Final = "tests/agent/test_once.py"
CODES: Final = "tests/effects/test_codes.py"
SECRETS: Final = "tests/effects/test_secrets.py"
TOOLS: Final = "tests/agent/test_tools.py"
POLICY: Final = "tests/agent/test_policy.py"
MCP: Final = "tests/tool_servers/test_mcp_tools.py"
CORE: Final = "tests/core/test_conversation_scenarios.py"
BAD_CALLS: Final = "tests/session/test_bad_tool_calls.py"
AS_AGREED: Final = "tests/retail/test_as_agreed.py"
READ_BACKS: Final = "tests/retail/test_read_backs.py"
SHOP_TOOLS: Final = "tests/retail/test_retail_tools.py"
RETAIL: Final = (
    "tests/retail/test_retail_tools.py tests/retail/test_operations.py tests/retail/test_variants.py "
    "tests/retail/test_bookings.py"
)

GUARDS: Final = (
    # Who may do what
    Guard(
        "nobody unverified uses a tool with a level",
        "effects/authority.py",
        "if self._caller.level < tool.level or (tool.level and self._caller.account is None):",
        "if False:",
        AUTHORITY,
    ),
    Guard(
        "another account than the verified one is refused",
        "effects/authority.py",
        'if any(getattr(arguments, name) not in (None, "", self._caller.account) for name in marked):',
        "if False:",
        AUTHORITY,
    ),
    Guard(
        "the account comes from the caller, not from the model",
        "effects/authority.py",
        "return arguments.model_copy(update=dict.fromkeys(marked, self._caller.account))",
        "return arguments",
        AUTHORITY,
    ),
    Guard("the policy is kept", "effects/authority.py", "if refusal is not None:", "if False:", AUTHORITY),
    Guard(
        "a reading tool runs as often as it may",
        "effects/authority.py",
        "if runs >= in_call or not self._counter.take(tool.name, self.subject, rates, self._clock()):",
        "if False:",
        AUTHORITY,
    ),
    Guard(
        "after text of strangers only what the caller named is done",
        "effects/authority.py",
        "if missing is not None:",
        "if False:",
        AUTHORITY,
    ),
    # An effect's way
    Guard(
        "what was not heard is not done",
        "effects/proposals.py",
        "        if pending.heard_at is None:\n            raise",
        "        if False:\n            raise",
        WAY,
    ),
    Guard(
        "an effect is for the account that it was worded for",
        "effects/proposals.py",
        "if self._caller.level < tool.level or (self._caller.account != account and (tool.level or account)):",
        "if self._caller.level < tool.level:",
        AUTHORITY,
    ),
    Guard(
        "a caller who lost the level confirms nothing",
        "effects/proposals.py",
        "if self._caller.level < tool.level or (self._caller.account != account and (tool.level or account)):",
        "if self._caller.account != account and (tool.level or account):",
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
        "self._authority.scope(tool, _found_to_mean(tool, arguments, read_back))",
        "arguments",
        AS_AGREED,
    ),
    Guard(
        "the policy is asked again after the yes",
        "effects/proposals.py",
        "        self._same_caller(tool, account)\n        self._authority.judge(tool, read_back)",
        "        self._same_caller(tool, account)",
        AUTHORITY,
    ),
    Guard(
        "whoever takes the phone while it is worded again gets nothing",
        "effects/proposals.py",
        "        self._same_caller(tool, account)\n        self._authority.judge(tool, read_back)",
        "        self._authority.judge(tool, read_back)",
        WAY,
    ),
    Guard(
        "a tool acts for the caller who was judged",
        "effects/proposals.py",
        "tool.keywords(pending.arguments, caller, effect",
        "tool.keywords(pending.arguments, replace(self._caller), effect",
        WAY,
    ),
    Guard(
        "what was set to something else may be set again",
        "store/effects.py",
        "elif earlier is not None and one.sets_anew(record, sets):",
        "elif False:",
        WAY,
    ),
    Guard(
        "a process does not remember what it has set to something else",
        "effects/proposals.py",
        "for name, done in self._done.items() if not record.sets_anew(done, tool.sets)",
        "for name, done in self._done.items()",
        WAY,
    ),
    Guard(
        "a wish is no new one because of something else that was set",
        "ports.py",
        "return all(mine.get(name) == others.get(name) for name in sets)",
        "return True",
        WAY,
    ),
    Guard(
        "what may have been set to something else is in doubt",
        "store/effects.py",
        "if one.state in DONE else (one, since)",
        "if one.state in DONE else (earlier, since)",
        WAY,
    ),
    Guard(
        "a slow outside system has its time",
        "effects/proposals.py",
        "return tool.timeout + GRACE + tool.settles_within",
        "return tool.timeout + GRACE",
        WAY,
    ),
    Guard(
        "what came of a doubt is told to nobody else",
        "effects/proposals.py",
        "if record.account != self._caller.account and (tool is None or tool.level):",
        "if False:",
        WAY,
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
        "if standing != self._saved_standing or any(",
        "if any(",
        BAD_CALLS,
    ),
    Guard(
        "a server that finds fault with parameters may have acted",
        "mcp/connection.py",
        "if error.code == METHOD_NOT_FOUND:",
        "if error.code in (METHOD_NOT_FOUND, INVALID_PARAMS):",
        "tests/tool_servers/test_mcp_tools.py -k dies_or_fails",
    ),
    Guard(
        "a server finds out what was left executing",
        "server/staff.py",
        "asyncio.create_task(staff.sweeper(store).run(), name",
        "asyncio.create_task(asyncio.sleep(3600), name",
        "tests/server/test_sweeping_server.py",
    ),
    Guard(
        "the same wish gets the first result",
        "store/effects.py",
        'if earlier is not None and record.state == "proposed":',
        "if False:",
        f"{CONTRACT} {LEDGER}",
    ),
    Guard(
        "only what was proposed can have been heard",
        "store/effects.py",
        '("proposed",), "read_back"',
        'OPEN, "read_back"',
        f"{CONTRACT} {LEDGER}",
    ),
    Guard(
        "only what was heard can be confirmed",
        "store/effects.py",
        '("read_back",), "confirmed"',
        'OPEN, "confirmed"',
        CONTRACT,
    ),
    Guard(
        "only what was confirmed begins",
        "store/effects.py",
        '("confirmed",), "executing"',
        '(*OPEN, "executing"), "executing"',
        CONTRACT,
    ),
    Guard(
        "a call does one thing once, whatever the code does",
        "store/migrations/versions/v0003_effect_ledger.py",
        '        ["call_id", "fingerprint"],\n        unique=True,\n        sqlite_where=ONCE,',
        '        ["call_id", "fingerprint"],\n        unique=False,\n        sqlite_where=ONCE,',
        CONTRACT,
    ),
    Guard(
        "an outcome is of what executes",
        "store/effects.py",
        'self._move(proposal, ("executing",), state, result=result)',
        'self._move(proposal, (*OPEN, "executing", "done"), state, result=result)',
        f"{CONTRACT} {LEDGER}",
    ),
    Guard(
        "a rate is kept when an effect begins",
        "store/effects.py",
        "if row is not None and await self._exceeded(",
        "if False and await self._exceeded(",
        LEDGER,
    ),
    Guard(
        "a rate is kept when an effect is proposed",
        "store/effects.py",
        "if await self._exceeded(connection, record.tool",
        "if False and await self._exceeded(connection, record.tool",
        LEDGER,
    ),
    # Whose call it is
    Guard("whoever lost the call writes nothing", "store/effects.py", "if fence != self._fence:", "if False:", LEDGER),
    Guard(
        "taking a call up raises its fence",
        "store/calls.py",
        "fence=calls.c.fence + 1",
        "fence=calls.c.fence",
        LEDGER,
    ),
    Guard(
        "what waited for a yes expires with its owner",
        "store/calls.py",
        "await expire(connection, effects.c.call_id == call_id, self._clock())",
        "pass",
        LEDGER,
    ),
    # Those who clean up
    Guard(
        "nobody is declared gone before the time",
        "store/effects.py",
        "over = or_(effects.c.deadline.is_(None), effects.c.deadline < now)",
        "over = effects.c.proposal.is_not(None)",
        LEDGER,
    ),
    Guard(
        "one sweeper has an effect",
        "store/effects.py",
        ".values(claimed_until=now + LEASE)",
        ".values(claimed_until=None)",
        LEDGER,
    ),
    Guard(
        "a tool that failed after it was done has done it",
        "effects/proposals.py",
        'return ("in_doubt", self._doubt(pending.record, tool)) if found is None else ("done", found)',
        'return ("in_doubt", self._doubt(pending.record, tool))',
        WAY,
    ),
    # Who is calling
    Guard(
        "a tool gets a stand-in of the caller",
        "effects/verification.py",
        "stand_in = replace(self._caller)",
        "stand_in = self._caller",
        VERIFICATION,
    ),
    Guard(
        "nobody is raised further than a tool declares",
        "effects/verification.py",
        "min(stand_in.level, tool.verifies)",
        "stand_in.level",
        VERIFICATION,
    ),
    Guard(
        "an account that was guessed at is locked",
        "effects/verification.py",
        "        if not left:",
        "        if False:",
        VERIFICATION,
    ),
    Guard(
        "whoever handed the phone on is not verified behind the next one's back",
        "effects/verification.py",
        "if changes == self._changes:",
        "if True:",
        VERIFICATION,
    ),
    Guard(
        "somebody else on the line is nobody",
        "effects/verification.py",
        "        self._changes += 1\n        self._caller.unverify()",
        "        self._changes += 1",
        AUTHORITY,
    ),
    Guard(
        "nobody gets one more try",
        "store/attempts.py",
        "if await self._left(connection, call_id, number, per_call, per_number) <= 0:",
        "if False:",
        ATTEMPTS,
    ),
    Guard(
        "a try counts from its beginning", "store/attempts.py", '("open", "failed")', '("failed", "failed")', ATTEMPTS
    ),
    Guard(
        "a try counts at every account that it may have been about",
        "store/attempts.py",
        "for other in named[1:]:",
        "for other in ():",
        ATTEMPTS,
    ),
    Guard(
        "a name points at accounts, too",
        "retail/shop.py",
        "        if name is not None:\n            pointers",
        "        if False:\n            pointers",
        RETAIL,
    ),
    # One's own database
    Guard(
        "a key is used once",
        "agent/once.py",
        "if not await _take(session, effect.key, effect.tool):",
        "if not await _take(session, effect.key, effect.tool) and False:",
        ONCE,
    ),
    Guard(
        "what changed after it has begun is not done",
        "agent/once.py",
        "    effect.require_unchanged(word(planned))\n",
        "",
        ONCE,
    ),
    Guard(
        "a key that was settled is closed",
        "agent/once.py",
        '    if await _take(session, key, ""):\n        return None',
        "    if (await session.execute(select(_applied.c.key).where(_applied.c.key == key))).first() is None:\n"
        "        return None",
        f"{ONCE} {WAY}",
    ),
    # One-time codes
    Guard("a code may be mistaken three times", "agent/codes.py", "        issued.tries -= 1", "        pass", CODES),
    Guard("a code lives five minutes", "agent/codes.py", "or issued.until <= self._clock() ", "", CODES),
    Guard("a code is of one account", "agent/codes.py", "or issued.account != account ", "", CODES),
    Guard(
        "a code is used once",
        "agent/codes.py",
        "if self._issued.pop(caller.call_id, None) is not issued:",
        "if False:",
        CODES,
    ),
    # The shop's own rules
    Guard(
        "only pending orders are cancelled", "retail/claims.py", 'require_pending(order, "cancelled")', "pass", RETAIL
    ),
    Guard(
        "only delivered orders come back", "retail/claims.py", 'require_delivered(order, "returned")', "pass", RETAIL
    ),
    Guard(
        "only pending orders are changed, and only delivered ones exchanged",
        "retail/changes.py",
        '(require_pending if kind == "change" else require_delivered)(order, _DONE[kind])',
        "pass",
        RETAIL,
    ),
    Guard(
        "only pending orders are paid otherwise",
        "retail/changes.py",
        'require_pending(order, "changed")',
        "pass",
        RETAIL,
    ),
    Guard(
        "money goes back to where it came from, or to a gift card",
        "retail/claims.py",
        "if method.id != original.id and method.kind != GIFT_CARD:",
        "if False:",
        RETAIL,
    ),
    Guard(
        "a return is refunded once",
        "retail/claims.py",
        "order.returned is not None and order.returned.refunded_at is not None:",
        "False:",
        RETAIL,
    ),
    Guard(
        "a return is refunded when it has arrived",
        "retail/claims.py",
        "order.returned is not None and order.returned.received_at is not None:",
        "order.returned is not None:",
        RETAIL,
    ),
    Guard(
        "a gift card pays no more than it has",
        "retail/changes.py",
        "if method.kind == GIFT_CARD and cents > (method.balance_cents or 0):",
        "if False:",
        RETAIL,
    ),
    Guard("what is out of stock is not sent", "retail/variants.py", "if not variant.available:", "if False:", RETAIL),
    Guard(
        "an item becomes another of its kind only",
        "retail/variants.py",
        "found = [variant for variant in product.variants if variant.id in numbers]",
        "found = [Variant(id=next(iter(numbers)), options={}, price_cents=1, available=True)]",
        RETAIL,
    ),
    Guard(
        "a call is of one customer",
        "retail/tools/identity.py",
        "if caller.level >= 1 and caller.account != user.id:",
        "if False:",
        RETAIL,
    ),
    Guard(
        "a ZIP code has to be right",
        "retail/shop.py",
        "        if zip_code is not None:\n            query",
        "        if False:\n            query",
        RETAIL,
    ),
    Guard(
        "of two customers with the same facts neither is verified",
        "retail/shop.py",
        "return found[0] if len(found) == 1 else None",
        "return found[0] if found else None",
        RETAIL,
    ),
    Guard(
        "of two items of a kind it is said which becomes another",
        "retail/read_backs.py",
        "told = _apart(swap.item, same, items)",
        "told = item_name(swap.item)",
        READ_BACKS,
    ),
    # The conversation
    Guard(
        "a yes begins after the read-back was heard",
        "core/agent_side.py",
        "hasty = began < heard_at or (",
        "hasty = (",
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
        "core/agent_side.py",
        "if heard_at is not None and last and",
        "heard_at = heard_at or 0.0\n        if last and",
        CORE,
    ),
    Guard(
        "heard is what the carrier has proven",
        "core/agent_side.py",
        "not self.playback.was_proven(pending.proposal)",
        "False",
        CORE,
    ),
    Guard(
        "nothing was said after the read-back",
        "core/agent_side.py",
        "self.playback.last_tag in (pending.proposal, pending.question_tag)",
        "True",
        CORE,
    ),
    Guard(
        "only a clear yes confirms",
        "core/agent_side.py",
        "self._settings.language.yes_or_no(text) is True",
        "self._settings.language.yes_or_no(text) is not False",
        CORE,
    ),
    Guard("a key is no yes", "core/agent_side.py", 'last and source == "voice" and', "last and", CORE),
    Guard(
        "a model is shown its mistake once",
        "core/agent_side.py",
        "if repairs <= MAX_REPAIRS and turn.rounds",
        "if turn.rounds",
        CORE,
    ),
    Guard(
        "a hum into the question is no answer to it",
        "core/agent_side.py",
        "or (hums and not self._heard_question(pending))",
        "",
        f"{CORE} -k hum",
    ),
    Guard(
        "a question that may hold details has to be heard",
        "core/agent_side.py",
        "self._settings.language.asks_only(str(lines[-1].text))",
        'str(lines[-1].text).endswith("?")',
        f"{CORE} -k hold_details",
    ),
    Guard(
        "one effect waits for a yes at a time",
        "core/agent_side.py",
        "busy = self.pending is not None or self.secret is not None",
        "busy = self.secret is not None",
        CORE,
    ),
    Guard(
        "a word in another script is not passed over",
        "agent/yes_no.py",
        """r"[^\\W_]+(?:'[^\\W_]+)*|""",
        """r"[a-z0-9]+(?:'[a-z]+)?|""",
        "tests/agent/test_yes_no.py -k written_otherwise",
    ),
    # What a fresh look found unguarded
    Guard(
        "what one account was told is not told to the next",
        "effects/dispatcher.py",
        "if tool.level and changed else content",
        "if False else content",
        f"{DISPATCHER} -k looked_up",
    ),
    Guard(
        "the level is checked again when a secret is there",
        "effects/dispatcher.py",
        "            self._authority.admit(tool)\n            content",
        "            content",
        "tests/effects/test_secrets.py -k checked_again",
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
        "effects/proposals.py",
        "                await bounded(self._ledger.hold(proposal, patience=_patience(tool)))",
        "                pass",
        f"{WAY} -k nobody_is_certain",
    ),
    Guard(
        "what still runs here is not certain here",
        "effects/proposals.py",
        "return record.state not in DONE if record.proposal in self._held else record.state in",
        "return record.state in",
        f"{WAY} -k by_the_process_that_has_it",
    ),
    Guard(
        "what still runs here is not proposed again",
        "effects/proposals.py",
        "held = any(_identity(record) == wish for record in self._held.values())",
        "held = False",
        f"{WAY} -k by_the_process_that_has_it",
    ),
    Guard(
        "whoever carried it out is believed",
        "effects/proposals.py",
        '                    if state == "done":\n',
        "                    if False:\n",
        f"{WAY} -k whatever_others",
    ),
    Guard(
        "what was not done, and was, is told to a person",
        "effects/proposals.py",
        'if news in ("overruled", "twice"):',
        "if False:",
        f"{WAY} -k whatever_others",
    ),
    Guard(
        "what is cut off is not done",
        "effects/proposals.py",
        "if _is_cut(read_back.words):",
        "if False:",
        f"{WAY} -k would_be_cut",
    ),
    Guard(
        "an amount is a number",
        "effects/proposals.py",
        "        and type(read_back.amount_cents) is int\n",
        "",
        f"{WAY} -k no_number",
    ),
    Guard(
        "money limits whichever way it moves",
        "agent/policy.py",
        "abs(read_back.amount_cents)",
        "read_back.amount_cents",
        "tests/agent/test_policy.py",
    ),
    Guard(
        "a lookup that failed has not found out that nothing happened",
        "effects/sweeper.py",
        "        return False, None\n    return True",
        "        return True, None\n    return True",
        f"{WAY} -k lookup_that_fails",
    ),
    Guard(
        "a call moves only its own effects",
        "store/effects.py",
        "return and_(effects.c.proposal == proposal, effects.c.call_id == self._call_id)",
        "return effects.c.proposal == proposal",
        LEDGER,
    ),
    Guard(
        "a failed try at a locked account says what a right one would",
        "effects/verification.py",
        "if any([await self._locked(account) for account in accounts]):",
        "if False:",
        VERIFICATION,
    ),
    Guard(
        "a second proof is counted before it is checked",
        "effects/verification.py",
        "        if claimed is not None:\n",
        "        if False:\n",
        f"{VERIFICATION} -k second_proof",
    ),
    Guard(
        "many at once guess no more often",
        "store/attempts.py",
        "if int((await connection.execute(counted)).scalar_one()) >= per_account:",
        "if False:",
        f"{ATTEMPTS} -k at_once",
    ),
    Guard(
        "what the caller said is whole words",
        "effects/words.py",
        "if any(said == wanted + ending for ending in _PLURAL):",
        "if wanted in said or wanted in word:",
        "tests/effects/test_words.py",
    ),
    Guard(
        "what the caller said is whole numbers",
        "effects/words.py",
        'rf"(?<!\\d){wanted}(?!\\d)"',
        "wanted",
        "tests/effects/test_words.py",
    ),
    Guard(
        "megabytes are found out before they are worked on",
        "effects/content.py",
        "        _measure(result, _Room())\n",
        "",
        "tests/effects/test_content.py -k megabytes",
    ),
    Guard(
        "what a tool server would do is short enough to be heard",
        "mcp/wording.py",
        'if len(words) > MESSAGE_CHARACTERS or message(words) != " ".join(words.split()):',
        "if False:",
        "tests/tool_servers/test_mcp_read_back.py",
    ),
    Guard(
        "workers' clocks do not decide who is gone",
        "store/clock.py",
        "self._clock: Final = utc_now if clock is None and database.is_sqlite else clock",
        "self._clock: Final = clock or utc_now",
        f"{LEDGER} -k clock_is_ahead",
        needs_postgresql=True,
    ),
    Guard(
        "two workers share the last try at an account",
        "store/attempts.py",
        """                lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 2))")
                await connection.execute(lock, {"name": account})""",
        "                pass",
        "tests/store/test_attempts.py -k 'two_workers and postgresql'",
        needs_postgresql=True,
    ),
    # What a second look found unguarded
    Guard(
        "a tool without a level tells no account to an unverified caller",
        "effects/authority.py",
        "if self._caller.level < 1 or self._caller.account is None:",
        "if False:",
        f"{AUTHORITY} -k without_a_level",
    ),
    Guard(
        "only a code makes up for text of strangers",
        "effects/authority.py",
        "TRUSTED_LEVEL = 2",
        "TRUSTED_LEVEL = 1",
        f"{AUTHORITY} -k after_untrusted",
    ),
    Guard(
        "what a wish was found to mean is of the caller's own account",
        "effects/proposals.py",
        "self._authority.scope(tool, _found_to_mean(tool, arguments, read_back))",
        "_found_to_mean(tool, arguments, read_back)",
        f"{AUTHORITY} -k found_to_mean",
    ),
    Guard(
        "what one caller's wish would do is not read to the next",
        "effects/proposals.py",
        "        self._same_caller(tool, account)\n        arguments",
        "        arguments",
        f"{WAY} -k while_it_is_worded",
    ),
    Guard(
        "what has no words is not proposed",
        "effects/proposals.py",
        "        if not words:\n",
        "        if False:\n",
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
        "what was withdrawn is withdrawn in the ledger",
        "store/effects.py",
        'await self._move(proposal, OPEN, "withdrawn")',
        "pass",
        f"{CONTRACT} -k withdrawn",
    ),
    Guard(
        "what is known is not found out otherwise",
        "store/effects.py",
        '("executing", "in_doubt"), state, fence=None',
        '("executing", "in_doubt", "done", "resolved_done"), state, fence=None',
        f"{LEDGER} -k found_out_otherwise",
    ),
    Guard(
        "a call has one line at a time",
        "store/calls.py",
        'calls.c.attachment == attachment, calls.c.state == "live")\n            .values(fence',
        'calls.c.state == "live")\n            .values(fence',
        f"{LEDGER} -k only_the_attachment",
    ),
    Guard(
        "nobody takes up a call that is over",
        "store/calls.py",
        'calls.c.attachment == attachment, calls.c.state == "live")\n            .values(fence',
        "calls.c.attachment == attachment)\n            .values(fence",
        f"{LEDGER} -k only_the_attachment",
    ),
    Guard(
        "nobody takes a call up while its effect is being written",
        "store/effects.py",
        ".where(calls.c.id == self._call_id).with_for_update(read=True)",
        ".where(calls.c.id == self._call_id)",
        f"{LEDGER} -k 'being_written and postgresql'",
        needs_postgresql=True,
    ),
    Guard(
        "two calls of one account share the last of a rate",
        "store/effects.py",
        """            lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
            await connection.execute(lock, {"name": f"{tool}|{subject}"})""",
        "            pass",
        f"{LEDGER} -k 'ten_calls and postgresql'",
        needs_postgresql=True,
    ),
    Guard(
        "two workers share the last try from a number",
        "store/attempts.py",
        """                lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 1))")
                await connection.execute(lock, {"name": number or call_id})""",
        "                pass",
        "tests/store/test_attempts.py -k 'from_a_number and postgresql'",
        needs_postgresql=True,
    ),
    Guard(
        "of two calls at one customer the second waits for the first",
        "retail/customers.py",
        "    if to_change:\n",
        "    if False:\n",
        f"{AS_AGREED} -k 'waits_for_the_customers_row and postgresql'",
        needs_postgresql=True,
    ),
    Guard(
        "another amount under the same words was not agreed to",
        "agent/effects.py",
        "if self.amount_cents != now.amount_cents:",
        "if False:",
        f"{ONCE} -k same_words",
    ),
    Guard(
        "another state under the same words was not agreed to",
        "agent/effects.py",
        "elif self.status != now.status:",
        "elif False:",
        f"{ONCE} -k same_words",
    ),
    Guard(
        "other facts or ids under the same words were not agreed to",
        "agent/effects.py",
        " or (self.facts, self.arguments) != (now.facts, now.arguments):",
        ":",
        f"{ONCE} -k same_words",
    ),
    Guard(
        "a policy's level is kept",
        "agent/policy.py",
        "if level < self.level:",
        "if False:",
        POLICY,
    ),
    Guard(
        "a policy's hours are kept",
        "agent/policy.py",
        "if self.hours and not any(span.contain(now) for span in self.hours):",
        "if False:",
        POLICY,
    ),
    Guard(
        "a policy's states are kept",
        "agent/policy.py",
        "if self.statuses is not None and read_back.status not in self.statuses:",
        "if False:",
        POLICY,
    ),
    Guard(
        "a policy refuses a fact that it is not told",
        "agent/policy.py",
        "name in facts and facts[name] in allowed for name",
        "facts.get(name, allowed[0]) in allowed for name",
        POLICY,
    ),
    Guard(
        "a policy refuses what is no number where it limits one",
        "agent/policy.py",
        "return isinstance(value, int) and value <= most",
        "return not isinstance(value, int) or value <= most",
        POLICY,
    ),
    Guard(
        "a wrong fact costs a try",
        "effects/verification.py",
        "if not (isinstance(refusal, ToolError) and refusal.attempted):",
        "if True:",
        f"{VERIFICATION} -k three_tries",
    ),
    Guard(
        "whom a tool has unverified is nobody",
        "effects/verification.py",
        "if stand_in.account is None and caller.account is not None:",
        "if False:",
        f"{AUTHORITY} -k has_passed_on",
    ),
    Guard(
        "nobody is verified whose try was not counted",
        "effects/verification.py",
        '_log.error("attempt_not_counted", **where(error))\n            raise NotDoneError("failed", FAILED) from None',
        'return "none"',
        f"{VERIFICATION} -k without_the_store",
    ),
    Guard(
        "an effect has a read-back",
        "agent/declarations.py",
        "    if read_back is None:\n",
        "    if False:\n",
        TOOLS,
    ),
    Guard(
        "a confirmed effect is not cancelled",
        "agent/declarations.py",
        "    if effect and cancellable:\n",
        "    if False:\n",
        TOOLS,
    ),
    Guard(
        "a tool of a server that takes an account needs a verified caller",
        "config_mcp.py",
        "if self.account_argument and not self.level:",
        "if False:",
        "tests/test_config.py",
    ),
    Guard(
        "without a try left nothing is checked",
        "effects/verification.py",
        "        if attempt is None:\n",
        "        if False:\n",
        f"{VERIFICATION} {DISPATCHER} -k 'three_tries or parallel_guesses'",
    ),
    Guard(
        "another account begins without the level of the one before",
        "agent/caller.py",
        "        if self.account is not None and self.account != account:\n            self.level = 0\n",
        "",
        f"{VERIFICATION} -k starts_again",
    ),
    Guard(
        "a secret is used once",
        "effects/dispatcher.py",
        "self._wanting.pop(tool_call, (None, None))",
        "self._wanting.get(tool_call, (None, None))",
        f"{SECRETS} -k runs_its_tool_once",
    ),
    Guard(
        "a tool does not tell its secret",
        "effects/dispatcher.py",
        "safe = masked(content, secret)",
        "safe = content",
        f"{SECRETS} -k canary",
    ),
    Guard(
        "arguments of megabytes are not read",
        "effects/calling.py",
        "if len(encoded) > ARGUMENT_BYTES:",
        "if False:",
        f"{DISPATCHER} -k wrong_arguments",
    ),
    Guard(
        "a limit on amounts of a tool server is under no other kind of number",
        "mcp/tools.py",
        "            raise ToolError(NO_AMOUNT)",
        "            amount = 0",
        f"{MCP} -k is_limited",
    ),
    Guard(
        "what a tool server would be sent and nobody would hear is refused",
        "mcp/wording.py",
        "if heard.keys() - self.names:",
        "if False:",
        f"{MCP} -k not_read_back",
    ),
    Guard(
        "a tool server that does not say has not denied it",
        "mcp/tools.py",
        "if result.is_error or not isinstance(happened, bool):",
        "if False:",
        f"{MCP} -k does_not_say",
    ),
    Guard(
        "nobody acts on another customer's order",
        "retail/customers.py",
        "select(Order).where(Order.user_id == account)",
        "select(Order)",
        f"{SHOP_TOOLS} -k orders_of_others",
    ),
    Guard(
        "an order number proves nobody but its own customer",
        "retail/shop.py",
        "Order.id == order_id, Order.user_id == User.id",
        "Order.id == order_id",
        f"{SHOP_TOOLS} -k one_wrong_fact",
    ),
    Guard(
        "a name has to be right",
        "retail/shop.py",
        "        if name is not None:\n            query",
        "        if False:\n            query",
        f"{SHOP_TOOLS} -k one_wrong_fact",
    ),
    Guard(
        "an e-mail has to be right",
        "retail/shop.py",
        "        if email is not None:\n            query",
        "        if False:\n            query",
        f"{SHOP_TOOLS} -k one_wrong_fact",
    ),
    Guard(
        "one fact alone proves nobody",
        "retail/shop.py",
        "if email is None and (zip_code is None or (order_id is None and name is None)):",
        "if False:",
        f"{SHOP_TOOLS} -k one_fact_alone",
    ),
    Guard(
        "only pending orders are sent elsewhere",
        "retail/deeds.py",
        'require_pending(order, "sent elsewhere")',
        "pass",
        "tests/retail/test_operations.py -k changed_item_is_another",
    ),
    Guard(
        "a returned order is refunded where it was agreed",
        "retail/claims.py",
        "refunds = (MoneyBack(order.returned.method, cents),)",
        "refunds = (MoneyBack(paying_method(order), cents),)",
        f"{SHOP_TOOLS} -k where_it_was_agreed",
    ),
    Guard(
        "what was paid back is not paid back again",
        "retail/claims.py",
        "sign = 1 if payment.kind is PaymentKind.PAYMENT else -1",
        "sign = 1",
        f"{SHOP_TOOLS} -k refunded_once",
    ),
    Guard(
        "no money goes to what is on nobody's account",
        "retail/methods.py",
        "if _ELSEWHERE.search(text) or _DENIED.match(text):",
        "if False:",
        "tests/retail/test_methods_and_reasons.py",
    ),
    Guard(
        "a gift card has less once it has paid",
        "retail/bookings.py",
        "method.balance_cents += cents if kind is PaymentKind.REFUND else -cents",
        "pass",
        "tests/retail/test_operations.py -k gift_card_twice",
    ),
    Guard(
        "an order's items are changed once",
        "retail/bookings.py",
        "plan.order.status = Status.ITEMS_CHANGED",
        "pass",
        "tests/retail/test_operations.py -k changed_item_is_another",
    ),
    Guard(
        "an order is exchanged once",
        "retail/bookings.py",
        "plan.order.status = Status.EXCHANGE_REQUESTED",
        "pass",
        "tests/retail/test_operations.py -k exchange_is_noted",
    ),
    Guard(
        "an order is returned once",
        "retail/bookings.py",
        "plan.order.status = Status.RETURN_REQUESTED",
        "pass",
        f"{SHOP_TOOLS} -k returned_once",
    ),
    Guard(
        "a dearer item is paid by what can pay it",
        "retail/changes.py",
        "    require_balance(method, plan.cents)\n",
        "",
        "tests/retail/test_operations.py -k method_that_can_pay",
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
        "        self._commands.append(WithdrawEffect(pending.proposal))\n        return None, None",
        "        return None, None",
        f"{CORE} -k clear_yes",
    ),
    Guard(
        "what waits for a yes when the call ends is withdrawn",
        "core/agent_side.py",
        "            self._commands.append(WithdrawEffect(self.pending.proposal))\n",
        "",
        f"{CORE} -k open_proposal",
    ),
)


def noticed(guard: Guard, folder: Path, url: str) -> tuple[bool, str]:
    """Whether a test fails without the guard, and which; `url` is of a PostgreSQL for those that need one."""
    file = folder / "src/talkspurt" / guard.file
    text = file.read_text(encoding="utf-8")
    try:
        without = guard.taken_from(text)
    except LookupError as error:
        return False, str(error)
    file.write_text(without, encoding="utf-8")
    try:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *shlex.split(guard.tests)]
        environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"TALKSPURT_TEST_POSTGRESQL": url} if guard.needs_postgresql else {}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    finally:
        file.write_text(text, encoding="utf-8")
    failed = next((line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), "")
    # Status 1 is a test that failed; any other means that pytest itself could not run.
    return done.returncode == 1 and bool(failed), failed.partition("::")[2].partition(" ")[0] or f"{guard.tests} passed"


def main() -> int:
    """Returns 1 when a guard can be removed unnoticed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guards", description=__doc__)
    parser.add_argument("--only", default="", help="guards whose description has this in it")
    asked = parser.parse_args()
    chosen = [guard for guard in GUARDS if asked.only in guard.keeps]
    unnoticed = 0
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        url = ""
        if any(guard.needs_postgresql for guard in chosen):
            cluster = stack.enter_context(postgresql())
            cluster.create("guards")
            url = cluster.url("guards")
        shutil.copytree(ROOT / "src", Path(name) / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for guard in chosen:
            seen, test = noticed(guard, Path(name), url)
            unnoticed += not seen
            print(f"{'noticed' if seen else 'MISSED ':8} {guard.keeps}: {test}", flush=True)
    print(f"{unnoticed} of {len(chosen)} guards can be removed without anybody noticing")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
