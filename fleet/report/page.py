"""The report of one run as one HTML file: no network, no third-party code, all outside content escaped."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from fleet import __version__
from fleet.audit.evidence import EvidenceKind, read_evidence
from fleet.audit.pseudonyms import Subject
from fleet.audit.run_state import ControlKey, RunState
from fleet.model import Outcome, Reason, Result
from fleet.next_steps import next_step
from fleet.paths import StateDir
from fleet.recipes.catalog import Catalog
from fleet.report.rendering import SHADES, asset, digest, shade, templates
from fleet.report.translations import Translator

MAX_PICTURE_BYTES = 12 * 1024 * 1024
"""Maximum of embedded evidence in bytes; controls that are not done come first, and the report counts the rest."""


@dataclass(frozen=True)
class Line:
    """One planned control in the report."""

    employee: str
    control: str
    service: str
    result: Result
    step: str | None
    seq: int | None
    label: str
    """The service's label for the control, if it is not one of the recipe's names."""
    pictures: tuple[tuple[str, str], ...]
    """Key of each picture in the evidence, and what it shows (`before` or `after`)."""

    @property
    def shade(self) -> str:
        """The row's style class."""
        return shade(self.result)


@dataclass(frozen=True)
class Todo:
    """What one person must do."""

    employee: str
    steps: tuple[tuple[str, str], ...]
    """Controls and sentences."""


@dataclass(frozen=True)
class Bar:
    """One service's bar in the coverage chart."""

    service: str
    total: int
    parts: tuple[tuple[str, int, float], ...]
    """Shade, count and share."""


def render_report(
    run_state: RunState,
    started: Mapping[str, Any],
    subjects: Mapping[str, Subject],
    state: StateDir,
    catalog: Catalog,
    checkpoint: str,
    words: Translator,
) -> str:
    """Return the page. `started` is the run's first record, `checkpoint` the log's newest, empty if there is none."""
    names = {subject.pseudonym: name for name, subject in subjects.items()}
    evidence = Evidence(state, run_state, {subject.pseudonym: subject for subject in subjects.values()})
    lines = list(_lines(run_state, names, catalog, evidence, words))
    outcomes = Counter(line.result.outcome for line in lines)
    shades = Counter(line.shade for line in lines)
    template = templates(words, is_page=True).get_template("report.html.j2")
    style, script = (asset(name) for name in ("report.css", "report.js"))
    return template.render(
        run=run_state.run,
        started=started,
        started_at=words.moment(datetime.fromisoformat(started["at"])),
        finished_at=words.moment(datetime.fromisoformat(run_state.finished_at)) if run_state.finished_at else None,
        lines=lines,
        outcomes=[(outcome, outcomes[outcome]) for outcome in Outcome if outcomes[outcome]],
        shades=shades,
        bars=list(_bars(lines)),
        todos=list(_todos(lines)),
        services=sorted({line.service for line in lines}),
        evidence=_embedded(evidence.embedded),
        left_out=evidence.left_out,
        checkpoint=checkpoint,
        version=__version__,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        policy=f"default-src 'none'; img-src data:; style-src '{digest(style)}'; script-src '{digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
    )


class Evidence:
    """The pictures of a run: only those whose digest is recorded, and only as many as a report may embed."""

    def __init__(self, state: StateDir, run_state: RunState, subjects: Mapping[str, Subject]) -> None:
        self._folder = state.evidence / run_state.run
        self._run_state = run_state
        self._subjects = subjects
        self._room = MAX_PICTURE_BYTES
        self.embedded: dict[str, str] = {}
        self.left_out = 0

    def of(self, key: ControlKey) -> tuple[tuple[str, str], ...]:
        """Embed the pictures of a control and return their keys."""
        found = []
        recorded = (
            ("before", EvidenceKind.BEFORE, self._run_state.intended),
            ("after", EvidenceKind.AFTER, self._run_state.finished),
        )
        for moment, kind, records in recorded:
            picture = self._read(key, kind, records[key]["evidence"] if key in records else None)
            if picture is None:
                continue
            if len(picture) > self._room:
                self.left_out += 1
                continue
            self._room -= len(picture)
            name = f"{len(self.embedded)}"
            self.embedded[name] = base64.b64encode(picture).decode()
            found.append((name, moment))
        return tuple(found)

    def label_of(self, key: ControlKey) -> str:
        """Return the service's label for a control if it was kept, else an empty string."""
        kept = self._read(
            key, EvidenceKind.LABEL, self._run_state.finished[key]["label"] if key in self._run_state.finished else None
        )
        return kept.decode("utf-8", "replace") if kept else ""

    def _read(self, key: ControlKey, kind: EvidenceKind, digest: str | None) -> bytes | None:
        subject, service, control = key
        return read_evidence(self._folder, self._subjects.get(subject), service, control, kind, digest)


def _lines(
    run_state: RunState,
    names: Mapping[str, str],
    catalog: Catalog,
    evidence: Evidence,
    words: Translator,
) -> Iterator[Line]:
    keys = list(run_state.keys())
    # Of an unfinished run, no more is known.
    results = catalog.named(run_state.results(names, absent=Reason.AGENT_ENDED))
    # Controls that are not done first: their pictures matter most.
    pictures: dict[ControlKey, tuple[tuple[str, str], ...]] = {}
    for key, _ in sorted(zip(keys, results, strict=True), key=lambda each: -each[1].exit_code):
        pictures[key] = evidence.of(key)
    for key, result in zip(keys, results, strict=True):
        finished = run_state.finished.get(key)
        yield Line(
            employee=result.employee,
            control=result.control or "",
            service=result.service_name or result.service or words("unreadable account"),
            result=result,
            step=next_step(result, words),
            seq=finished["seq"] if finished else None,
            label=evidence.label_of(key),
            pictures=pictures[key],
        )


def _bars(lines: Iterable[Line]) -> Iterator[Bar]:
    by_service: dict[str, Counter[str]] = {}
    for line in lines:
        by_service.setdefault(line.service, Counter())[line.shade] += 1
    for service, counts in sorted(by_service.items()):
        total = counts.total()
        yield Bar(service, total, tuple((shade, counts[shade], counts[shade] / total) for shade in SHADES.values()))


def _todos(lines: Iterable[Line]) -> Iterator[Todo]:
    steps: dict[str, dict[tuple[str, str], None]] = {}
    for line in lines:
        if line.step and not line.result.is_done:
            steps.setdefault(line.employee, {})[f"{line.service} {line.control}".strip(), line.step] = None
    for employee, each in steps.items():
        yield Todo(employee, tuple(each))


def _embedded(pictures: Mapping[str, str]) -> Markup:
    """Return base64 data by key as JSON that no `</script>` can end."""
    return Markup(json.dumps(pictures))  # noqa: S704 - digits and base64 alone
