"""The command line: `talkspurt serve`, `call`, `callbacks`, `effects`, `cost`, `models` and `config`.

Reads options, runs one thing, prints. It decides nothing about calls. Errors that are somebody's
to mend end in one clear line on standard error and exit status 2; a call that failed exits with 1.
"""

import os
import sys
from collections.abc import Coroutine, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tomli_w
from cyclopts import App, Parameter, Token, validators
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from talkspurt.config import Config, load_config
from talkspurt.errors import ConfigurationError, TalkspurtError, complaints
from talkspurt.simulate.lines import HangUp, Interrupt, Line, PlayWav, PressKeys, Say, Wait
from talkspurt.speech.weights import DEFAULT_GROUP, PullStep, WeightStore
from talkspurt.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from talkspurt.agent import Agent
    from talkspurt.ports import EffectRecord
    from talkspurt.server.origin import Origin
    from talkspurt.store import Callback
    from talkspurt.store.usage import Average
    from talkspurt.telemetry.usage import Leg

app = App(
    name="talkspurt",
    help="A voice agent that answers a company's phone.",
    version=lambda: f"talkspurt {version('talkspurt')}",
    help_format="markdown",
)
models = App(name="models", help="The model store: local weights with pinned hashes.")
config_commands = App(name="config", help="The configuration.")
prompt_commands = App(name="prompt", help="What a language model is told of its part.")
provider_commands = App(name="providers", help="The vendors that think for the agents.")
effect_commands = App(name="effects", help="Effects of tools that somebody has to look at.")
app.command(models)
app.command(prompt_commands)
app.command(provider_commands)
app.command(effect_commands)
app.command(config_commands)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (default: this process's); the entry point `talkspurt`."""
    try:
        app(sys.argv[1:] if arguments is None else arguments)
    except (TalkspurtError, ExceptionGroup) as error:
        for line in complaints(error):
            print(f"talkspurt: {line}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does; Python would complain once more while exiting.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


# ── serve ─────────────────────────────────────────────────────────────────────────


@app.command
def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    public_url: str | None = None,
    workers: int | None = None,
    development: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Answer calls until told to stop.

    Parameters
    ----------
    host
        Address to listen on; default: the configuration's.
    port
        Port to listen on; default: the configuration's.
    public_url
        Origin by which the carrier reaches this server, e.g. https://voice.example.com.
    workers
        Processes that take calls, supervised by this one; default: one for each core. 1: this process does it all.
    development
        Accept unsigned webhooks and sockets. Only for a server that nobody else can reach.

    """
    options = {
        "host": host,
        "port": port,
        "public_url": public_url,
        "workers": workers,
        "development": development or None,
    }
    overrides = {f"TALKSPURT_SERVER__{key.upper()}": str(value) for key, value in options.items() if value is not None}
    config = load_config(environment={**os.environ, **overrides})
    from talkspurt.server.orders import secrets_of
    from talkspurt.server.serve import missing_settings

    style: Literal["console", "json"] = "console" if sys.stderr.isatty() else "json"
    configure_logging(level=config.log_level, style=style, secrets=secrets_of(config))
    missing = missing_settings(config)
    for setting in missing:
        print(f"Every call is refused until this is set: {setting}", file=sys.stderr)
    if missing:
        print("To try the server on this machine only, add --development.", file=sys.stderr)
    ready = partial(_show_addresses, refusing=bool(missing))
    if config.server.workers == 1:
        from talkspurt.server.serve import serve as run_server
        from talkspurt.server.switchboard import single_process

        _run(run_server(config, partial(single_process, config), ready=ready))
    else:
        from talkspurt.server.supervisor import supervise

        _run(supervise(config, log_style=style, ready=ready))


def _show_addresses(origin: "Origin", port: int, *, refusing: bool) -> None:
    from talkspurt.server.origin import STATUS, VOICE

    def address(path: str) -> str:
        return f"https://<your public host>{path}" if refusing else origin.url(path)

    print(f"Listening on port {port}. In the Twilio console, under the phone number's voice configuration, set")
    print(f"  A call comes in:      Webhook  {address(VOICE)}   HTTP POST")
    print(f"  Call status changes:           {address(STATUS)}  HTTP POST", flush=True)


# ── call ──────────────────────────────────────────────────────────────────────────


def _read_script(_type: type, tokens: Sequence[Token]) -> list[Line]:
    """Lines in the order in which their options were given."""
    return [_read_line(token.keyword or "", token.value) for token in tokens]


def _read_line(option: str, value: str) -> Line:
    match option:
        case "--wav":
            return PlayWav(Path(value))
        case "--keys":
            if not value or not set(value) <= set("0123456789*#"):
                raise ValueError("--keys takes digits, * and #")
            return PressKeys(value)
        case "--wait":
            return Wait(_seconds(option, value))
        case "--interrupt":
            after, colon, text = value.partition(":")
            if not colon or not text.strip():
                raise ValueError("--interrupt takes SECONDS:TEXT, e.g. --interrupt '1.5:no, wait'")
            return Interrupt(text.strip(), _seconds(option, after))
    return Say(value)


def _seconds(option: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        raise ValueError(f"{option} takes seconds, not {value!r}") from None
    if not 0 <= seconds <= 3_600:
        raise ValueError(f"{option} takes between 0 and 3600 seconds")
    return seconds


@app.command
def call(
    *,
    script: Annotated[
        list[Line] | None,
        Parameter(
            name=["--say", "--wav", "--keys", "--wait", "--interrupt"],
            converter=_read_script,
            n_tokens=1,
            metavar="VALUE",
            allow_leading_hyphen=True,
            negative=(),
        ),
    ] = None,
    scenario: Literal["order-enquiry"] | None = None,
    microphone: Annotated[bool, Parameter(negative=())] = False,
    url: str = "http://127.0.0.1:8080",
    serve: Annotated[bool, Parameter(negative=())] = False,
    voice: Literal["slt", "rms"] = "slt",
    from_: Annotated[str, Parameter(name="--from")] = "+14155550100",
    to: str = "+18005550199",
    public_url: str | None = None,
    hang_up: Annotated[bool, Parameter(negative=())] = False,
    calls: int = 1,
    transcribe: bool | None = None,
    out: Path = Path("build/call.wav"),
) -> None:
    """Call a server the way Twilio does, and hold a conversation with it.

    The lines are said in the order given, each when the agent has finished its turn. With
    TWILIO_AUTH_TOKEN in the environment everything is signed as Twilio signs it. Exits with 1
    when the call failed: no greeting, no answer to a turn, a refused socket, a gap in the
    agent's voice.

    Parameters
    ----------
    script
        What the caller does: --say TEXT, --wav FILE, --keys DIGITS, --wait SECONDS (in silence),
        --interrupt SECONDS:TEXT (into the agent's turn, that long after it began).
    scenario
        A ready-made script. order-enquiry: ask the bundled shop where an order is (needs --serve).
    microphone
        Speak yourself, until either side hangs up (Ctrl-C). Use a headset.
    url
        The server's origin.
    serve
        Start a server for this call, with temporary databases, and stop it afterwards.
    voice
        Who speaks the text.
    from_
        The caller's number.
    to
        The number dialled.
    public_url
        The origin the server is configured with, when it differs from the address dialled here.
    hang_up
        Hang up after the last answer, and do not wait for the agent's goodbye.
    calls
        Hold this many calls at once.
    transcribe
        Write down what the agent says, from the audio; default: for a single call.
    out
        Stereo WAV file: left the caller, right the agent. Several calls are numbered.

    """
    lines = [*(script or []), *([HangUp()] if hang_up else [])]
    if calls < 1:
        raise ConfigurationError("--calls must be at least 1")
    if scenario is not None and (not serve or lines):
        raise ConfigurationError(
            f"--scenario {scenario} has its own lines and needs its own shop: add --serve, drop lines"
        )
    if microphone and (lines or scenario or calls > 1):
        raise ConfigurationError("--microphone is one call with you as the caller: drop the lines and --calls")
    if not (lines or scenario or microphone):
        raise ConfigurationError("nothing to say: give --say, --wav, --keys, --scenario or --microphone")

    from talkspurt.simulate.campaign import Campaign, run_campaign

    campaign = Campaign(
        lines=tuple(lines),
        scenario=scenario,
        microphone=microphone,
        url=url,
        own_server=serve,
        voice=voice,
        calls=calls,
        transcribe=calls == 1 if transcribe is None else transcribe,
        out=out,
        line_options={
            "auth_token": os.environ.get("TWILIO_AUTH_TOKEN") or None,
            "public_url": public_url,
            "from_number": from_,
            "to_number": to,
        },
    )
    if not _run(run_campaign(campaign, load_config(), Console())):
        sys.exit(1)


# ── cost ──────────────────────────────────────────────────────────────────────────


@app.command
def cost(
    *,
    calls: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 1000,
    latest: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 100,
    recognizer: str | None = None,
    model: str | None = None,
    synthesizer: str | None = None,
    prices: Path | None = None,
) -> None:
    """Show what calls cost: what the latest ones used, times a price list.

    Parameters
    ----------
    calls
        Reckon the cost of so many calls.
    latest
        The average of so many calls that have ended.
    recognizer
        Reckon as if this one had been used, e.g. deepgram.
    model
        Reckon as if this one had been used, e.g. anthropic:claude-sonnet-5-5. The offline brain's tokens are estimated.
    synthesizer
        Reckon as if this one had been used, e.g. elevenlabs.
    prices
        A price list of your own, in the form of the bundled prices.toml.

    """
    from talkspurt.telemetry.cost import Prices, reckon

    average = _run(_usage(load_config(), latest))
    if not average.calls:
        print("no call has ended yet whose usage is known: those of a server with this store.url are counted")
        return
    chosen: dict[Leg, str | None] = {"recognition": recognizer, "model": model, "synthesis": synthesizer}
    instead = {leg: name for leg, name in chosen.items() if name is not None}
    bill = reckon(average.used, Prices.load(prices), instead=instead)
    table = Table("", "provider", "a call", f"{calls} calls", "price of", box=None)
    for line in bill.lines:
        price = "unknown" if line.cost is None else f"${line.cost * calls:,.2f}"
        table.add_row(line.part, escape(line.vendor), line.amount, price, escape(line.source))
    total = f"{'' if bill.complete else 'at least '}${bill.known * calls:,.2f}"
    table.add_row("in all", "", f"{bill.minutes:.2f} min", total, f"${bill.known:.4f} a call")
    Console(soft_wrap=not sys.stdout.isatty()).print(table)
    print(f"usage: average of {average.calls} call{'s' if average.calls > 1 else ''}")


async def _usage(config: Config, latest: int) -> "Average":
    from talkspurt.store import Store

    store = await Store.open(config.store.url)
    try:
        return await store.usage.average(latest)
    finally:
        await store.aclose()


# ── callbacks ─────────────────────────────────────────────────────────────────────


@app.command
def callbacks(*, done: str | None = None) -> None:
    """Show the call-backs that callers wait for, the oldest first.

    Parameters
    ----------
    done
        Tick off the call-back of this call (the first column): somebody has called.

    """
    waiting = _run(_callbacks(load_config(), done))
    if not waiting:
        print("nobody waits for a call-back")
        return
    table = Table("call", "since", "number", "for", "account", "reason", box=None)
    for callback in waiting:
        since = callback.requested_at.astimezone().strftime("%Y-%m-%d %H:%M")
        told = (callback.number, callback.target or "", callback.account or "", callback.reason)
        table.add_row(callback.call_id, since, *map(escape, told))
    Console(soft_wrap=not sys.stdout.isatty()).print(table)


async def _callbacks(config: Config, done: str | None) -> "tuple[Callback, ...]":
    from talkspurt.store import Store

    store = await Store.open(config.store.url)
    try:
        if done is not None and not await store.callbacks.done(done):
            raise ConfigurationError(f"no call-back of a call '{done}' is outstanding; talkspurt callbacks lists them")
        return await store.callbacks.outstanding()
    finally:
        await store.aclose()


# ── models ────────────────────────────────────────────────────────────────────────


@models.command(name="list")
def list_models() -> None:
    """Show every known model and whether it is here."""
    _show_statuses(_weight_store().status())


@models.command
def verify(*names: str) -> None:
    """Hash every file of the models (default: all that are here, and what offline calls need)."""
    statuses = _weight_store().verify(names)
    _show_statuses(statuses)
    if any(status.state != "ready" for status in statuses):
        sys.exit(1)


@models.command
def pull(*names: str) -> None:
    """Fetch models that are missing or damaged (default: what offline calls need)."""
    console = Console()
    with Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console
    ) as progress:
        tasks: dict[tuple[str, str], Any] = {}

        def show(step: PullStep) -> None:
            what = f"{step.weights}: {step.file}" if step.file else f"{step.weights}: preparing"
            key = (step.weights, step.file)
            if key not in tasks:
                tasks[key] = progress.add_task(what)
                if not console.is_terminal:
                    console.print(f"{what} ({step.source})", highlight=False)
            progress.update(tasks[key], completed=step.done, total=step.total)

        pulled = _weight_store().pull(names or (DEFAULT_GROUP,), show)
    print(f"fetched {', '.join(pulled)}" if pulled else "everything is here")


def _weight_store() -> WeightStore:
    return WeightStore.from_config(load_config())


def _show_statuses(statuses: Sequence[Any]) -> None:
    table = Table("model", "for", "licence", "size", "state", box=None)
    colours = {"ready": "green", "missing": "yellow", "damaged": "red"}
    for status in statuses:
        state = f"[{colours[status.state]}]{status.state}[/]" + (
            f" ({escape(status.problem)})" if status.problem else ""
        )
        table.add_row(status.name, status.purpose, status.licence, f"{status.size / 1e6:.1f} MB", state)
    Console(soft_wrap=not sys.stdout.isatty()).print(table)


# ── prompt and providers ──────────────────────────────────────────────────────────


@prompt_commands.command
def show(agent: str = "") -> None:
    """Print the system prompt of an agent, as a model is given it: what never changes, then what is known of a call.

    Parameters
    ----------
    agent
        Its name in [agents]; default: the only one, or the first.

    """
    from datetime import UTC, datetime

    from talkspurt.agent.prompt import caller_facts
    from talkspurt.effects.dispatcher import tool_specs
    from talkspurt.models.window import tokens_of_text, tokens_of_tools

    config = load_config()
    chosen = _run(_equipped_agent(config, agent))
    began = datetime.now(UTC).astimezone(chosen.policy.timezone)
    facts = caller_facts(began=began, locale=config.numbers[0].locale, number_known=True)
    print(f"{chosen.instructions}\n\n{facts}")
    tokens = tokens_of_text(chosen.instructions), tokens_of_text(facts), tokens_of_tools(tool_specs(chosen))
    print(
        f"about {tokens[0]} tokens, the same in every call; {tokens[1]} of this call;"
        f" {tokens[2]} for {len(tool_specs(chosen))} tools, which are told before them",
        file=sys.stderr,
    )


async def _equipped_agent(config: Config, name: str) -> "Agent":
    """The agent as calls have it: with the tools that its MCP servers offer now."""
    from talkspurt.agent.loading import load_agent
    from talkspurt.mcp import McpServers

    chosen = name or next(iter(config.agents))
    if chosen not in config.agents:
        known = ", ".join(config.agents)
        raise ConfigurationError(f"there is no agent '{chosen}' in [agents]; there are: {known}")
    agent = load_agent(chosen, config.agents[chosen])
    # Of a server that cannot be reached a line tells, which is no part of what is printed.
    configure_logging(level=config.log_level, style="console")
    async with McpServers.open(config.mcp, {chosen: agent}) as servers:
        return servers.equip(chosen, agent)


@provider_commands.command(name="check")
def check_providers(
    *names: str,
    recognizer: tuple[str, ...] = (),
    synthesizer: tuple[str, ...] = (),
    agent: str = "",
    requests: Annotated[int, Parameter(name="--requests", validator=validators.Number(gte=1))] = 5,
) -> None:
    """Let providers think, hear and speak as in a call, with the keys in the environment, and show how fast they are.

    Without a name: those of the configuration, with their fallbacks. Exits with 1 when one of them does not do it.

    Parameters
    ----------
    names
        Models, as in `anthropic:<model>`, and speech vendors that are nothing else, as in `deepgram`.
    recognizer
        Recognizers, as in `speech.recognizer`.
    synthesizer
        Synthesizers, as in `speech.synthesizer`.
    agent
        The agent whose prompt, tools and voice are used; default: the first in [agents].
    requests
        Questions or sentences for each; the first opens the connection.

    """
    from talkspurt.checks import Checked, check, chosen

    config = load_config()
    asked = chosen(config, names, recognizer, synthesizer)
    results: Checked = _run(check(config, _run(_equipped_agent(config, agent)), asked, requests))
    console = Console(soft_wrap=not sys.stdout.isatty())
    if results.models:
        table = Table("model", "first token (cold)", "usual", "worst", "tokens in", "cached", "", box=None)
        for model in results.models:
            tokens = ["" if model.problem else str(n) for n in (model.usage.input_tokens, model.usage.cached_tokens)]
            verdict = escape(model.problem) or "[green]answers[/]"
            table.add_row(model.name, *map(_ms, (model.first, model.usual, model.worst)), *tokens, verdict)
        console.print(table)
    for port, figure, done, checks in (
        ("recognizer", "words after the end of speech (cold)", "hears", results.recognizers),
        ("synthesizer", "first audio (cold)", "speaks", results.synthesizers),
    ):
        if checks:
            table = Table(port, figure, "usual", "worst", "", box=None)
            for each in checks:
                verdict = escape(each.problem) or f"[green]{done}[/], {each.note}"
                table.add_row(each.name, *map(_ms, (each.first, each.usual, each.worst)), verdict)
            console.print(table)
    if results.problems:
        sys.exit(1)


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"


# ── effects ───────────────────────────────────────────────────────────────────────


@effect_commands.default
def in_doubt() -> None:
    """List what a person has to look at, to be ticked off with `resolve`.

    That is what may or may not have happened, and what was not done though its caller, who has gone, believes so.
    """
    from talkspurt.store import Store

    async def listed() -> None:
        store = await Store.open(load_config().store.url)
        try:
            doubtful, not_done = await store.effects.in_doubt(), await store.effects.not_done()
            calls = {record.call_id: await store.calls.find(record.call_id) for record in not_done}
        finally:
            await store.aclose()
        for record in doubtful:
            print(f"{_shown(record)}\n    key: {record.key}")
        for record in not_done:
            call = calls[record.call_id]
            number = (call.caller if call is not None else "") or "withheld"
            print(f"{_shown(record)}\n    NOT DONE ({record.state}): {record.result}")
            print(f"    caller, who was not told: {number}")
        if not doubtful and not not_done:
            print("nothing is in doubt")

    _run(listed())


@effect_commands.command
def resolve(proposal: str, outcome: Literal["done", "not-done"]) -> None:
    """Say what became of an effect in doubt, or that one was seen to, by the id that `talkspurt effects` shows."""
    from talkspurt.store import Store

    async def resolved() -> bool:
        store = await Store.open(load_config().store.url)
        try:
            return await store.effects.settle(proposal, done=outcome == "done")
        finally:
            await store.aclose()

    if not _run(resolved()):
        raise ConfigurationError(f"effect {proposal} is not in doubt: talkspurt effects lists those that are")
    print(f"{proposal}: {outcome}")


def _shown(record: "EffectRecord") -> str:
    return f"{record.proposal}  {record.tool}  {record.arguments}\n    said: {record.words}"


# ── config ────────────────────────────────────────────────────────────────────────


@config_commands.command
def check() -> None:
    """Read the configuration and print the effective values as TOML, with secrets masked."""
    from talkspurt.address_books import require_known_vendors

    config = load_config()
    require_known_vendors(config)
    print(tomli_w.dumps(_effective(config)), end="")


def _effective(config: Config) -> dict[str, Any]:
    from talkspurt.config_secrets import without_passwords
    from talkspurt.store.database import database_url

    values: dict[str, Any] = without_passwords(config.model_dump(mode="json", exclude_none=True))
    values["store"]["url"] = database_url(config.store.url).render_as_string(hide_password=True)
    return values


def _run(main_coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run on uvloop where there is one."""
    if sys.platform == "win32":
        import asyncio

        return asyncio.run(main_coroutine)
    import uvloop

    return uvloop.run(main_coroutine)
