"""What the database keeps: states, owners, rates and keys, whatever the code above does; and effects on one's own."""

from typing import Final

from benchmarks.guards.guard import Guard

WAY: Final = "tests/effects/test_ledger_way.py"
LEDGER: Final = "tests/store/test_effect_ledger.py"
CONTRACT: Final = "tests/contracts/test_effect_ledger.py"
ATTEMPTS: Final = "tests/contracts/test_verification_attempts.py tests/store/test_attempts.py"
ONCE: Final = "tests/agent/test_once.py"

GUARDS: Final = (
    Guard(
        "what was set to something else may be set again",
        "store/effects.py",
        "elif earlier is not None and one.sets_anew(record, sets):",
        "elif False:",
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
    Guard(
        "a call moves only its own effects",
        "store/effects.py",
        "return and_(effects.c.proposal == proposal, effects.c.call_id == self._call_id)",
        "return effects.c.proposal == proposal",
        LEDGER,
    ),
    Guard(
        "many at once guess no more often",
        "store/attempts.py",
        "if int((await connection.execute(counted)).scalar_one()) >= per_account:",
        "if False:",
        f"{ATTEMPTS} -k at_once",
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
)
