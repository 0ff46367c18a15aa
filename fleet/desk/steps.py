"""Where an employee at the desk is, for the operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """What happens at the desk now."""

    AGREE = "agree"
    SIGN = "sign"
    SIGN_IN = "sign_in"
    NOT_SIGNED_IN = "not_signed_in"
    OTHER_PERSON = "other_person"
    READ = "read"
    ALLOW = "allow"
    CHALLENGE = "challenge"
    SET = "set"
    RESULT = "result"
    TROUBLE = "trouble"


@dataclass(frozen=True)
class Told:
    """A step that has begun, at a service. `sentence` tells the trouble."""

    step: Step
    service: str = ""
    sentence: str = ""


Tell = Callable[[Told], None]
