"""The webhooks: only Twilio is answered, every answer is TwiML, and the stored call says how it goes on."""

import asyncio
from pathlib import Path

import pytest

from talkspurt.agent.locales import ENGLISH
from talkspurt.errors import StoreError
from talkspurt.server import twiml as documents
from talkspurt.server.errands import Errands
from talkspurt.server.guard import HOLD_SECONDS, LONGEST_OUTAGE, MAX_BODY_BYTES
from talkspurt.server.webhooks import MOST_ATTACHMENTS, MOST_FAILURES
from talkspurt.store import Call

from .conftest import CALLER, DIALLED, OTHER_TOKEN, TOKEN, Running, Twiml, running, settings, total

VOICE = {"CallSid": "CA1", "From": CALLER, "To": DIALLED}


async def stored(server: Running, sid: str = "CA1") -> Call:
    call = await server.store.calls.by_carrier_id(sid)
    assert call is not None
    return call


def path_of(twiml: Twiml) -> str:
    """Where the line asks how to go on."""
    return (twiml.find("Redirect").text or "").removeprefix("https://voice.example.com")


def said(twiml: Twiml) -> str:
    return twiml.find("Say").text or ""


# ── who is answered ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/twilio/voice", "/twilio/resume", "/twilio/status"])
async def test_an_unsigned_webhook_is_forbidden_and_leaves_no_trace(server: Running, path: str) -> None:
    for arguments in ({"token": None}, {"token": "guess"}, {"token": None, "signature": "x"}, {"signature": ""}):
        response = await server.post(path, VOICE, **arguments)
        assert (response.status_code, response.text) == (403, "")
    assert await server.store.calls.by_carrier_id("CA1") is None


async def test_changed_fields_break_the_signature(server: Running) -> None:
    from twilio.request_validator import RequestValidator

    signature = RequestValidator(TOKEN).compute_signature("https://voice.example.com/twilio/voice", VOICE)
    assert (await server.post("/twilio/voice", {**VOICE, "From": "+1999"}, signature=signature)).status_code == 403
    assert (await server.post("/twilio/voice", VOICE, signature=signature)).status_code == 200


async def test_blank_repeated_and_padded_fields_are_part_of_the_signature(server: Running) -> None:
    from starlette.datastructures import ImmutableMultiDict
    from twilio.request_validator import RequestValidator

    fields = [*VOICE.items(), ("ForwardedFrom", ""), ("Tag", "b"), ("Tag", "a"), ("City", " MÜNCHEN ")]
    signature = RequestValidator(TOKEN).compute_signature(
        "https://voice.example.com/twilio/voice", ImmutableMultiDict(fields)
    )
    many: dict[str, object] = {**VOICE, "ForwardedFrom": "", "Tag": ["b", "a"], "City": " MÜNCHEN "}
    response = await server.http.post("/twilio/voice", data=many, headers={"X-Twilio-Signature": signature})
    assert response.status_code == 200


async def test_a_query_string_in_the_configured_webhook_is_part_of_the_signature(server: Running) -> None:
    from twilio.request_validator import RequestValidator

    url = "https://voice.example.com/twilio/voice?line=1"
    signature = RequestValidator(TOKEN).compute_signature(url, VOICE)
    headers = {"X-Twilio-Signature": signature}
    assert (await server.http.post("/twilio/voice?line=1", data=VOICE, headers=headers)).status_code == 200


async def test_both_tokens_are_good_during_a_rotation(server: Running) -> None:
    assert (await server.post("/twilio/voice", VOICE, token=OTHER_TOKEN)).status_code == 200


async def test_a_forged_host_changes_neither_the_check_nor_the_answer(server: Running) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    response = await server.post("/twilio/voice", VOICE, headers=headers)
    assert response.status_code == 200
    assert "evil" not in response.text


async def test_requests_are_limited_per_address_before_their_signature_is_looked_at(tmp_path: Path) -> None:
    async with running(settings(tmp_path, limits={"requests_per_address": "2/minute"})) as server:
        for status in (403, 403, 429):
            assert (await server.post("/twilio/voice", VOICE, token=None)).status_code == status
        proxied = {"X-Forwarded-For": "203.0.113.9"}
        assert (await server.post("/twilio/voice", VOICE, headers=proxied)).status_code == 200


async def test_a_stranger_cannot_choose_the_address_he_is_counted_by(tmp_path: Path) -> None:
    async with running(settings(tmp_path, limits={"requests_per_address": "2/minute"})) as server:
        for number, status in enumerate((403, 403, 429)):
            # What he wrote, and behind it the header of a proxy that does not join the two.
            headers = [("X-Forwarded-For", f"198.51.100.{number}"), ("X-Forwarded-For", "203.0.113.9")]
            response = await server.http.post("/twilio/voice", data=VOICE, headers=headers)
            assert response.status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"a=" + b"x" * MAX_BODY_BYTES, 413),
        (b"&".join(b"f%d=" % n for n in range(300)), 400),
        (b"CallSid=%ff%fe", 400),
        (b"\xff\xfe", 400),
        (b"", 403),
    ],
)
async def test_a_body_that_is_no_form_is_refused_briefly(server: Running, body: bytes, status: int) -> None:
    response = await server.http.post("/twilio/voice", content=body)
    assert (response.status_code, response.text) == (status, "")


async def test_a_call_without_an_id_is_refused(server: Running) -> None:
    assert (await server.post("/twilio/voice", {"From": CALLER, "To": DIALLED})).status_code == 400


async def test_only_post_is_taken(server: Running) -> None:
    assert (await server.http.get("/twilio/voice")).status_code == 405
    assert (await server.http.get("/openapi.json")).status_code == 404
    assert (await server.http.get("/docs")).status_code == 404


# ── voice ─────────────────────────────────────────────────────────────────────────


async def test_a_call_is_connected_to_a_socket_and_then_sent_to_resume(server: Running) -> None:
    twiml = await server.voice()
    assert twiml.verbs == ["Connect", "Redirect"]
    assert twiml.find("Connect/Stream").attrib == {"url": "wss://voice.example.com/twilio/media"}
    redirect = twiml.find("Redirect")
    assert (redirect.text, redirect.attrib) == ("https://voice.example.com/twilio/resume", {"method": "POST"})
    assert len(twiml.token) >= 43
    call = await stored(server)
    assert (call.caller, call.dialled, call.agent, call.locale, call.state) == (
        CALLER,
        DIALLED,
        "retail",
        "en-US",
        "live",
    )


async def test_whoever_will_speak_hears_it_ring_before_the_socket_comes(server: Running) -> None:
    await server.voice()
    assert server.switchboard.rung == [("retail", "en-US")]
    assert not server.switchboard.sessions
    await server.voice()
    assert len(server.switchboard.rung) == 1, "a repeated webhook is no new call"


async def test_a_repeated_webhook_makes_one_call_and_a_new_token(server: Running) -> None:
    before = total("talkspurt_calls_total", agent="retail")
    tokens = {(await server.voice()).token for _ in range(3)}
    assert len(tokens) == 3
    assert await server.store.calls.count("live") == 1
    assert total("talkspurt_calls_total", agent="retail") == before + 1


async def test_the_dialled_number_chooses_agent_and_locale(tmp_path: Path) -> None:
    numbers = [
        {"number": DIALLED},
        {"number": "+12025550144", "agent": "florist", "locale": "de-DE"},
    ]
    config = settings(tmp_path, numbers=numbers, agents={"florist": "tests:none"})  # type: ignore[arg-type]
    async with running(config) as server:
        _, session = await server.call(dialled="+12025550144")
        assert (session.call.agent, session.call.locale) == ("florist", "de-DE")


async def test_a_number_that_nothing_answers_is_told_so(server: Running) -> None:
    twiml = await server.voice(dialled="+12025550199")
    assert (twiml.verbs, said(twiml)) == (["Say", "Hangup"], documents.UNKNOWN_NUMBER)
    assert await server.store.calls.by_carrier_id("CA1") is None


async def test_more_calls_than_lines_are_told_that_all_are_busy(tmp_path: Path) -> None:
    async with running(settings(tmp_path, server={"max_calls": 2})) as server:
        socket, _ = await server.call("CA1")
        await server.voice("CA2")
        twiml = await server.voice("CA3", caller="+12025550103")
        assert (twiml.verbs, said(twiml)) == (["Say", "Hangup"], ENGLISH.phrases["lines_busy"])
        assert (await server.voice("CA2")).verbs == ["Connect", "Redirect"]
        socket.hang_up()
        await socket.closed()
        assert (await server.voice("CA3")).verbs == ["Connect", "Redirect"]


async def test_a_caller_who_calls_too_often_hears_the_busy_tone(tmp_path: Path) -> None:
    async with running(settings(tmp_path, limits={"calls_per_caller": "2/minute"})) as server:
        for sid in ("CA1", "CA2"):
            assert (await server.voice(sid)).verbs == ["Connect", "Redirect"]
        assert (await server.voice("CA3")).verbs == ["Reject"]
        assert (await server.voice("CA2")).verbs == ["Connect", "Redirect"], "a repeated webhook is not another call"
        assert (await server.voice("CA4", caller="+12025550102")).verbs == ["Connect", "Redirect"]


async def test_withheld_numbers_do_not_share_a_limit(tmp_path: Path) -> None:
    async with running(settings(tmp_path, limits={"calls_per_caller": "1/minute"})) as server:
        for number, caller in enumerate(("anonymous", "anonymous", "", "")):
            assert (await server.voice(f"CA{number}", caller=caller)).verbs == ["Connect", "Redirect"]


async def test_what_stands_for_a_withheld_number_is_not_taken_for_one(server: Running) -> None:
    _, session = await server.call(caller="anonymous")
    assert (session.call.caller, (await stored(server)).caller) == ("", "")


async def test_an_unreachable_database_becomes_a_sentence(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreError("secret-host:5432 refused the connection")

    monkeypatch.setattr(server.store.calls, "by_carrier_id", fail)
    response = await server.post("/twilio/voice", VOICE)
    assert response.status_code == 200
    assert (Twiml(response.text).verbs, said(Twiml(response.text))) == (["Say", "Hangup"], documents.TECHNICAL_PROBLEM)
    assert "secret-host" not in response.text


async def test_a_line_that_asks_how_to_go_on_is_held_while_the_database_is_away(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    await server.call()
    known = server.store.calls.by_carrier_id

    async def fail(*_: object, **__: object) -> None:
        raise StoreError("secret-host:5432 refused the connection")

    monkeypatch.setattr(server.store.calls, "by_carrier_id", fail)
    twiml = await server.resume()
    assert (twiml.verbs, said(twiml)) == (["Say", "Pause", "Redirect"], documents.ONE_MOMENT)
    again = path_of(twiml)
    assert (await server.resume(path=again)).verbs == ["Pause", "Redirect"], "and is told so once"
    monkeypatch.setattr(server.store.calls, "by_carrier_id", known)
    assert (await server.resume(path=again)).verbs == ["Connect", "Redirect"]


async def test_a_line_is_not_held_for_ever(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreError("refused the connection")

    monkeypatch.setattr(server.store.calls, "by_carrier_id", fail)
    twiml, rounds = await server.resume(), 0
    while "Redirect" in twiml.verbs:
        twiml, rounds = await server.resume(path=path_of(twiml)), rounds + 1
    assert rounds == LONGEST_OUTAGE / HOLD_SECONDS
    assert (twiml.verbs, said(twiml)) == (["Say", "Hangup"], documents.TECHNICAL_PROBLEM)


async def test_a_database_that_hangs_holds_a_line_and_counts_the_time(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("talkspurt.server.guard.ANSWER_TIMEOUT", 1.0)
    monkeypatch.setattr(server.store.calls, "by_carrier_id", hang)
    assert path_of(await server.resume()).endswith(f"?held={HOLD_SECONDS + 1}")


async def test_a_bug_becomes_a_sentence_and_never_a_traceback(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(server.store.tokens, "issue", fail)
    response = await server.post("/twilio/voice", VOICE)
    assert (response.status_code, said(Twiml(response.text))) == (200, documents.TECHNICAL_PROBLEM)
    assert "secret" not in response.text


# ── resume ────────────────────────────────────────────────────────────────────────


async def test_a_live_call_is_reconnected_as_its_next_attachment(server: Running) -> None:
    first, one = await server.call()
    second, two = await server.connect(await server.resume())
    assert (one.attachment, two.attachment) == (1, 2)
    assert one.call == two.call
    assert await first.closed() == 1000, "the carrier has left the old socket"
    second.media(1)
    await second.echo()


async def test_a_resumed_call_is_given_its_snapshot(server: Running) -> None:
    twiml = await server.voice()
    call = await stored(server)
    gone = await server.store.tokens.redeem(twiml.token, "CA1")
    assert gone is not None, "another process had the call and died"
    await server.store.calls.save_snapshot(call.id, attachment=1, snapshot='{"version":1}')
    _, session = await server.connect(await server.resume())
    assert (session.attachment, session.snapshot) == (2, '{"version":1}')


async def test_a_repeated_resume_still_leads_to_one_owner(server: Running) -> None:
    await server.call()
    one, two = await server.resume(), await server.resume()
    await server.connect(two)
    late = await server.dial()
    late.start(one.token, "CA1")
    assert await late.closed() == 1008


async def test_an_unknown_or_finished_call_is_hung_up(server: Running) -> None:
    assert (await server.resume("CA404")).verbs == ["Hangup"]
    socket, _ = await server.call()
    socket.hang_up()
    await socket.closed()
    assert (await server.resume()).verbs == ["Hangup"]
    assert (await server.voice()).verbs == ["Hangup"], "nor does a late repetition of the first webhook revive it"


async def test_a_session_that_breaks_is_taken_up_again_but_not_for_ever(server: Running) -> None:
    twiml = await server.voice()
    for _ in range(MOST_FAILURES + 1):
        assert twiml.verbs == ["Connect", "Redirect"]
        socket, session = await server.connect(twiml)
        session.fail()
        await socket.closed()
        twiml = await server.resume()
    assert (twiml.verbs, said(twiml)) == (["Say", "Hangup"], documents.TECHNICAL_PROBLEM)
    assert (await stored(server)).end_reason == "failed"


async def test_a_session_that_reports_an_internal_error_counts_as_broken(server: Running) -> None:
    socket, session = await server.call()
    session.end("internal_error")
    await socket.closed()
    call = await stored(server)
    assert (call.state, call.failures) == ("live", 1)


async def test_a_loop_of_reconnecting_ends(server: Running) -> None:
    await server.voice()
    for _ in range(MOST_ATTACHMENTS):
        call = await stored(server)
        assert await server.store.tokens.redeem(await server.store.tokens.issue(call), "CA1")
    assert (await server.resume()).verbs == ["Say", "Hangup"]


# ── status ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "reason"),
    [("completed", "caller_hung_up"), ("failed", "carrier_failed"), ("busy", "carrier_busy")],
)
async def test_a_final_status_ends_the_call_and_its_session(server: Running, status: str, reason: str) -> None:
    socket, session = await server.call()
    assert await server.status(status) == 204
    assert await socket.closed() == 1000
    assert session.over.done()
    assert await server.status(status) == 204
    call = await stored(server)
    assert (call.state, call.end_reason) in {("ended", reason), ("ended", "caller_hung_up")}


async def test_a_final_status_without_a_session_tells_why(server: Running) -> None:
    await server.voice()
    before = total("talkspurt_calls_ended_total", reason="carrier_failed")
    for _ in range(2):
        await server.status("failed")
    assert (await stored(server)).end_reason == "carrier_failed"
    assert total("talkspurt_calls_ended_total", reason="carrier_failed") == before + 1


async def test_a_final_status_that_finds_no_database_is_acted_upon_when_it_is_back(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The carrier tells it once."""
    await server.voice()
    known = server.store.calls.by_carrier_id

    async def fail(*_: object) -> None:
        raise StoreError("refused the connection")

    monkeypatch.setattr(server.store.calls, "by_carrier_id", fail)
    assert await server.status("completed") == 204
    monkeypatch.setattr(server.store.calls, "by_carrier_id", known)
    async with asyncio.timeout(5):
        while (await stored(server)).state != "ended":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await stored(server)).end_reason == "caller_hung_up"


async def test_a_goodbye_that_finds_no_database_ends_the_call_when_it_is_back(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else tells it: the caller waits for the carrier to hang up."""
    socket, session = await server.call()

    async def fail(*_: object, **__: object) -> bool:
        raise StoreError("refused the connection")

    with monkeypatch.context() as outage:
        outage.setattr(server.store.calls, "end", fail)
        session.end("agent_goodbye")
        await socket.closed()
    async with asyncio.timeout(5):
        while (await stored(server)).state != "ended":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await stored(server)).end_reason == "agent_goodbye"
    assert (await server.resume()).verbs == ["Hangup"]


@pytest.mark.parametrize(("reason", "kept"), [("agent_goodbye", ["outcome"]), ("line_lost", []), ("handover", [])])
async def test_an_end_after_which_the_caller_may_be_held_for_more_is_not_written_down_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, kept: list[str]
) -> None:
    told: list[str] = []

    async def fail(*_: object, **__: object) -> bool:
        raise StoreError("refused the connection")

    monkeypatch.setattr(Errands, "again", lambda _errands, what, _errand: told.append(what))
    async with running(settings(tmp_path)) as server:
        socket, session = await server.call()
        with monkeypatch.context() as outage:
            outage.setattr(server.store.calls, "end", fail)
            outage.setattr(server.store.handovers, "open_of", fail)
            session.end(reason)
            await socket.closed()
    assert told == kept


async def test_a_passing_status_changes_nothing(server: Running) -> None:
    await server.call()
    for status in ("ringing", "in-progress", "", "nonsense"):
        assert await server.status(status) == 204
    assert (await stored(server)).state == "live"
    assert await server.status("completed", "CA404") == 204


@pytest.mark.parametrize("reason", ["no_reply", "no_speech", "not_understood"])
async def test_a_call_that_the_agent_gave_up_is_ended_by_the_carriers_voice(server: Running, reason: str) -> None:
    socket, session = await server.call()
    session.end(reason)
    await socket.closed()
    twiml = await server.resume()
    assert twiml.verbs == ["Say", "Hangup"]
    assert "call again" in (twiml.find("Say").text or "")
    call = await stored(server)
    await server.store.callbacks.note(call.id, number=CALLER, reason="nobody was there")
    assert "call you back" in ((await server.resume()).find("Say").text or "")


async def test_the_first_reason_of_a_calls_end_is_kept(server: Running) -> None:
    socket, session = await server.call()
    session.end("agent_goodbye")
    await socket.closed()
    await server.status("completed")
    assert (await stored(server)).end_reason == "agent_goodbye"


async def test_many_calls_at_once_each_hear_themselves(server: Running) -> None:
    async def one(number: int) -> None:
        twiml = await server.voice(f"CA{number}", caller=f"+1202555{number:04d}")
        socket = await server.dial()
        socket.start(twiml.token, f"CA{number}")
        for chunk in range(1, 6):
            socket.media(chunk, bytes([number]) * 160)
        for _ in range(5):
            assert await socket.echo() == bytes([number]) * 160
        socket.hang_up()
        assert await socket.closed() == 1000

    await asyncio.gather(*(one(number) for number in range(20)))
    assert await server.store.calls.count("ended") == 20
