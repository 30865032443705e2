"""Error answers of the REST API.

Source: PagerDuty REST API v2, "Errors": `{"error": {"message", "code", "errors"}}`.
"""

from __future__ import annotations

from typing import Any

from resolute.simulator.pagerduty.wire import SimAnswer, json_answer


class Refused(Exception):
    """Ends a handler with an error answer; never leaves the simulator."""

    def __init__(self, status: int, code: int, message: str, *errors: str) -> None:
        super().__init__(message)
        error: dict[str, Any] = {"message": message, "code": code}
        self.answer: SimAnswer = json_answer(status, {"error": error | ({"errors": list(errors)} if errors else {})})


def invalid_input(*errors: str, code: int = 2001) -> Refused:
    """400 with code 2001, PagerDuty's most common refusal."""
    return Refused(400, code, "Invalid Input Provided" if code == 2001 else "Arguments Caused Error", *errors)


def not_found() -> Refused:
    """404 as the official schema shows it."""
    return Refused(404, 2100, "Not Found")


def needs_ability(ability: str) -> Refused:
    """402: the account's plan lacks an ability."""
    return Refused(402, 2014, "Account does not have the abilities to perform the action", ability)
