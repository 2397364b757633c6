"""The configuration: read once, from the strongest source, and refused with a sentence that says what to do."""

from pathlib import Path

import pytest

from talkspurt.config import Config, load_config
from talkspurt.errors import ConfigurationError


def refused(*, toml: str = "", folder: Path | None = None, **environment: str) -> str:
    path = None
    if folder is not None:
        path = folder / "talkspurt.toml"
        path.write_text(toml, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path, environment)
    return str(caught.value)


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "talkspurt.toml"
    file.write_text('[server]\nport = 1000\nhost = "0.0.0.0"\n', encoding="utf-8")
    config = load_config(file, {"TALKSPURT_SERVER__PORT": "2000"})
    assert (config.server.port, config.server.host, config.server.lag_limit) == (2000, "0.0.0.0", 0.06)


@pytest.mark.parametrize(("toml", "calls"), [("", 300), ("max_calls = 20", 20), ("max_calls = 900", 900)])
def test_as_many_calls_as_the_workers_hold_unless_it_is_said_how_many(tmp_path: Path, toml: str, calls: int) -> None:
    file = tmp_path / "talkspurt.toml"
    file.write_text(f"[server]\nworkers = 8\n{toml}\n", encoding="utf-8")
    config = load_config(file, {"TALKSPURT_SERVER__WORKERS": "4"})
    assert config.server.max_calls == calls
    assert Config.model_validate(config.model_dump()).server.max_calls == calls, "a worker is told the same"


def test_a_number_of_workers_that_cannot_be_is_the_only_mistake() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_config(environment={"TALKSPURT_SERVER__WORKERS": "0"})
    assert "server.workers" in str(caught.value)
    assert "max_calls" not in str(caught.value)


def test_the_vendors_own_variable_sets_the_token_and_the_token_is_not_shown() -> None:
    config = load_config(environment={"TWILIO_AUTH_TOKEN": "canary"})
    assert config.twilio.auth_token is not None
    assert config.twilio.auth_token.get_secret_value() == "canary"
    assert "canary" not in repr(config)


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ("[sever]\nport = 1", "sever: unknown key; did you mean 'server'?"),
        ("[server]\nprot = 1", "server.prot: unknown key; did you mean 'port'?"),
        ('[[numbers]]\nnumber = "*"\nagnet = "retail"', "numbers.0.agnet: unknown key; did you mean 'agent'?"),
        (
            '[mcp.servers.a]\nagents = ["retail"]\ncomand = "x"',
            "mcp.servers.a.comand: unknown key; did you mean 'command'?",
        ),
        (
            '[mcp.servers.a]\nagents = ["retail"]\ncommand = "x"\ntools.b = {efect = true}',
            "mcp.servers.a.tools.b.efect: unknown key; did you mean 'effect'?",
        ),
        ('[mcp.servers.a]\nagents = ["retial"]\ncommand = "x"', "names agent 'retial', which is not in [agents]"),
        ('[mcp.servers.a]\nagents = ["retail"]', "give either command or url"),
        ('[mcp.servers.a]\nagents = ["retail"]\nurl = "http://example.com/mcp"', "must begin with https://"),
        ('[mcp.servers.a]\nagents = ["retail"]\nurl = "https://me:pw@example.com/mcp"', "must not hold a password"),
        (
            '[mcp.servers.a]\nagents = ["retail"]\ncommand = "x"\nenv = {API_KEY = "canary"}',
            'env.API_KEY looks like a secret: write "${NAME}"',
        ),
        (
            '[mcp.servers.a]\nagents = ["retail"]\ncommand = "x"\ntools.b = {effect = true}',
            "an effect needs read_back",
        ),
        (
            '[mcp.servers.a]\nagents = ["retail"]\ncommand = "x"\ntools.b = {key_argument = "k"}',
            "key_argument is for effects",
        ),
        (
            '[mcp.servers.a]\nagents = ["retail"]\ncommand = "x"\ntools.b = {max_amount_cents = 0}',
            "max_amount_cents is for effects",
        ),
        (
            '[mcp.servers.a]\nagents = ["retail"]\ncommand = "x"\n'
            'tools.b = {effect = true, read_back = "Shall I?", max_amount_cents = 0}',
            "max_amount_cents needs amount_argument",
        ),
        (
            '[mcp.servers.a]\nagents = ["retail"]\ncommand = "x"\ntools.b = {account_argument = "customer"}',
            "account_argument needs level = 1 or 2",
        ),
        ('[[numbers]]\nnumber = "*"\nagent = "nobody"', "names agent 'nobody'"),
        ('[server]\npublic_url = "voice.example.com"', "must be an origin such as https://voice.example.com"),
        ('[server]\npublic_url = "https://voice.example.com/twilio"', "must be an origin"),
        ('[server]\npublic_url = "http://voice.example.com"', "must begin with https://"),
        ("[conversation]\nsilence_prompt = 40", "silence_hangup must be longer"),
        ("[server\n", "is not valid TOML"),
    ],
)
def test_every_mistake_is_named_with_what_to_do(tmp_path: Path, toml: str, expected: str) -> None:
    assert expected in refused(toml=toml, folder=tmp_path)


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    message = refused(toml="[server]\nport = 70000\nhots = 1", folder=tmp_path)
    assert "server.port" in message
    assert "server.hots" in message


def test_a_variable_that_is_no_setting_is_refused_by_its_name() -> None:
    assert "server.prot" in refused(TALKSPURT_SERVER__PROT="1")


def test_a_missing_file_is_named() -> None:
    assert "cannot read the configuration file" in refused(TALKSPURT_CONFIG="/nowhere/talkspurt.toml")


def test_the_dialled_number_chooses_and_the_wildcard_is_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "talkspurt.toml"
    file.write_text(
        '[agents]\na = "x:y"\nb = "x:z"\n'
        '[[numbers]]\nnumber = "*"\nagent = "a"\n[[numbers]]\nnumber = "+15550100"\nagent = "b"\n',
        encoding="utf-8",
    )
    config = load_config(file, {})
    dialled, other = config.number("+15550100"), config.number("+15550199")
    assert dialled is not None
    assert other is not None
    assert (dialled.agent, other.agent) == ("b", "a")


def test_a_model_is_named_by_one_string(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text('model = "anthropic:claude-haiku-5-5"\n')
    assert load_config(file, {}).model.name == "anthropic:claude-haiku-5-5"
    assert load_config(None, {"TALKSPURT_MODEL": "ollama:qwen3"}).model.name == "ollama:qwen3"


def test_a_models_address_is_not_its_fallbacks(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    file.write_text('[model]\nname = "vllm:qwen3"\nbase_url = "http://10.0.0.5:8000/v1"\n')
    model = load_config(file, {}).model
    assert model.address("vllm") == "http://10.0.0.5:8000/v1"
    assert model.address("openai") is None
