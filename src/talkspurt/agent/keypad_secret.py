"""How a tool asks for digits that only the caller may enter."""

from dataclasses import dataclass

from talkspurt.core.digits import EntryRules


@dataclass(frozen=True, slots=True)
class KeypadSecret:
    """Marks a tool's parameter as digits that the caller keys in when the model calls the tool.

        async def verify_pin(caller: Caller, pin: Annotated[str, KeypadSecret("Please key in your PIN.", length=4)])

    The digits go from the keypad to the function: not to the model, the transcript, the log or the recording.
    """

    prompt: str
    """Said to the caller before the digits are collected."""
    length: int = 0
    """The exact number of digits, which ends the entry at once; 0 when it varies."""
    shortest: int = 1
    longest: int = 32
    """With a varying length the caller ends the entry with `#` or by a pause."""

    @property
    def rules(self) -> EntryRules:
        """When the entry is whole."""
        return EntryRules(shortest=self.length or self.shortest, longest=self.length or self.longest)
