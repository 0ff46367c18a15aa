"""Creates a state directory and, outside it, the keys that open and sign its contents."""

from __future__ import annotations

from pathlib import Path

from fleet.audit.keys import create_keys
from fleet.errors import InputError
from fleet.paths import StateDir, is_there, write_private
from fleet.sessions.store import new_identity


def make_state(state: StateDir, identity: Path, log_key: Path, *, rehearsal: bool = False) -> tuple[str, str]:
    """Create the folders, the age identity and the log's key, each only if missing. Returns the public halves.

    The identity's recipient is added to those that sessions are sealed to. Raises InputError if a key would be inside
    the state directory, if an existing one cannot be used, or if the state is of the other kind (rehearsal or live).
    """
    for path, what in (
        (identity, "identity apart from the sessions it opens"),
        (log_key, "key apart from the log it signs"),
    ):
        if path.resolve().is_relative_to(state.root.resolve()):
            raise InputError(f"{path} is inside {state.root}; keep the {what}.")
    state.create(rehearsal=rehearsal)
    recipient = new_identity(identity)
    known = state.recipients.read_text("utf-8").splitlines() if is_there(state.recipients) else []
    if recipient not in known:
        write_private(state.recipients, "\n".join([*known, recipient, ""]).encode(), durable=True)
    return recipient, str(create_keys(state.audit, log_key))
