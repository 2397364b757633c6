"""Amazon Bedrock's client: where its credentials come from, and how it is kept from trying again by itself.

Credentials, the first that is there: a Bedrock API key (`AWS_BEARER_TOKEN_BEDROCK`), a pair of keys
(`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, perhaps `AWS_SESSION_TOKEN`), and whatever else the SDK finds
(a profile, the role of the machine or pod).
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import anyio.to_thread
import boto3
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.session import Session
from botocore.tokens import FrozenAuthToken

from talkspurt.errors import ConfigurationError

REGIONS: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
CONNECTIONS: Final = 50
"""The SDK keeps 10 by default, and throws away what more calls at once have opened."""


def bedrock_client(
    *,
    key: str,
    base_url: str | None,
    environment: Mapping[str, str],
    connect_timeout: float,
    read_timeout: float,
) -> Any:
    """A `bedrock-runtime` client that makes each request once. Raises `ConfigurationError` for what is missing."""
    region = next((value for name in REGIONS if (value := environment.get(name, "").strip())), None)
    pair = {
        "aws_access_key_id": environment.get("AWS_ACCESS_KEY_ID") or None,
        "aws_secret_access_key": environment.get("AWS_SECRET_ACCESS_KEY") or None,
        "aws_session_token": environment.get("AWS_SESSION_TOKEN") or None,
    }
    settings = Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        retries={"total_max_attempts": 1},
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
        **({"signature_version": "bearer"} if key else {}),
    )
    try:
        session = (
            boto3.Session(botocore_session=_session_with(key), region_name=region)
            if key
            else boto3.Session(region_name=region, **pair)
        )
        if not session.region_name:
            raise ConfigurationError(
                "model.name names bedrock, which needs a region: set the environment variable AWS_REGION"
            )
        if not key and session.get_credentials() is None:
            raise ConfigurationError(
                "model.name names bedrock, which needs a key: set the environment variable AWS_BEARER_TOKEN_BEDROCK,"
                " or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        return session.client("bedrock-runtime", config=settings, endpoint_url=base_url)
    except BotoCoreError as error:
        raise ConfigurationError(f"model.name names bedrock, whose credentials cannot be used: {error}") from None


async def keep_bedrock_connected(client: Any) -> None:
    """Have a connection open in the client's pool, as `standby` does for the others. Raises nothing."""
    with suppress(Exception):
        # As little as opens one: unsigned, so that nothing is asked for that costs.
        request = AWSRequest(method="HEAD", url=client.meta.endpoint_url).prepare()
        await anyio.to_thread.run_sync(client._endpoint.http_session.send, request)


async def close_bedrock(client: Any) -> None:
    """Close the client's connections. Idempotent."""
    await anyio.to_thread.run_sync(client.close)


def _session_with(key: str) -> Any:
    """A session that knows nothing but a Bedrock API key."""
    session = Session()
    session.get_auth_token = lambda **_: FrozenAuthToken(key)
    session.get_credentials = lambda: None
    return session
