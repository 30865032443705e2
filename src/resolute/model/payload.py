"""`Payload`: the base of models whose fields may hold references until the run fills them in."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidatorFunctionWrapHandler, field_validator

from resolute.model.reference import holds_references


class Payload(BaseModel):
    """A pydantic model that can be made with references inside: `EventLink(href=output("health.url"))`.

    A field that holds a reference is not validated when the model is made; the run validates the
    whole again once every reference is filled in.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @field_validator("*", mode="wrap")
    @classmethod
    def _let_references_pass(cls, value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        return value if holds_references(value) else validate(value)
