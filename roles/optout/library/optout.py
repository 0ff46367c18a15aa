# SPDX-License-Identifier: GPL-3.0-or-later
# Documentation only: the action plugin of the same name does the work.

DOCUMENTATION = r"""
module: optout
short_description: Opt one employee out of the controls declared in the services' recipes
description:
  - Runs on the controller as an action plugin; no connection to a host is made.
  - Each inventory host is an employee. The agent of Fleet Opt-Out visits the employee's accounts in a browser,
    changes only the declared controls, loads each page again and reads them back.
  - Accounts, mandates and waivers are read by the agent from the inventory itself, never from task arguments.
  - In check mode nothing is changed; controls that would be changed are reported as C(would_opt_out).
options: {}
author: [Fleet Opt-Out]
"""

EXAMPLES = r"""
- name: Opt out every employee of the play
  optout:
"""

RETURN = r"""
outcomes:
  description: One entry for each planned control of the employee.
  returned: always
  type: list
  elements: dict
  sample:
    - {employee: anna.keller, service: linkedin, control: ai_training, outcome: opted_out, before: in, after: out,
       reason: null, next: null, duration_ms: 2140}
"""
