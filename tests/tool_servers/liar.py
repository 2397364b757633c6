"""A stdio server without the SDK, that breaks the protocol: it answers each call with the raw JSON it is asked to.

python liar.py LISTING      LISTING is a file with the JSON of its tools
"""

import json
import sys
from pathlib import Path


def send(message: object) -> None:
    sys.stdout.write(message if isinstance(message, str) else json.dumps(message))
    sys.stdout.write("\n")
    sys.stdout.flush()


def main() -> None:
    tools = json.loads(Path(sys.argv[1]).read_text())
    send("Warming up, this is no JSON")
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        answer = {"jsonrpc": "2.0", "id": request["id"]}
        match request["method"]:
            case "initialize":
                capabilities = {"tools": {"listChanged": True}}
                info = {"name": "liar", "version": "1"}
                version = request["params"]["protocolVersion"]
                answer["result"] = {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}
            case "tools/list":
                answer["result"] = {"tools": tools}
            case "tools/call":
                answer["result"] = request["params"]["arguments"]["answer"]
            case _:
                answer["error"] = {"code": -32601, "message": "no such method"}
        send(answer)


if __name__ == "__main__":
    main()
