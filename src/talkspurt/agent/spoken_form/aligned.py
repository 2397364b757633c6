"""A text that remembers where each of its characters was written, however it is rewritten."""

import re
from collections.abc import Callable, Iterable


class AlignedText:
    """`text`, and for each of its characters the index in the original that it stands for (rising)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.origins = list(range(len(text)))

    def keep(self, pattern: re.Pattern[str]) -> None:
        """Of every match, keep what its group `keep` matched and drop the rest."""
        kept: list[range] = []
        at = 0
        for match in pattern.finditer(self.text):
            kept += (range(at, match.start()), range(*match.span("keep")))
            at = match.end()
        if kept:
            self._take((*kept, range(at, len(self.text))))

    def drop(self, pattern: re.Pattern[str]) -> None:
        """Remove every match."""
        self.put(pattern, lambda _: "")

    def put(self, pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str]) -> None:
        """Replace every match; what it is replaced by stands where the match began."""
        parts: list[str] = []
        origins: list[int] = []
        at = 0
        for match in pattern.finditer(self.text):
            new = replacement(match)
            parts += (self.text[at : match.start()], new)
            origins += self.origins[at : match.start()]
            origins += [self.origins[match.start()]] * len(new)
            at = match.end()
        if parts:
            self.text = "".join((*parts, self.text[at:]))
            self.origins = origins + self.origins[at:]

    def only(self, wanted: Callable[[str], bool]) -> None:
        """Drop every character that is not `wanted`."""
        if not all(map(wanted, self.text)):
            self._take(range(at, at + 1) for at, character in enumerate(self.text) if wanted(character))

    def _take(self, spans: Iterable[range]) -> None:
        spans = tuple(spans)
        self.text = "".join(self.text[span.start : span.stop] for span in spans)
        self.origins = [self.origins[at] for span in spans for at in span]
