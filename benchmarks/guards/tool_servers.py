"""Tools of MCP servers, under the same rules."""

from typing import Final

from benchmarks.guards.guard import Guard

MCP: Final = "tests/tool_servers/test_mcp_tools.py"

GUARDS: Final = (
    Guard(
        "a server that finds fault with parameters may have acted",
        "mcp/connection.py",
        "if error.code == METHOD_NOT_FOUND:",
        "if error.code in (METHOD_NOT_FOUND, INVALID_PARAMS):",
        "tests/tool_servers/test_mcp_tools.py -k dies_or_fails",
    ),
    Guard(
        "no server can say that a request was never sent",
        "mcp/connection.py",
        "            if error.message == NEVER_SENT:\n",
        "            if error.code == -32090:\n",
        f"{MCP} -k dies_or_fails",
    ),
    Guard(
        "what a tool server would do is short enough to be heard",
        "mcp/wording.py",
        'if len(words) > MESSAGE_CHARACTERS or message(words) != " ".join(words.split()):',
        "if False:",
        "tests/tool_servers/test_mcp_read_back.py",
    ),
    Guard(
        "a tool of a server that takes an account needs a verified caller",
        "config_mcp.py",
        "if self.account_argument and not self.level:",
        "if False:",
        "tests/test_config.py",
    ),
    Guard(
        "a limit on amounts of a tool server is under no other kind of number",
        "mcp/tools.py",
        "            raise ToolError(NO_AMOUNT)",
        "            amount = 0",
        f"{MCP} -k is_limited",
    ),
    Guard(
        "a limit on the amount of a tool server's tool has an amount to limit",
        "mcp/servers.py",
        "if agent.policy.limits_amount(tool.name) and not tool.declared.amount_argument:",
        "if False:",
        f"{MCP} -k no_argument_states",
    ),
    Guard(
        "a tool server's tool has the limit that was declared",
        "mcp/tools.py",
        "            max_amount_cents=declared.max_amount_cents,\n",
        "",
        f"{MCP} -k limit_of_its_own",
    ),
    Guard(
        "what a tool server would be sent and nobody would hear is refused",
        "mcp/wording.py",
        "if unheard := heard.keys() - told:",
        "if False:",
        f"tests/tool_servers/test_mcp_read_back.py {MCP} -k 'left_out_of_the_words or not_read_back'",
    ),
    Guard(
        "a tool server that does not say has not denied it",
        "mcp/tools.py",
        "if result.is_error or not isinstance(happened, bool):",
        "if False:",
        f"{MCP} -k does_not_say",
    ),
)
