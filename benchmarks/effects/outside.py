"""A system that is not ours: it does what it is asked, counts it, and knows idempotency keys.

`DeedBook` is the system; `python -m benchmarks.effects.outside` serves one per call over HTTP, as a process that
survives its clients. A key that was used returns the first result; a key that was settled unused is closed for good.
"""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Protocol


class ClosedKeyError(Exception):
    """The key was settled as unused, so nothing was done."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that really happened."""

    kind: str
    subject: str
    cents: int
    key: str


class Outside(Protocol):
    """What a tool sees of it. Blocking, as the clock of a call stands still while it is asked."""

    def apply(self, kind: str, subject: str, *, cents: int = 0, key: str = "") -> dict[str, Any]:
        """Do it; with a key that was used, return the first result instead. Raises `ClosedKeyError`."""

    def settle(self, key: str) -> dict[str, Any] | None:
        """The result of a key; None when it was not used, and then it never can be."""

    def deeds(self) -> Sequence[Deed]:
        """All that happened, for those who look after it and for the referee."""


class DeedBook:
    """Implements `Outside` in memory."""

    def __init__(self) -> None:
        self._deeds: list[Deed] = []
        self._results: dict[str, dict[str, Any] | None] = {}

    def apply(self, kind: str, subject: str, *, cents: int = 0, key: str = "") -> dict[str, Any]:
        """Do it once per key; without a key, every time."""
        if key in self._results:
            first = self._results[key]
            if first is None:
                raise ClosedKeyError
            return first
        self._deeds.append(Deed(kind, subject, cents, key))
        result = {"status": "done", "subject": subject, "number": len(self._deeds)}
        if key:
            self._results[key] = result
        return result

    def settle(self, key: str) -> dict[str, Any] | None:
        """Look a key up, and close it if it was not used."""
        return self._results.setdefault(key, None)

    def deeds(self) -> list[Deed]:
        """All that happened."""
        return list(self._deeds)


class RemoteOutside:
    """Implements `Outside` on the server, for one call."""

    def __init__(self, port: int, call: str, reach: Callable[[str], None]) -> None:
        """`reach` is told "sent" when a request to do something is on its way and nothing has come back."""
        self._port = port
        self._call = call
        self._reach = reach

    def apply(self, kind: str, subject: str, *, cents: int = 0, key: str = "") -> dict[str, Any]:
        """Ask the server to do it."""
        answer = self._ask({"do": "apply", "kind": kind, "subject": subject, "cents": cents, "key": key}, "sent")
        if answer is None:
            raise ClosedKeyError
        return dict(answer)

    def settle(self, key: str) -> dict[str, Any] | None:
        """Ask the server what came of a key."""
        answer: dict[str, Any] | None = self._ask({"do": "settle", "key": key})
        return answer

    def deeds(self) -> list[Deed]:
        """All that happened."""
        return [Deed(**deed) for deed in self._ask({"do": "tell"}) or ()]

    def _ask(self, question: dict[str, Any], point: str = "") -> Any:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", f"/{self._call}", json.dumps(question))
            if point:
                self._reach(point)
            response = connection.getresponse()
            if response.status != 200:
                raise OSError(f"the outside system answers {response.status}")
            return json.loads(response.read())
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    books: Final[dict[str, DeedBook]] = {}
    lock: Final = threading.Lock()

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            answer = self._answer(self.books.setdefault(self.path, DeedBook()), question)
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, book: DeedBook, question: dict[str, Any]) -> Any:
        what = question.pop("do")
        if what == "apply":
            try:
                return book.apply(question.pop("kind"), question.pop("subject"), **question)
            except ClosedKeyError:
                return None
        return book.settle(question["key"]) if what == "settle" else [asdict(deed) for deed in book.deeds()]

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in the middle of a request is nothing to report."""


def main() -> None:
    """Serve on a free port of this machine, which is the only line printed."""
    server = _Server(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
