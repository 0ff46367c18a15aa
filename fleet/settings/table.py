"""Every setting, declared once: the source of fleet.yml, environment, options, role variables and docs/reference.md.

To add a setting, add one entry to SETTINGS; if a run acts on it, add a field of the same name to `Settings`
(resolve.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field

from fleet.browser.network import parse_resolve, parse_spki
from fleet.notify.targets import DEFAULT_SMTP, parse_smtp, parse_target
from fleet.paths import default_identity, default_log_key, default_state
from fleet.settings.fail_on import parse_fail_on
from fleet.settings.hours import Hours
from fleet.settings.setting import Option, Parser, Setting
from fleet.settings.values import (
    Address,
    AttestationPolicy,
    BreakerLimits,
    Closed,
    Desk,
    Forks,
    HoursText,
    MandatePolicy,
    Name,
    PathText,
    Pause,
    PortalSite,
    Retention,
    Switch,
)
from fleet.ssh import parse_workers


def _each(parse: Callable[[str, str], Any]) -> Parser:
    return lambda values, source: tuple(parse(value, source) for value in values)


def _option(*flags: str, metavar: str | None = None) -> Option:
    return Option(flags, metavar)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "inventory",
        PathText,
        "Ansible inventory of the employees.",
        option=_option("-i", "--inventory", metavar="INVENTORY"),
        is_list=True,
        default=tuple,
    ),
    Setting(
        "state",
        PathText,
        "State directory, made by `fleet init`.",
        option=_option("--state", metavar="DIR"),
        environment="FLEET_STATE",
        in_role=True,
        is_path=True,
        default=default_state,
        default_text="~/.local/state/fleet",
    ),
    Setting(
        "identity",
        PathText,
        "File with the age identity that opens sessions.",
        option=_option("--identity", metavar="FILE"),
        environment="FLEET_IDENTITY",
        in_role=True,
        is_path=True,
        default=default_identity,
        default_text="~/.config/fleet/identity.txt",
    ),
    Setting(
        "log_key",
        PathText,
        "File with the private key that signs the audit log.",
        option=_option("--log-key", metavar="FILE"),
        environment="FLEET_LOG_KEY",
        in_role=True,
        is_path=True,
        default=default_log_key,
        default_text="~/.config/fleet/log-key.pem",
    ),
    Setting(
        "recipes",
        PathText,
        "Folder with your own recipes, used in addition to the catalog.",
        option=_option("--recipes", metavar="DIR"),
        in_role=True,
        is_list=True,
        is_path=True,
        default=tuple,
    ),
    Setting(
        "services",
        Name,
        "Visit only this service.",
        option=_option("--service", metavar="SERVICE"),
        in_role=True,
        is_list=True,
        default=tuple,
    ),
    Setting(
        "controls",
        Name,
        "Visit only this control, such as `ai_training` or `linkedin.ai_training`.",
        option=_option("--control", metavar="CONTROL"),
        in_role=True,
        is_list=True,
        default=tuple,
    ),
    Setting(
        "forks",
        Forks,
        "Number of accounts to visit in parallel.",
        option=_option("-f", "--forks", metavar="N"),
        in_role=True,
        default=lambda: 8,
    ),
    Setting(
        "workers",
        Address,
        "Machine to visit accounts from, over SSH, instead of this one: `[USER@]HOST`.",
        "See [workers.md](workers.md).",
        option=_option("--worker", metavar="HOST"),
        is_list=True,
        default=tuple,
        parse=parse_workers,
    ),
    Setting(
        "resolve",
        Name,
        "Connect to a loopback address in place of a host, as `HOST:PORT=127.0.0.1:8443`.",
        "Such connections never use the proxy.",
        option=_option("--resolve", metavar="HOST=ADDR"),
        in_role=True,
        is_list=True,
        default=tuple,
        parse=_each(parse_resolve),
    ),
    Setting(
        "trust_spki",
        Name,
        "Trust the TLS certificate with this public key (base64 SHA-256).",
        option=_option("--trust-spki", metavar="HASH"),
        in_role=True,
        is_list=True,
        default=tuple,
        parse=_each(parse_spki),
    ),
    Setting(
        "proxy",
        Name,
        "Forward proxy, `http://HOST:PORT` or `https://HOST:PORT`, without user and password.",
        "Visits ignore proxies named in the environment.",
        option=_option("--proxy", metavar="URL"),
        in_role=True,
    ),
    Setting(
        "proxy_credentials",
        PathText,
        "Private file (mode 0600) with `user:password` for the proxy (Basic authentication).",
        is_path=True,
    ),
    Setting(
        "breaker",
        BreakerLimits,
        "Circuit breaker: stop visiting a service that challenges accounts or whose page has changed.",
        "A run stops visiting a service once, among its last `visits` visits, those of that many employees were "
        "challenged, found the page changed, or got HTTP 429. `--breaker off` is accepted on loopback only.",
        option=Option(("--breaker",), type=Switch, default=Switch.ON),
        default=BreakerLimits,
        parse=lambda value, _source: None if value == Switch.OFF else value,
    ),
    Setting(
        "pause",
        Pause,
        "Seconds between two visits to one live service, drawn at random; at least 5.",
        "With `services: {jira: {shortest: 1, longest: 3}}` a service has its own pause. A service whose recipe says "
        "`automation: allowed` has no pause unless it is listed there, and only such a service may have less than 5. "
        "Accounts that are not visited (no session, no mandate) cause no pause.",
        default=Pause,
    ),
    Setting(
        "hours",
        dict[Name, HoursText],
        "Hours in which visits to a live service may begin, such as `{linkedin: 08:00-18:00}`; default: any time.",
        "In the local time of the machine that runs `fleet` (`TZ`); they may span midnight. Outside these hours a run "
        "reports that it waits, and visits the other services meanwhile.",
        default=dict,
        parse=lambda value, _source: {service: Hours.parse(text) for service, text in value.items()},
    ),
    Setting(
        "notify",
        Address,
        "Send a summary (counts only) to a webhook, `mailto:` address or Apprise URL.",
        "Plain `ansible-playbook` sends no notifications.",
        option=_option("--notify", metavar="URL"),
        is_list=True,
        default=tuple,
        parse=_each(parse_target),
    ),
    Setting(
        "notify_file",
        PathText,
        "Private file (mode 0600) with more URLs to notify, one per line; they may hold passwords.",
        option=_option("--notify-file", metavar="FILE"),
        is_path=True,
    ),
    Setting(
        "smtp",
        Name,
        "`HOST:PORT` of the mail server for `mailto:` addresses.",
        default=lambda: DEFAULT_SMTP,
        parse=parse_smtp,
    ),
    Setting(
        "fail_on",
        Name,
        "Fail the run only for these outcomes, such as `would_opt_out,not_saved`, or their exit codes (3, 4, 5).",
        "Other outcomes count as success; 1, 2 and 130 always count. Plain `ansible-playbook` ignores it.",
        option=_option("--fail-on", metavar="OUTCOME"),
        is_list=True,
        default=tuple,
        default_text="all that are not done",
        parse=parse_fail_on,
    ),
    Setting(
        "terms_accepted",
        dict[Name, Name],
        "Per service: reference of your decision to accept that its terms forbid automation.",
        default=dict,
    ),
    Setting(
        "personal_sessions",
        dict[Name, Name],
        "Per service: reference of your decision to use stored sessions of personal accounts.",
        default=dict,
    ),
    Setting(
        "inbox",
        PathText,
        "Folder to which the employees' portal writes what they did. A revocation counts as soon as its file is there; "
        "`fleet portal ingest` takes in the rest.",
        "While the folder cannot be read, no mandate counts.",
        is_path=True,
    ),
    Setting(
        "attestation",
        dict[Name, AttestationPolicy],
        "Per service: how far to trust employees' own statements, as `{linkedin: {accepted_by: REF, for_days: 180}}`.",
        "A statement counts for `for_days` days (180). With `accepted_by`, the reference of your decision, `attested` "
        "is done (exit code 0) for as long; without it, a person must act (3).",
        default=dict,
    ),
    Setting(
        "closed",
        Closed,
        "`ok` counts a control that its employee leaves as it is as done (exit code 0, not 3).",
    ),
    Setting(
        "mandates",
        MandatePolicy,
        "Which mandates count, as `{assurance: oidc}`: this assurance and stronger ones.",
        "Strongest first: `oidc`, `oidc_session`, `desk`, `claimed`. By default all count but `oidc_session`. "
        "See [portal.md](portal.md).",
        default=MandatePolicy,
    ),
    Setting(
        "retention",
        Retention,
        "Days to keep what `fleet audit prune` deletes, as `{pictures: 90, tokens: 400}`; by default nothing expires.",
        "`pictures` and unknown labels go so many days after their run began; `tokens`, the ID tokens that prove "
        "mandates, so many days after they were signed, and as long after their arrival the acts in `portal/done` and "
        "`portal/refused`. A mandate without its token counts as before.",
        default=Retention,
    ),
    Setting(
        "everybody",
        Name,
        "Services at which every employee is planned, such as `[linkedin]`, without a profile in the inventory.",
        "Employees enter their profile in the portal when they give a mandate.",
        is_list=True,
        default=tuple,
    ),
    Setting(
        "portal",
        PortalSite,
        "The employees' portal: address, contact, sign-in and approved texts. See [portal.md](portal.md).",
    ),
    Setting(
        "portal_data",
        PathText,
        "Folder with what the portal may show.",
        is_path=True,
    ),
    Setting(
        "mandate_texts",
        PathText,
        "Folder with the texts of mandates, one `mandate.LANGUAGE.txt` each.",
        is_path=True,
    ),
    Setting(
        "desk",
        Desk,
        "Countries in which employees may use the desk for their personal accounts, as `{countries: [DE, FR, US-NY]}`.",
        "Codes of ISO 3166, compared with `fleet_country`: `DE` covers `DE-BY`, `US` all its states. Some laws forbid "
        "an employer even to ask (California); ask your counsel. Accounts of the organization need no country.",
        default=Desk,
    ),
    Setting(
        "sandbox",
        bool,
        "`false` runs Chromium without its sandbox, which a live run as root needs; requires `accepted_by`.",
        default=lambda: True,
    ),
    Setting("accepted_by", Name, "Name of the person who accepted the risk of `sandbox: false`."),
)
"""In the order of the documentation."""

SELECTION: tuple[Setting, ...] = (
    Setting(
        "new",
        bool,
        "Visit only controls that no run has done yet; runs in check mode do not count.",
        "A control that was waived is new again once its waiver has ended.",
        option=_option("--new"),
        in_role=True,
    ),
    Setting(
        "only_failed",
        str,
        "Visit only controls that were not done in this run (a run id, or 'last').",
        option=_option("--only-failed", metavar="RUN"),
        in_role=True,
    ),
    Setting(
        "stale",
        Annotated[int, Field(ge=0, le=36500)],
        "Visit only controls that were last read more than this many days ago.",
        option=_option("--stale", metavar="DAYS"),
        in_role=True,
    ),
    Setting(
        "accept_shrink",
        bool,
        "Run even if half or more of the last run's employees are missing from the inventory.",
        option=_option("--accept-shrink"),
        in_role=True,
    ),
)
"""Settings of a single run: options and role variables, never in fleet.yml."""


def setting_named(name: str) -> Setting:
    """Return the setting of this name, in fleet.yml or of one run."""
    return next(setting for setting in (*SETTINGS, *SELECTION) if setting.name == name)
