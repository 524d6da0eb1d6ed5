"""Every error raised on purpose, classed by what the caller may do next.

    DaemonError
    ├── OperatorError            a person can mend it; carries its sentence and exit code
    │   ├── UsageError       2   the command or a file was written wrongly
    │   ├── Refused          3   understood, and not allowed in this state
    │   ├── Denied           4   not allowed for this caller
    │   ├── NotFound         5   no such account, release, record …
    │   ├── TimedOut         7   it was asked, and no answer came in time
    │   └── NotReachable     8   nobody listens there: nothing was asked
    ├── BrokerUnavailable        nothing was sent: try again
    ├── BrokerRefused            the broker said no: do not try again as it is
    ├── OutcomeUnknown           it may have happened: look before acting
    ├── FencedOut                a newer epoch exists: stop at once
    ├── JournalAway              the journal is gone: what was asked may be stored or not
    └── Malformed                these bytes are not what was agreed: refuse them

Expected outcomes are values, never one of these.
"""

from __future__ import annotations


class DaemonError(Exception):
    """The root: raised by this program on purpose."""


class OperatorError(DaemonError):
    """A person can mend it. `sentence` is what they read, `exit_code` what a script sees."""

    exit_code: int = 1

    def __init__(self, sentence: str, exit_code: int | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        if exit_code is not None:
            self.exit_code = exit_code


class UsageError(OperatorError):
    """The command or a file was written wrongly."""

    exit_code = 2


class Refused(OperatorError):
    """Understood, and not allowed in this state."""

    exit_code = 3


class Denied(OperatorError):
    """Not allowed for this caller."""

    exit_code = 4


class NotFound(OperatorError):
    """What was named does not exist."""

    exit_code = 5


class TimedOut(OperatorError):
    """It was asked, and no answer came in time: it may still happen."""

    exit_code = 7


class NotReachable(OperatorError):
    """Nobody listens there: nothing was asked."""

    exit_code = 8


class BrokerUnavailable(DaemonError):
    """Nothing was sent: try again."""


class BrokerRefused(DaemonError):
    """The broker answered no; `code` is its own number, 0 where it gave none."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"the broker refused: {text} (code {code})")
        self.code = code
        self.text = text


class OutcomeUnknown(DaemonError):
    """It may have happened: look before acting."""


class FencedOut(DaemonError):
    """A newer epoch exists: stop at once."""


class JournalAway(DaemonError):
    """The journal is gone: what was asked of it may be stored or not."""


class Malformed(DaemonError):
    """Bytes or frames that are not what was agreed."""
