"""Keypad digits become one entry: ended by `#`, by a pause, or by length; `*` starts again."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Digits:
    """What has been typed so far, and when the last key was pressed."""

    typed: str = ""
    at: float = 0.0
    complete: bool = False

    def press(self, digit: str, now: float, longest: int) -> "Digits":
        """Return the entry after one more key; anything that is no key changes nothing."""
        if digit == "#":
            return replace(self, at=now, complete=True)
        if digit == "*":
            return Digits(at=now)
        if len(digit) != 1 or digit not in "0123456789ABCD":
            return self
        typed = self.typed + digit
        return Digits(typed, now, complete=len(typed) >= longest)
