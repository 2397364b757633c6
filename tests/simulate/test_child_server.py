from pathlib import Path

import pytest

from talkspurt.errors import TransportError
from talkspurt.simulate.child_server import child_server


async def test_a_server_that_does_not_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(TransportError) as caught:
        async with child_server(tmp_path, tmp_path / "server.log", environment={"TALKSPURT_NO_SUCH__KEY": "1"}):
            pass
    message = str(caught.value)
    assert "ended with status 2 before it was ready" in message
    assert "server.log" in message
    assert "unknown key" in message
