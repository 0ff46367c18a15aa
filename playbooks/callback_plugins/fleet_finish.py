# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends the run when the play has ended, so that the audit log is closed when ansible-playbook returns."""

from __future__ import annotations

import json
import socket

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: fleet_finish
type: notification
short_description: ends the Fleet Opt-Out run of a play
description: Remembers the agent named in the play's results, and ends its run when the play ends.
"""


FINISH_WITHIN = 120  # seconds for an agent to release its browsers and close the log


class CallbackModule(CallbackBase):
    """Does nothing under `fleet run`, which ends its own run: its results name no agent."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "fleet_finish"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self):
        super().__init__()
        self._agent = None

    def v2_runner_on_ok(self, result):
        self._remember(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._remember(result)

    def _remember(self, result):
        fields = getattr(result, "result", None) or result._result
        self._agent = fields.get("agent", self._agent)

    def v2_playbook_on_stats(self, stats):
        if self._agent is None:
            return
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(FINISH_WITHIN)
                connection.connect(self._agent)
                connection.sendall(b'{"v": 1, "op": "finish"}\n')
                answer = json.loads(connection.makefile("rb").readline())
        except TimeoutError:
            self._display.error(f"The agent did not close the log within {FINISH_WITHIN} s; the next run will.")
            return
        except (OSError, ValueError):
            self._display.warning("The agent ended before the play; the next run closes this one in the log.")
            return
        if "error" in answer:
            self._display.error(answer["error"])
        counts = ", ".join(f"{count} {outcome}" for outcome, count in answer.get("counts", {}).items())
        counts = counts or "nothing planned"
        self._display.display(f"Fleet Opt-Out run {answer.get('run')}: {counts}\nAudit log: {answer.get('log')}\n")
