"""One guard: a piece of the source that keeps harm away, and the tests that have to notice when it is gone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Guard:
    """What is kept by `source` in `file`; `gone` is what stands there without it."""

    keeps: str
    file: str
    source: str
    gone: str
    tests: str
    needs_postgresql: bool = False

    def taken_from(self, text: str) -> str:
        """The text of `file` without the guard. Raises `LookupError` unless it is there, once."""
        if (found := text.count(self.source)) != 1:
            raise LookupError(
                f"{self.keeps}: found {found} times in {self.file}: correct its entry in benchmarks/guards"
            )
        return text.replace(self.source, self.gone)
