"""A language model of the user's own, named by the configuration."""

import sys
import types

import pytest

from talkspurt.agent.agent import Agent
from talkspurt.config import Config, ModelConfig
from talkspurt.errors import ConfigurationError
from talkspurt.models import create_model
from talkspurt.testing.providers import ScriptedModel

AGENT = Agent(name="a", prompt="Be brief.", greeting="Hello.")


@pytest.fixture
def own_models(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("own_models")
    monkeypatch.setitem(sys.modules, "own_models", module)
    return module


def named(name: str) -> Config:
    return Config(model=ModelConfig(name=name))


def test_the_factory_is_given_the_configuration_and_the_agent(own_models: types.ModuleType) -> None:
    model = ScriptedModel.saying("Yes.")
    given: list[object] = []

    def create(config: Config, agent: Agent) -> ScriptedModel:
        given.extend((config, agent))
        return model

    own_models.create = create  # type: ignore[attr-defined]
    config = named("custom:own_models:create")
    assert create_model(config, AGENT) is model
    assert given == [config, AGENT]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("custom:own_models", "must have the form custom:module:attribute"),
        ("custom::create", "must have the form custom:module:attribute"),
        ("custom:no_such_module:create", "cannot import no_such_module"),
        ("custom:own_models:nothing", "is no function"),
        ("custom:own_models:text", "is no function"),
        ("custom:own_models:useless", "is no LanguageModel: it has no warm_up()"),
    ],
)
def test_what_cannot_be_a_model_is_refused_by_name(own_models: types.ModuleType, name: str, complaint: str) -> None:
    own_models.text = "text"  # type: ignore[attr-defined]
    own_models.useless = lambda _config, _agent: object()  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError) as raised:
        create_model(named(name), AGENT)
    assert name in str(raised.value)
    assert complaint in str(raised.value)
