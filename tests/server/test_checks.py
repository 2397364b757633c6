"""The small checks at the door: addresses, origins, handover numbers, signatures."""

import pytest

from talkspurt.config import HandoverConfig
from talkspurt.errors import ConfigurationError
from talkspurt.server.addresses import client_address
from talkspurt.server.handover.targets import Targets
from talkspurt.server.origin import Origin
from talkspurt.server.signatures import Signatures

PROXIES = ("127.0.0.1", "10.0.0.2")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("203.0.113.5", [], "203.0.113.5"),
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        ("127.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("127.0.0.1", ["10.0.0.2, ,"], "127.0.0.1"),
        ("127.0.0.1", ["x" * 100], "x" * 64),
    ],
)
def test_a_header_is_believed_only_from_our_own_proxy(peer: str, forwarded_for: list[str], address: str) -> None:
    assert client_address(peer, forwarded_for, PROXIES) == address


def test_origins_of_webhooks_and_sockets() -> None:
    origin = Origin("https://voice.example.com")
    assert origin.url("/twilio/voice") == "https://voice.example.com/twilio/voice"
    assert origin.socket_url("/twilio/media") == "wss://voice.example.com/twilio/media"
    assert Origin.of_address("127.0.0.1", 81).socket_url("/x") == "ws://127.0.0.1:81/x"
    assert Origin.of_address("::1", 81).url("/x") == "http://[::1]:81/x"


def test_handover_numbers_are_checked_when_the_server_starts() -> None:
    config = HandoverConfig.model_validate({"targets": {"billing": "+12025550123", "returns": "+18002530000"}})
    targets = Targets.from_config(config, kinds=frozenset({"cold"}))
    assert {target.name: target.number for target in targets} == {"billing": "+12025550123", "returns": "+18002530000"}


@pytest.mark.parametrize(
    ("number", "message"),
    [
        ("2025550123", "E.164"),
        ("+1 202 555 0123", "E.164"),
        ("+1202555", "not a valid"),
        ("sip:x@example.com", "E.164"),
        ("+442079460958", "handover.countries does not allow"),
        ("+19002345678", "costs extra"),
    ],
)
def test_a_number_that_must_not_be_dialled_is_refused(number: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Targets.from_config(HandoverConfig.model_validate({"targets": {"billing": number}}), kinds=frozenset({"cold"}))


def test_without_a_token_nothing_is_accepted() -> None:
    assert not Signatures(()).accept("https://x/y", {}, "signature")
    assert not Signatures(("",)).accept("https://x/y", {}, "signature")
    assert Signatures((), accept_unsigned=True).accept("https://x/y", {}, None)
