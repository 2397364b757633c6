"""Why a tool call ends without a result: a kind for the model, and a short fact that it can tell the caller."""

import traceback
from typing import Final

from talkspurt.effects.content import ErrorKind, error_content

UNVERIFIED: Final = "The caller has to be verified first."
EXHAUSTED: Final = "I couldn't verify that, and there are no more tries on this call."
LOCKED: Final = "There were too many failed tries for this account today. A person has to help."
OTHER_ACCOUNT: Final = "That is another account than the verified one. I can only help with the verified account."
NO_OTHER_ACCOUNT: Final = "I can't serve another account in this call. Somebody else would have to call us themselves."
TOO_OFTEN: Final = "That has been done as often as it may be for now."
NOT_SAID: Final = "I may only use what the caller said themself here. Ask the caller to say the {}."
TOO_SLOW: Final = "That took too long."
FAILED: Final = "Something went wrong on our side."
IN_DOUBT: Final = "I can't be sure that this went through, so I won't try it again. A colleague has to check."
CHECKING: Final = (
    "It isn't certain yet whether this was done. It is being checked, and I won't do it again until I know."
)
UNDER_WAY: Final = (
    "This is being done just now. Ask for a moment's patience and don't ask for it again: what came of it will be told."
)
NOT_DONE_AFTER_ALL: Final = "By now it is certain that this was not done. Ask whether the caller still wants it."
NOT_YOURS: Final = "The verified account has changed since, so I can't say what came of that."
NOT_OPEN: Final = "There is nothing to confirm any more. Nothing was changed just now."
NOT_HEARD: Final = "The caller has not heard what would be done. Nothing was changed."
NOT_DONE: Final = (
    "The connection broke before this was done. Nothing was changed: ask whether the caller still wants it."
)
TOO_MUCH: Final = "That is too much to read to the caller in one go. Nothing was changed: do it in smaller parts."
CALLER_CHANGED: Final = "The verified account has changed since. Nothing was changed."


class NotDoneError(Exception):
    """Why a tool call ends without a result, as the model is told."""

    def __init__(self, kind: ErrorKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.content = error_content(kind, text)


def where(error: BaseException) -> dict[str, str]:
    """Class and place of an error for the log; its message may hold what a caller said."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "at": f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""}
