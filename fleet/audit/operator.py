"""Who did something on purpose: the operating system's user, and the name that sudo or AWX gives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Operator:
    """This process's user. `claimed` is unproven, and only the command knows it: an agent's environment is its own."""

    claimed: str | None

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a record that say who did it."""
        return {"operator": os.getuid(), "operator_claimed": self.claimed}
