"""Tools of MCP servers, under the same rules as an agent's own.

    stdio, http   the two transports, with a bound on what is read
    connection    one server: one task opens the session, watches it, closes it and connects again
    schema        what a server says of its tools, as data: checked, cleaned, cut
    wording       the read-back of an effect, made from its arguments
    tools         a server's tool and its declaration as a `Tool` that the dispatcher runs
    servers       all servers of a process, and which agent is offered what

Nothing that a server says gives it more than its declaration in the configuration does: not a level, not a name, not
the right to act. The SDK is optional (`pip install "talkspurt[mcp]"`): only `connection` and what it imports need it.
"""

from talkspurt.mcp.servers import McpServers

__all__ = ["McpServers"]
