"""A run as JUnit XML for CI servers: one case per employee × control.

The format is what Jenkins, GitLab and GitHub's reporters agree on (https://github.com/testmoapp/junitxml): `failure`
for an unwanted result, `error` for a missing one.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from xml.etree import ElementTree

from fleet.authority.waivers import Waiver
from fleet.inventory.employee import Employee
from fleet.model import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_NOT_PROVED, FAILING, Outcome, Result, control_name
from fleet.next_steps import next_step
from fleet.run.run_report import RunReport

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters not allowed in an XML 1.0 document (https://www.w3.org/TR/xml/#charsets)."""


def junit(report: RunReport, employees: Iterable[Employee] = ()) -> str:
    """Return the report as one document.

    A control that needs a person or is still in is a failure; one that could not be read or set, or was never reached,
    is an error. A waived one is skipped, with its waiver from `employees`, and so is one that --fail-on excludes. Each
    error of the tool itself is an error too, so that a run that never began is not green.
    """
    suite = ElementTree.Element("testsuite", name="fleet run")
    waivers = {employee.name: employee.waivers for employee in employees}
    for result in report.results:
        suite.append(_case(result, waivers.get(result.employee, ()), report.fail_on))
    for sentence in report.errors:
        case = _element("testcase", classname="fleet", name="run", time="0")
        kind = {EXIT_BAD_INPUT: "bad_input", EXIT_INTERRUPTED: "interrupted"}.get(report.exit_code, "tool_failed")
        case.append(_element("error", type=kind, message=sentence))
        suite.append(case)
    if report.started_at:
        suite.set("timestamp", report.started_at)
    totals = {
        "tests": len(suite),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    root = ElementTree.Element("testsuites", name="fleet run")
    for element in (root, suite):
        for name, count in totals.items():
            element.set(name, str(count))
        element.set("time", f"{sum(result.duration_ms for result in report.results) / 1000:.3f}")
    if report.run_id:
        properties = ElementTree.Element("properties")
        properties.append(_element("property", name="run", value=report.run_id))
        properties.append(_element("property", name="check", value=str(report.check).lower()))
        suite.insert(0, properties)
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(result: Result, waivers: Iterable[Waiver], fail_on: Container[Outcome]) -> ElementTree.Element:
    case = _element(
        "testcase",
        classname=result.employee,
        name=control_name(result.service, result.control, "(unreadable account)"),
        time=f"{result.duration_ms / 1000:.3f}",
    )
    outcome = result.outcome
    step = next_step(result) or ""
    said = ": ".join(filter(None, (outcome.value.replace("_", " "), step)))
    if outcome.is_excused:
        agreed = (w for w in waivers if w.service == result.service and w.control in (None, result.control))
        because = [f"{waiver.rationale} ({waiver.owner}, until {waiver.expires_on})" for waiver in agreed]
        case.append(_element("skipped", message=": ".join([said, *because[-1:]])))
    elif result.is_done and not outcome.is_done:
        case.append(_element("skipped", message=f"{said} (accepted: {result.accepted_by})"))
    elif outcome in FAILING and outcome not in fail_on:
        case.append(_element("skipped", message=f"{said} (not counted: --fail-on does not name {outcome})"))
    elif not result.is_done:
        kind = "error" if outcome.exit_code == EXIT_NOT_PROVED else "failure"
        case.append(_element(kind, type=result.reason or outcome, message=said))
    return case


def _element(tag: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.Element(tag, {name: _NO_XML.sub("\ufffd", value) for name, value in attributes.items()})
