"""The protocol of the agent's socket: one JSON object per line, each way. The role's action plugin uses it, too.

    {"v": 1, "op": "ready"}                          -> {"v": 1, "run": ID, "visiting": N, "workers": [NAME, ...],
                                                         "told": [STEP, ...]}  what happened at the desk (steps.py)
    {"v": 1, "op": "visit", "employee": NAME}        -> {"v": 1, "task": {"changed": …, "outcomes": [...], ...}}
    {"v": 1, "op": "alive"}                          -> {"v": 1}, at once, also while the run is opening
    {"v": 1, "op": "finish"}                         -> {"v": 1, "run": ID, "counts": {...}, "log": PATH, "told": [...]}
    {"v": 1, "op": "act", "act": {"act": ACT, ...}}  -> {"v": 1, ...}  for a command that found the log locked (acts.py)
    {"v": 1, "op": "loopback"}                       -> {"v": 1, "loopback": [ADDRESS, ...]}
    {"v": 1, "op": "work", "worker": NAME, "ways": {ADDRESS: ADDRESS}}  and from then on as in json_rpc.py
    {"v": 1, "op": "assign", "worker": NAME, "employees": [NAME, ...]}  -> {"v": 1, "socket": PATH}

Any answer may be {"v": 1, "error": SENTENCE, "exit_code": N} instead. Requests contain names
and no secrets; `act` also contains what a command of the same user would write into the state itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fleet.model import Result, control_name
from fleet.next_steps import next_step

VERSION: Final = 1
MAX_MESSAGE: Final = 16 * 1024 * 1024


def result_fields(result: Result) -> dict[str, Any]:
    """Return one result as Ansible and --output json show it."""
    return {
        "employee": result.employee,
        "service": result.service,
        "control": result.control,
        "outcome": result.outcome,
        "before": result.before,
        "after": result.after,
        "reason": result.reason,
        "next": next_step(result),
        "attested_on": result.attested_on.isoformat() if result.attested_on else None,
        "duration_ms": result.duration_ms,
    }


def task_fields(employee: str, results: Sequence[Result]) -> dict[str, Any]:
    """Return the result of an employee's task for Ansible."""
    return {
        "changed": any(result.outcome.is_changed for result in results),
        "failed": any(result.outcome.is_failed for result in results),
        "msg": " ".join(map(_sentence, results)) or f"Nothing is planned for {employee}.",
        "outcomes": [result_fields(result) for result in results],
    }


def _sentence(result: Result) -> str:
    name = control_name(result.service, result.control, result.employee)
    reason, step = f" ({result.reason})" if result.reason else "", next_step(result)
    return f"{name}: {result.outcome}{reason}." + (f" {step}" if step else "")
