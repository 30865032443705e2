"""`Retry`: how often and how patiently a node is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from inspect import isclass

from resolute.errors import ActivityError, ProviderError


@dataclass(frozen=True)
class Retry:
    """The waits between attempts of one node; they survive restarts.

    Attributes:
        initial: wait after the first failure.
        coefficient: factor from one wait to the next.
        maximum: longest wait.
        attempts: how many attempts in all, None for no limit.
        deadline: no further attempt after this time since the node became ready, None for no limit.
        never: exception types that end the retries at once, beside errors that say so themselves.
        jitter: part of each wait drawn at random, 0 to 1; 0.5 waits between half and the whole.
    """

    initial: timedelta = timedelta(seconds=1)
    coefficient: float = 2.0
    maximum: timedelta = timedelta(seconds=60)
    attempts: int | None = 3
    deadline: timedelta | None = None
    never: tuple[type[BaseException], ...] = ()
    jitter: float = 0.0

    def problems(self) -> list[str]:
        """What is wrong with these numbers, as sentences."""
        times = {"initial": self.initial, "maximum": self.maximum, "deadline": self.deadline}
        found = [
            f"Retry({name}={value!r}) must be a timedelta: {name}=timedelta(seconds=...)."
            for name, value in times.items()
            if not isinstance(value, timedelta) and (value is not None or name != "deadline")
        ]
        if found:
            return found
        if self.initial < timedelta(0) or self.maximum < timedelta(0):
            found.append("Retry(initial=..., maximum=...) must not be negative.")
        if not _is_number(self.coefficient) or not self.coefficient >= 1:
            found.append(f"Retry(coefficient={self.coefficient!r}) must be a number from 1.")
        if self.attempts is not None and not (isinstance(self.attempts, int) and self.attempts >= 1):
            found.append(f"Retry(attempts={self.attempts!r}) must be a whole number from 1, or None for no limit.")
        if self.deadline is not None and self.deadline <= timedelta(0):
            found.append("Retry(deadline=...) must be more than nothing, or None for no limit.")
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
            found.append(f"Retry(jitter={self.jitter!r}) must be a number between 0 and 1.")
        if not isinstance(self.never, tuple) or not all(isclass(kind) for kind in self.never):
            found.append(f"Retry(never={self.never!r}) must be a tuple of exception classes: never=(ValueError,).")
        return found

    def is_permanent(self, error: BaseException) -> bool:
        """Whether this error ends the retries at once."""
        if isinstance(error, ActivityError | ProviderError) and error.permanent:
            return True
        return isinstance(error, self.never)

    def wait(self, failures: int, error: BaseException, random: float) -> timedelta:
        """The wait after this many failures; a time that the error names comes first.

        Args:
            failures: failed attempts so far, 1 or more.
            random: a number from 0 to 1 for the jitter.
        """
        if isinstance(error, ActivityError | ProviderError) and error.retry_after is not None:
            return error.retry_after
        return self.backoff(failures, random)

    def backoff(self, failures: int, random: float) -> timedelta:
        """The computed wait after this many failures."""
        if not self.initial:
            return self.initial
        try:
            wait = min(self.maximum, self.initial * float(self.coefficient) ** (failures - 1))
        except OverflowError:
            wait = self.maximum
        return wait * (1 - self.jitter * random)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
