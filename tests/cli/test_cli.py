import asyncio
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tomli_w
from pydantic import ValidationError

from talkspurt import cli
from talkspurt.config import Config, SpeechConfig
from talkspurt.errors import StoreError, WeightsError
from talkspurt.server.orders import secrets_of
from talkspurt.simulate.lines import Interrupt, PlayWav, PressKeys, Say, Wait
from talkspurt.store import Store


def run(*arguments: str) -> int:
    """Run the command line in this process; returns its exit status."""
    try:
        cli.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration but the defaults, and a working directory of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("TALKSPURT_CONFIG", "TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID"):
        monkeypatch.delenv(name, raising=False)


def test_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("talkspurt 0.")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["call"], "nothing to say"),
        (["call", "--say", "hi", "--calls", "0"], "--calls must be at least 1"),
        (["call", "--scenario", "order-enquiry"], "add --serve"),
        (["call", "--scenario", "order-enquiry", "--serve", "--say", "hi"], "drop lines"),
        (["call", "--microphone", "--say", "hi"], "with you as the caller"),
        (["call", "--wav", "missing.wav"], "cannot read missing.wav"),
        (["serve", "--port", "99999"], "server.port"),
        (["serve", "--public-url", "voice.example.com/path"], "origin such as"),
        (["models", "pull", "no-such-model"], "no-such-model"),
    ],
)
def test_mistakes_are_one_clear_line_on_standard_error(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert run(*arguments) == 2
    output = capsys.readouterr()
    assert output.err.startswith("talkspurt: ")
    assert complaint in output.err
    assert "Traceback" not in output.err + output.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["call", "--keys", "12x"], "digits"),
        (["call", "--keys", ""], "digits"),
        (["call", "--wait", "soon"], "seconds"),
        (["call", "--wait", "-1"], "between 0"),
        (["call", "--wait", "nan"], "between 0"),
        (["call", "--interrupt", "no wait"], "SECONDS:TEXT"),
        (["call", "--interrupt", "1.5:"], "SECONDS:TEXT"),
        (["call", "--voice", "bob", "--say", "hi"], "bob"),
        (["call", "--say"], "--say"),
        (["cal"], "cal"),
    ],
)
def test_options_that_cannot_be_read_name_the_option(
    capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert run(*arguments) != 0
    output = capsys.readouterr()
    assert complaint in output.out + output.err
    assert "Traceback" not in output.err


def test_lines_keep_the_order_of_their_options() -> None:
    _, bound, _ = cli.app.parse_args(
        ["call", "--say", "-f/etc/passwd", "--keys", "12#", "--wav", "a.wav", "--interrupt", "1.5:no: wait",
         "--wait", "2", "--say", "bye"]
    )  # fmt: skip
    assert bound.arguments["script"] == [
        Say("-f/etc/passwd"), PressKeys("12#"), PlayWav(Path("a.wav")),
        Interrupt("no: wait", 1.5), Wait(2.0), Say("bye"),
    ]  # fmt: skip


def test_a_call_that_reaches_nobody_exits_with_one_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("call", "--url", "http://127.0.0.1:9", "--say", "hello", "--no-transcribe") == 1
    assert "the call failed: 11205 cannot reach http://127.0.0.1:9/twilio/voice" in capsys.readouterr().out


def test_the_microphone_without_its_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # PortAudio is not on every machine; an import that fails is what its absence looks like.
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert run("call", "--microphone", "--url", "http://127.0.0.1:9") == 2
    assert "talkspurt[microphone]" in capsys.readouterr().err


def test_config_check_prints_toml_with_secrets_masked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "canary-token")
    monkeypatch.setenv("TALKSPURT_STORE__URL", "postgresql+asyncpg://user:canary-password@db/calls")
    monkeypatch.setenv("TALKSPURT_SERVER__PORT", "9090")
    assert run("config", "check") == 0
    output = capsys.readouterr().out
    values = tomllib.loads(output)
    assert values["server"]["port"] == 9090
    assert values["store"]["url"] == "postgresql+asyncpg://user:***@db/calls"
    assert values["twilio"]["auth_token"].strip("*") == ""
    assert "canary" not in output


def test_config_check_prints_no_password_of_an_address_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    Path("talkspurt.toml").write_text(
        """
        store.url = "postgresql+asyncpg://calls@db/calls"
        handover.hold_music = "https://music:canary@word@cdn.example.com/hold.mp3"
        speech.livekit.cartesia.tts = {base_url = "https://canary-key@proxy", model = "sonic@3://x"}
        speech.livekit.cartesia.stt = {base_url = "wss://:canary-ear@proxy"}
        """
    )
    assert run("config", "check") == 0
    output = capsys.readouterr().out
    assert "canary" not in output
    values = tomllib.loads(output)
    assert values["handover"]["hold_music"] == "https://music:***@cdn.example.com/hold.mp3"
    assert values["speech"]["livekit"]["cartesia"] == {
        "stt": {"base_url": "wss://:***@proxy"},
        "tts": {"base_url": "https://***@proxy", "model": "sonic@3://x"},
    }
    assert values["store"]["url"] == "postgresql+asyncpg://calls@db/calls"


@pytest.mark.parametrize(
    ("toml", "setting"),
    [
        ('model = {name = "vllm:qwen3", base_url = "http://user:canary@gpu.internal:8000/v1"}', "model.base_url"),
        ('model.base_url = {openai = "https://canary-key@proxy/v1"}', "model.base_url"),
        ('speech.base_url = {deepgram = "wss://:canary-ear@proxy"}', "speech.base_url"),
    ],
)
def test_a_password_in_the_address_of_a_vendor_is_refused_and_not_printed(
    capsys: pytest.CaptureFixture[str], toml: str, setting: str
) -> None:
    Path("talkspurt.toml").write_text(toml)
    assert run("config", "check") == 2
    printed = "".join(capsys.readouterr())
    assert f"{setting}: Value error, the address of '" in printed
    assert "must not hold a user or password: set the environment variable" in printed
    assert "canary" not in printed


def test_an_at_sign_elsewhere_in_an_address_is_no_password() -> None:
    address = "https://proxy.example.com/v1/users/me@example.com"
    assert Config.model_validate({"model": {"base_url": {"openai": address}}}).model.address("openai") == address


def test_the_log_masks_the_passwords_of_addresses_in_the_file_and_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_DATABASE", "postgresql://shop:canary-shop?@db/shop")
    monkeypatch.setenv("SHOP_MAIL", "smtp://bot:canary-mail@mail.example.com:587?from=bot@example.com")
    monkeypatch.setenv("SHOP_QUEUE", "amqp://shop:canary-queue@h1:5672,shop:canary-other@h2:5672")
    monkeypatch.setenv("SHOP_CACHE", "redis://:canary@cache@db:6379")
    config = Config.model_validate(
        {
            "handover": {"hold_music": "https://music:canary%40music@cdn.example.com/hold.mp3"},
            "store": {"url": "postgresql+asyncpg://calls@db/calls"},
        }
    )
    secrets = secrets_of(config)
    assert {"canary-shop?", "canary%40music", "canary-mail", "canary-queue", "canary-other", "canary@cache"} <= set(
        secrets
    )
    assert "calls" not in secrets


def test_the_log_masks_whatever_a_variable_calls_a_key_a_token_or_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (
        "OPENAI_API_KEY",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "SHOP_PASSWORD",
    )
    for name in names:
        monkeypatch.setenv(name, f"canary-{name}")
    monkeypatch.setenv("SHOP_TOKENIZER", "canary-of-no-secret")
    secrets = secrets_of(Config())
    assert {f"canary-{name}" for name in names} <= set(secrets)
    assert "canary-of-no-secret" not in secrets


@pytest.mark.parametrize("arguments", [["config", "check"], ["serve", "--development", "--port", "0"]])
@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"TALKSPURT_STORE__URL": "nonsense"}, "store.url is not a database URL"),
        ({"TALKSPURT_STORE__URL": "mysql://db/calls"}, "store.url begins with 'mysql'"),
        ({"TALKSPURT_CONFIG": "flat.toml", "TWILIO_AUTH_TOKEN": "canary"}, "'twilio' is a single value"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    complaint: str,
    arguments: list[str],
) -> None:
    Path("flat.toml").write_text("twilio = 3\n")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("talkspurt: ")
    assert complaint in error
    assert "canary" not in error


@pytest.mark.parametrize(
    ("plugin", "option", "variable"),
    [
        ("cartesia", 'api_key = "canary"', "CARTESIA_API_KEY"),
        ("elevenlabs", 'api_key = "canary"', "ELEVEN_API_KEY"),
        ("aws", 'session_token = "canary"', "AWS_SESSION_TOKEN"),
        ("azure", 'speech_key = "canary"', "AZURE_SPEECH_KEY"),
        ("gnani", 'api_token = "canary"', "GNANI_API_TOKEN"),
        ("google", 'credentials_info = {private = "canary"}', "GOOGLE_APPLICATION_CREDENTIALS"),
        ("rime", 'extra = [{api_key = "canary"}]', "RIME_API_KEY"),
    ],
)
@pytest.mark.parametrize("kind", ["stt", "tts"])
def test_config_check_prints_no_key_of_a_plugin_but_says_where_it_belongs(
    capsys: pytest.CaptureFixture[str], plugin: str, option: str, variable: str, kind: str
) -> None:
    # The plugin need not be chosen, nor installed.
    Path("talkspurt.toml").write_text(f"[speech.livekit.{plugin}.{kind}]\n{option}\n")
    assert run("config", "check") == 2
    printed = "".join(capsys.readouterr())
    assert f"speech.livekit: Value error, {plugin}.{kind}." in printed
    assert printed.rstrip().endswith(f"usually {variable}")
    assert "canary" not in printed


def test_no_error_of_the_configuration_quotes_a_key() -> None:
    for read in (Config.model_validate, lambda values: SpeechConfig.model_validate(values["speech"])):
        with pytest.raises(ValidationError) as caught:
            read({"speech": {"livekit": {"cartesia": {"tts": {"api_key": "canary"}}}}})
        assert "canary" not in str(caught.value)


def test_options_of_a_plugin_whose_names_only_resemble_a_keys_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    options = {"tokenizer": "x", "word_tokenizer": "x", "max_tokens": 9, "max_new_tokens": 9, "keyterm": ["x"]}
    options |= {"keyterms_prompt": ["x"], "keywords": ["x"], "credentials_file": "google.json"}
    Path("talkspurt.toml").write_text(tomli_w.dumps({"speech": {"livekit": {"assemblyai": {"stt": options}}}}))
    assert run("config", "check") == 0
    assert tomllib.loads(capsys.readouterr().out)["speech"]["livekit"]["assemblyai"]["stt"] == options


def test_config_check_names_the_nearest_key(capsys: pytest.CaptureFixture[str]) -> None:
    Path("talkspurt.toml").write_text("[server]\nprot = 1\n")
    assert run("config", "check") == 2
    assert "did you mean 'port'" in capsys.readouterr().err


def test_models_list_shows_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("TALKSPURT_SPEECH__WEIGHTS_DIR", str(tmp_path / "weights"))
    assert run("models", "list") == 0
    assert "missing" in capsys.readouterr().out
    assert run("models", "verify", "silero-vad") == 1


def test_the_module_runs_as_the_command() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "talkspurt", "call"], check=False, capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 2
    assert finished.stderr.startswith("talkspurt: nothing to say")
    assert "Traceback" not in finished.stderr


def test_errors_of_tasks_side_by_side_are_said_one_by_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise ExceptionGroup("tasks", [WeightsError("no weights"), ExceptionGroup("more", [StoreError("no store")])])

    monkeypatch.setattr(cli, "_weight_store", fail)
    assert run("models", "list") == 2
    assert capsys.readouterr().err == "talkspurt: no weights\ntalkspurt: no store\n"


def test_an_unforeseen_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ExceptionGroup("tasks", [WeightsError("no weights"), KeyError("a bug")])

    monkeypatch.setattr(cli, "_weight_store", fail)
    with pytest.raises(ExceptionGroup) as caught:
        run("models", "list")
    assert caught.group_contains(KeyError)


async def _note_callback(url: str) -> None:
    store = await Store.open(url)
    call = await store.calls.admit(carrier_call_id="CA1", caller="", dialled="", agent="retail", locale="en-US")
    await store.callbacks.note(call.id, number="+12025550101", reason="A [bill] that is wrong", target="billing")
    await store.aclose()


def test_call_backs_are_listed_until_somebody_has_called(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'calls.db'}"
    monkeypatch.setenv("TALKSPURT_STORE__URL", url)
    assert run("callbacks") == 0
    assert "nobody waits" in capsys.readouterr().out
    asyncio.run(_note_callback(url))
    assert run("callbacks") == 0
    listed = capsys.readouterr().out.splitlines()[1].split()
    assert listed[3:] == ["+12025550101", "billing", "A", "[bill]", "that", "is", "wrong"]
    assert run("callbacks", "--done", listed[0]) == 0
    assert "nobody waits" in capsys.readouterr().out
    assert run("callbacks", "--done", listed[0]) == 2
    assert "outstanding" in capsys.readouterr().err
