"""The words on the agent's socket: one JSON object a line, each way. The role's action plugin speaks it, too.

    {"v": 1, "op": "ready"}                          -> {"v": 1, "run": ID, "visiting": N, "workers": [NAME, ...]}
    {"v": 1, "op": "visit", "employee": NAME}        -> {"v": 1, "task": {"changed": …, "outcomes": [...], ...}}
    {"v": 1, "op": "alive"}                          -> {"v": 1}, at once, also while the run is being opened
    {"v": 1, "op": "finish"}                         -> {"v": 1, "run": ID, "counts": {...}, "log": PATH}
    {"v": 1, "op": "act", "act": {"act": ACT, ...}}  -> {"v": 1, ...}  for a command that found the log locked (acts.py)
    {"v": 1, "op": "loopback"}                       -> {"v": 1, "loopback": [ADDRESS, ...]}
    {"v": 1, "op": "work", "worker": NAME, "ways": {ADDRESS: ADDRESS}}  and from then on as channel.py has it
    {"v": 1, "op": "assign", "worker": NAME, "employees": [NAME, ...]}  -> {"v": 1, "socket": PATH}

Any answer may be {"v": 1, "error": SENTENCE, "exit_code": N} instead. Names only go in, no secret; with
`act` also what a command of the same user would write into the state itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from fleet.model import Result, control_name
from fleet.next_steps import next_step

VERSION: Final = 1
MAX_MESSAGE: Final = 16 * 1024 * 1024


def result_fields(result: Result) -> dict[str, Any]:
    """One result as it appears to Ansible, in --output json, and to everything that reads either."""
    return {
        "employee": result.employee,
        "service": result.service,
        "control": result.control,
        "outcome": result.outcome,
        "before": result.before,
        "after": result.after,
        "reason": result.reason,
        "next": next_step(result),
        "duration_ms": result.duration_ms,
    }


def task_fields(employee: str, results: Sequence[Result]) -> dict[str, Any]:
    """What Ansible is told of an employee's task."""
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
