"""Mandates that employees give themselves: what proves them is checked again, and only that counts."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from fleet.audit.segments import read_records
from fleet.authority.attestations import Attestation, Attestations
from fleet.authority.former_names import FormerNames
from fleet.authority.given import Given, GivenMandate, GivenMandates
from fleet.authority.in_force import MandateInForce, Mandates
from fleet.authority.inbox import Inbox, WithInbox
from fleet.authority.instruction import Assurance
from fleet.authority.mandates import Mandate, Revocations
from fleet.model import Reason
from fleet.paths import StateDir
from fleet.portal.published import Person, Site, file_of
from tests.commands import fleet
from tests.full_disk import NEEDS_ROOT, FullDisk
from tests.identity_provider import SUBJECT, TEXT, SigningProvider, settings_of, signing_provider, statement

pytestmark = pytest.mark.usefixtures("same_inventories")  # acts and mandates are the subject
NOW = datetime.now(UTC)
TODAY = NOW.date()


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SigningProvider, Path]]:
    folder = tmp_path_factory.mktemp("provider")
    with signing_provider(folder) as provider:
        yield provider, folder / "ca.pem"


@pytest.fixture
def provider(trusted: tuple[SigningProvider, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SigningProvider:
    """A folder with an inventory, a portal's settings and a state; the provider has the key that it began with."""
    signing, authority = trusted
    signing.__init__(signing.issuer)  # type: ignore[misc]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    hosts = {"anna": {"fleet_subject": SUBJECT}, "ben": {"fleet_subject": "ben-1"}, "carl": {}}
    Path("staff.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    Path("fleet.yml").write_text(
        "inventory: staff.yml\nstate: state\ninbox: inbox\neverybody: [linkedin]\n" + settings_of(signing)
    )
    Path("texts").mkdir()
    Path("texts/mandate.en.txt").write_text(TEXT)
    Path("inbox").mkdir()
    assert fleet("init").returncode == 0
    return signing


def later() -> int:
    """A time after everything so far, and not too far ahead for the provider's clock."""
    return int(datetime.now(UTC).timestamp()) + 200


def put(said: str, token: str, at: datetime | None = None, employee: str = "anna") -> str:
    """Write a mandate as the portal does; returns the file's name."""
    act = {"v": 1, "act": "mandate", "employee": employee, "statement": said, "id_token": token}
    act["at"] = (at or datetime.now(UTC)).isoformat()
    name = f"mandate-{secrets.token_hex(16)}.json"
    (Path("inbox") / name).write_text(json.dumps(act))
    return name


def ingest(exit_code: int = 0) -> dict[str, Any]:
    done = fleet("portal", "ingest", "--output", "json")
    assert done.returncode == exit_code, done
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def state() -> StateDir:
    return StateDir(Path("state").resolve())


def given() -> list[str]:
    return [mandate.assurance for mandate in GivenMandates(state().mandates).of("anna").mandates]


def plan() -> dict[str, tuple[str, str | None]]:
    """What a run would leave alone, and why."""
    answer = json.loads(fleet("run", "--plan", "--output", "json").stdout)
    return {one["employee"]: (one["outcome"], one["reason"]) for one in answer["left_alone"]}


class TestTakenIn:
    def test_it_counts_once_it_is_recorded(self, provider: SigningProvider) -> None:
        """With its proof beside the person, and a digest and the key's thumbprint in the log."""
        assert plan()["anna"] == ("no_mandate", "no_mandate_given")
        said = statement()
        put(said, provider.sign(provider.claims(said)))
        assert ingest()["taken"] == {"mandate": 1}
        assert given() == ["oidc"] and plan()["anna"] == ("not_permitted", "terms_forbid")
        [record] = [one for one in read_records(state().audit.log) if one["event"] == "mandate.given"]
        assert (record["controls"], record["assurance"], record["issuer"]) == (
            ["linkedin.ai_training"],
            "oidc",
            provider.issuer,
        )
        assert record["key_thumbprint"] == provider.key.thumbprint()
        assert SUBJECT not in json.dumps(record) and "anna" not in json.dumps(record)
        [text] = (state().mandates / "texts").iterdir()
        assert text.read_text() == TEXT
        shown = " ".join(fleet("audit", "show", "--employee", "anna").stdout.split())
        assert "for linkedin.ai_training" in shown and f"oidc, signed at {provider.issuer}" in shown

    @NEEDS_ROOT
    def test_a_full_disk_loses_no_mandate(self, provider: SigningProvider, tmp_path: Path) -> None:
        """It waits in the inbox, and counts for nothing, until there is room; a person who left is not shown."""
        disk = FullDisk(tmp_path / "disk")
        try:
            config = Path("fleet.yml").read_text().replace("state: state", "state: disk/state")
            Path("fleet.yml").write_text(f"{config}\nportal_data: disk/shown\n")
            assert fleet("init").returncode == fleet("portal", "publish").returncode == 0
            hosts = {"anna": {"fleet_subject": SUBJECT}}
            Path("staff.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
            said = statement()
            name = put(said, provider.sign(provider.claims(said)))
            disk.take()
            done = fleet("portal", "ingest")
            assert done.returncode in (1, 2) and "No space left on device" in " ".join(done.stderr.split())
            fleet("portal", "publish")
            shown = [Person.model_validate_json(path.read_bytes()) for path in Path("disk/shown/people").iterdir()]
            assert [(one.employee, one.mandates) for one in shown] == [("anna", ())]
            assert (Path("inbox") / name).is_file()
            disk.give_back()
            assert plan()["anna"] == ("no_mandate", "no_mandate_given")
            assert ingest()["taken"] == {"mandate": 1} and plan()["anna"] == ("not_permitted", "terms_forbid")
            assert "OK: all records are present" in " ".join(fleet("audit", "verify").stdout.split())
        finally:
            disk.remove()

    def test_whose_data_is_erased_has_given_nothing(self, provider: SigningProvider) -> None:
        """Mandate, token and act go with the person's row and key."""
        said = statement()
        put(said, provider.sign(provider.claims(said)))
        ingest()
        assert fleet("audit", "erase", "anna").returncode == 0
        assert list(state().mandates.glob("*.json")) == list(state().portal.glob("*/*.json")) == []

    def test_what_was_closed_is_open_again(self, provider: SigningProvider) -> None:
        """But not if it was closed after the mandate was given."""
        about = {"v": 1, "employee": "anna", "service": "linkedin", "control": "ai_training", "act": "close"}
        for minutes, outcome in ((-10, ("not_permitted", "terms_forbid")), (10, ("no_mandate", "closed"))):
            at = (datetime.now(UTC) + timedelta(minutes=min(minutes, 4))).isoformat()
            Path(f"inbox/close-{secrets.token_hex(16)}.json").write_text(json.dumps(about | {"at": at}))
            said = statement()
            put(said, provider.sign(provider.claims(said, iat=later() + minutes, auth_time=later())))
            ingest()
            assert plan()["anna"] == outcome


class TestPublished:
    def test_the_portal_is_given_what_it_may_show(self, provider: SigningProvider) -> None:
        """A file for each employee who can sign in, named by their subject; texts, services, and nothing secret."""
        Path("fleet.yml").write_text(Path("fleet.yml").read_text() + "portal_data: shown\n")
        said = statement()
        put(said, provider.sign(provider.claims(said)))
        ingest()
        told = fleet("portal", "publish").stdout
        assert (
            told
            == f"Published 2 employees to {Path('shown').resolve()}. 1 employee cannot sign in: no fleet_subject.\n"
        )
        site = Site.model_validate_json(Path("shown/site.json").read_text())
        assert site.texts["en"].text == TEXT and not site.services["linkedin"].may_be_mandated
        assert site.services["linkedin"].controls["ai_training"].purpose.keys() == {"en", "fr", "de", "it"}
        anna = Person.model_validate_json((Path("shown/people") / file_of(SUBJECT)).read_text())
        assert [(one.controls, one.assurance, one.is_in_force) for one in anna.mandates] == [
            (("linkedin.ai_training",), "oidc", True)
        ]
        assert (anna.employee, anna.profiles, anna.is_revoked) == ("anna", {"linkedin": "anna-keller"}, False)
        assert oct(Path("shown/site.json").stat().st_mode)[-3:] == "640"
        Path("staff.yml").write_text(json.dumps({"all": {"hosts": {"ben": {"fleet_subject": "ben-1"}}}}))
        fleet("portal", "publish")
        assert [path.name for path in Path("shown/people").iterdir()] == [file_of("ben-1")]

    def test_two_people_never_share_a_sign_in(self, provider: SigningProvider) -> None:
        """Nobody would know who agreed."""
        Path("fleet.yml").write_text(Path("fleet.yml").read_text() + "portal_data: shown\n")
        Path("staff.yml").write_text(json.dumps({"all": {"hosts": {n: {"fleet_subject": "x"} for n in ("a", "b")}}}))
        assert "a and b have the same fleet_subject" in fleet("portal", "publish").stderr
        assert not Path("shown/site.json").exists()

    @pytest.mark.parametrize("language", ["en", "fr", "de", "it"])
    def test_there_is_a_text_to_start_from(self, provider: SigningProvider, language: str) -> None:
        """In each language, with the organization's name and whom to ask."""
        text = fleet("portal", "text", language).stdout
        assert "Example AG" in text and "privacy@example.com" in text and "{" not in text


class TestList:
    def test_all_are_listed_with_what_opens_or_shuts_each(self, provider: SigningProvider) -> None:
        """Those of the inventory are shown as claimed."""
        Path("staff.yml").write_text(
            json.dumps(
                {
                    "all": {
                        "hosts": {
                            "anna": {"fleet_subject": SUBJECT, "fleet_mandate": CLAIMED.model_dump(mode="json")},
                            "ben": {"fleet_mandate": CLAIMED.model_dump(mode="json") | {"employee": "ben"}},
                        }
                    }
                }
            )
        )
        said = statement()
        put(said, provider.sign(provider.claims(said)))
        ingest()
        fleet("mandates", "revoke", "ben")
        answer = json.loads(fleet("mandates", "list", "--output", "json").stdout)
        assert [(one["employee"], one["assurance"], one["covers"], one["state"]) for one in answer["mandates"]] == [
            ("anna", "oidc", ["linkedin.ai_training"], "in force"),
            ("anna", "claimed", ["linkedin"], "in force"),
            ("ben", "claimed", ["linkedin"], "mandate revoked"),
        ]
        Path("fleet.yml").write_text(Path("fleet.yml").read_text() + "mandates: {assurance: oidc}\n")
        answer = json.loads(fleet("mandates", "list", "--output", "json").stdout)
        assert [one["state"] for one in answer["mandates"]] == ["in force", "mandate too weak", "mandate revoked"]

    @pytest.mark.parametrize("kind", ["ES256", "RS256", "PS256", "Ed25519"])
    def test_one_is_exported_with_a_proof_that_openssl_checks(self, provider: SigningProvider, kind: str) -> None:
        """And that fails once a byte of it is changed."""
        if kind != "ES256":
            of_kind = (
                OKPKey.generate_key("Ed25519", {"kid": "k"})
                if kind == "Ed25519"
                else RSAKey.generate_key(2048, {"kid": "k"})
            )
            provider.key, provider.keys = of_kind, [dict(of_kind.as_dict(private=False))]
        said = statement()
        put(said, provider.sign(provider.claims(said), alg=kind, kid="first" if kind == "ES256" else "k"))
        ingest()
        assert fleet("mandates", "export", "anna", "-o", "proof").returncode == 0
        check = ["sh", "proof/verify.sh"]
        done = subprocess.run(check, capture_output=True, text=True, check=False)
        assert done.stdout.endswith("The mandate is as it was signed.\n"), done
        for name in ("instruction.json", "text.txt", "claims.json", "signed.txt", "signature.bin"):
            path = Path("proof") / name
            before = path.read_bytes()
            path.write_bytes(before[:-3] + bytes([before[-3] ^ 1]) + before[-2:])
            assert subprocess.run(check, capture_output=True, check=False).returncode != 0, name
            path.write_bytes(before)
        assert "has given no such mandate" in fleet("mandates", "export", "ben", "-o", "proof").stderr


class TestRenamed:
    def test_a_mandate_stays_theirs_and_its_proof_valid(self, provider: SigningProvider) -> None:
        """It was signed under the old name, and says so; what counts, counts for the person."""
        said = statement()
        put(said, provider.sign(provider.claims(said)))
        ingest()
        assert fleet("inventory", "rename", "anna", "anna.wyss").returncode == 0
        assert (given(), plan()["anna.wyss"]) == ([], ("not_permitted", "terms_forbid"))
        listed = json.loads(fleet("mandates", "list", "--output", "json").stdout)["mandates"]
        assert [(one["employee"], one["assurance"], one["state"]) for one in listed] == [
            ("anna.wyss", "oidc", "in force")
        ]
        assert fleet("mandates", "export", "anna.wyss", "-o", "proof").returncode == 0
        assert json.loads(Path("proof/instruction.json").read_text())["employee"] == "anna"
        done = subprocess.run(["sh", "proof/verify.sh"], capture_output=True, text=True, check=True)
        told = f"It names anna: that was the name of anna.wyss until {TODAY}.\nThe mandate is as it was signed.\n"
        assert done.stdout == told or done.stdout.endswith(told)

    def test_acts_that_waited_are_taken_in_for_the_person(self, provider: SigningProvider) -> None:
        """A mandate, an answer and a revocation that name them as before; the revocation counts at once."""
        said = statement()
        put(said, provider.sign(provider.claims(said)))
        about = {"v": 1, "at": datetime.now(UTC).isoformat(), "employee": "anna"}
        answer = about | {"act": "attest", "service": "linkedin", "control": "ai_training", "said": "switched"}
        (Path("inbox") / f"attest-{'a' * 32}.json").write_text(json.dumps(answer))
        assert fleet("inventory", "rename", "anna", "anna.wyss").returncode == 0
        assert ingest()["taken"] == {"attest": 1, "mandate": 1}
        assert [one.assurance for one in GivenMandates(state().mandates).of("anna.wyss").mandates] == ["oidc"]
        assert plan()["anna.wyss"] == ("attested", "switched")
        (Path("inbox") / f"revoke-{'a' * 32}.json").write_text(json.dumps(about | {"act": "revoke"}))
        found = json.loads(fleet("mandates", "list", "--output", "json").stdout)["mandates"]
        assert [one["state"] for one in found] == ["mandate revoked"]
        assert ingest()["taken"] == {"revoke": 1}
        assert set(Revocations(state().revocations).all()) == {"anna.wyss"}

    def test_an_act_of_who_has_the_name_now_is_theirs(self, provider: SigningProvider) -> None:
        """A new employee may get the name; nothing of it goes to the one who had it."""
        assert fleet("inventory", "rename", "anna", "anna.wyss").returncode == 0
        hosts = {"anna": {"fleet_subject": "new-1"}, "anna.wyss": {"fleet_subject": SUBJECT}}
        Path("staff.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
        said = statement()
        put(said, provider.sign(provider.claims(said)))
        assert "another person than anna signed in" in ingest(2)["refused"][0]["reason"]
        said = statement()
        put(said, provider.sign(provider.claims(said, sub="new-1")))
        ingest()
        assert given() == ["oidc"] and not GivenMandates(state().mandates).of("anna.wyss").mandates


def forged(provider: SigningProvider, claims: dict[str, Any]) -> str:
    """Signed with a key of somebody else under the provider's name for its own."""
    return provider.sign(claims, ECKey.generate_key("P-256", {"kid": "first"}))


def weak(provider: SigningProvider, claims: dict[str, Any]) -> str:
    """Signed by the provider itself, with a key that can be broken."""
    key = RSAKey.generate_key(1024, {"kid": "weak"})
    provider.keys.append(dict(key.as_dict(private=False)))
    return provider.sign(claims, key, alg="RS256", kid="weak")


TOKENS: list[tuple[Callable[[SigningProvider, dict[str, Any]], str], str]] = [
    (lambda p, c: p.unsigned(c), "alg must be one of"),
    (lambda p, c: p.with_public_key_as_secret(c), "alg must be one of"),
    (forged, "the signature is not the identity provider's"),
    (weak, "has fewer than 2048 bits"),
    (lambda p, c: p.sign(c, kid="other"), "the identity provider has no such key"),
    (lambda p, c: p.sign(c | {"iss": "https://evil.example"}), "iss is not"),
    (lambda p, c: p.sign(c | {"iss": p.issuer + "/"}), "iss is not"),
    (lambda p, c: p.sign(c | {"aud": "other"}), "aud is not this portal's client"),
    (lambda p, c: p.sign(c | {"aud": ["fleet-portal", "other"]}), "azp is another client"),
    (lambda p, c: p.sign(c | {"azp": "other"}), "azp is another client"),
    (lambda p, c: p.sign(c | {"nonce": "0" * 64}), "nonce is not that of the statement"),
    (lambda p, c: p.sign(c | {"sub": "ben-1"}), "another person than anna signed in"),
    (lambda p, c: p.sign(c | {"sub": ["7d0c9a4e-anna"]}), "sub is missing"),
    (
        lambda p, c: p.sign(c | {"iat": c["iat"] + 3600, "exp": c["iat"] + 7200}),
        "is in the future",
    ),
    (
        lambda p, c: p.sign(c | {"iat": c["iat"] - 3600}),
        "is not when the token was signed",
    ),
    (lambda p, c: p.sign(c | {"iat": str(c["iat"])}), "iat and exp must be times"),
    (lambda p, c: p.sign(c | {"exp": c["iat"] - 9999}), "iat and exp must be times"),
    (
        lambda p, c: p.sign(c | {"auth_time": c["iat"] - 3600}),
        "no fresh sign-in is proved",
    ),
    (
        lambda p, c: p.sign(c | {"auth_time": c["iat"] + 3600}),
        "no fresh sign-in is proved",
    ),
    (lambda p, c: p.sign({**c, "auth_time": True}), "no fresh sign-in is proved"),
    (lambda p, c: p.sign(c)[:-4] + "AAAA", "the signature is not the identity provider's"),
    (lambda p, c: "a.b", "not a signed token"),
]
STATEMENTS: list[tuple[dict[str, Any], str]] = [
    ({"employee": "ben"}, "statement: names ben, not anna"),
    ({"controls": ["linkedin.ads"]}, "controls: no recipe has linkedin.ads"),
    ({"controls": []}, "statement: controls: must not be empty"),
    ({"profiles": {"myspace": "x"}}, "profiles: myspace is not among the services"),
    ({"profiles": {"linkedin": "me"}}, "profiles: linkedin: "),
    ({"text": {"language": "en", "version": "1", "sha256": "0" * 64}}, "text: en 1 is not a text that fleet.yml"),
    ({"text": {"language": "de", "version": "1", "sha256": "0" * 64}}, "text: de 1 is not a text that fleet.yml"),
    ({"granted_on": "2026-01-01"}, "granted_on: 2026-01-01 is not the day on which it was signed"),
    ({"expires_on": "2999-01-01"}, "expires_on: more than 365 days after granted_on"),
    ({"expires_on": "2026-01-01"}, "expires_on is before granted_on"),
    ({"also": 1}, "statement: also: unknown key"),
]


class TestRefused:
    def test_what_does_not_prove_it_counts_for_nothing(self, provider: SigningProvider) -> None:
        """Each with its reason; the file is kept, nothing is recorded, and the next one is still taken in."""
        wanted = {}
        for make, reason in TOKENS:
            said = statement()
            wanted[put(said, make(provider, provider.claims(said)))] = reason
        for changed, reason in STATEMENTS:
            said = statement(**changed)
            wanted[put(said, provider.sign(provider.claims(said)))] = reason
        refused = {one["file"]: one["reason"] for one in ingest(2)["refused"]}
        assert refused.keys() == wanted.keys()
        assert [(reason, refused[name]) for name, reason in wanted.items() if reason not in refused[name]] == []
        assert given() == [] and list(read_records(state().audit.log)) == []
        assert len(list((state().portal / "refused").iterdir())) == len(TOKENS) + len(STATEMENTS)
        said = statement()
        put(said, provider.sign(provider.claims(said)))
        assert ingest()["taken"] == {"mandate": 1}

    @pytest.mark.parametrize("where", ["employee", "expires_on", "sha256", "random"])
    def test_one_changed_byte_is_enough(self, provider: SigningProvider, where: str) -> None:
        """In whatever the person agreed to, after it was signed."""
        said = statement()
        token = provider.sign(provider.claims(said))
        at = said.index(f'"{where}": "') + len(where) + 8
        put(said[:at] + ("1" if said[at] != "1" else "2") + said[at + 1 :], token)
        [refused] = ingest(2)["refused"]
        assert given() == [], refused

    def test_nobody_without_a_subject_can_give_one(self, provider: SigningProvider) -> None:
        """An e-mail address is not enough to know who signed in."""
        said = statement("carl")
        put(said, provider.sign(provider.claims(said, email="carl@example.com")), employee="carl")
        [refused] = ingest(2)["refused"]
        assert refused["reason"] == "employee: carl has no fleet_subject in the inventory"

    def test_a_tenant_that_is_pinned_is_required(self, provider: SigningProvider) -> None:
        """At a provider that many organizations share."""
        config = Path("fleet.yml")
        config.write_text(config.read_text().replace("client_id: fleet-portal", "client_id: fleet-portal, tenant: t-1"))
        for tenant, exit_code in (("t-2", 2), (None, 2), ("t-1", 0)):
            said = statement()
            put(said, provider.sign(provider.claims(said, tid=tenant)))
            ingest(exit_code)

    def test_the_same_one_twice_and_one_kept_back_are_refused(self, provider: SigningProvider) -> None:
        """A portal that was taken over cannot bring back what the employee has replaced."""
        first, second = statement(), statement()
        tokens = [
            provider.sign(provider.claims(first)),
            provider.sign(provider.claims(second, iat=later(), auth_time=later() - 10)),
        ]
        put(second, tokens[1])
        ingest()
        for said, token in ((second, tokens[1]), (first, tokens[0])):
            put(said, token)
            [refused] = ingest(2)["refused"]
            assert "signed no later than the last mandate" in refused["reason"]
        assert given() == ["oidc"]

    def test_without_a_portal_in_fleet_yml_none_is_taken_in(self, provider: SigningProvider) -> None:
        """Nobody has said whose word counts."""
        config = Path("fleet.yml")
        config.write_text(config.read_text().partition("mandate_texts")[0])
        said = statement()
        put(said, provider.sign(provider.claims(said)))
        assert "fleet.yml has no portal" in ingest(2)["refused"][0]["reason"]


class TestProvider:
    def test_a_key_that_was_replaced_still_counts_for_what_it_signed(self, provider: SigningProvider) -> None:
        """As it was seen before; a key that was never seen does not."""
        first, second = statement(), statement()
        put(first, provider.sign(provider.claims(first)))
        ingest()
        token = provider.sign(provider.claims(second, iat=later(), auth_time=later() - 10))
        provider.rotate()
        put(second, token)
        assert ingest()["taken"] == {"mandate": 1}

    def test_while_it_is_unreachable_mandates_wait_and_the_rest_does_not(self, provider: SigningProvider) -> None:
        """Revocations least of all; the next time, the mandate is taken in."""
        config = Path("fleet.yml").read_text()
        Path("fleet.yml").write_text(config.replace(provider.issuer, "https://127.0.0.1:9"))
        said = statement()
        put(said, provider.sign(provider.claims(said)))
        act = {"v": 1, "act": "revoke", "employee": "ben", "at": NOW.isoformat()}
        Path(f"inbox/revoke-{'a' * 32}.json").write_text(json.dumps(act))
        answer = ingest(1)
        assert (answer["taken"], answer["waiting"]) == ({"revoke": 1}, 1)
        assert "https://127.0.0.1:9/.well-known/openid-configuration is unreachable" in answer["problem"]
        Path("fleet.yml").write_text(config)
        assert ingest()["taken"] == {"mandate": 1}

    def test_another_name_than_the_pinned_one_is_refused(self, provider: SigningProvider) -> None:
        """Byte for byte."""
        Path("fleet.yml").write_text(Path("fleet.yml").read_text().replace("127.0.0.1:", "localhost:"))
        put(statement(), "a.b.c")
        assert ingest(1)["waiting"] == 1


def mandate(signed_at: datetime, assurance: Assurance = Assurance.OIDC, **changed: Any) -> GivenMandate:
    return GivenMandate(
        statement=statement(**changed), assurance=assurance, given_at=signed_at, id_token="a.b.c", key={"kty": "EC"}
    )


CLAIMED = Mandate(
    employee="anna", reference="M", services=("linkedin",), granted_on=date(2026, 1, 1), expires_on=date(2999, 1, 1)
)


@pytest.fixture
def mandates(tmp_path: Path) -> Mandates:
    return Mandates(Revocations(tmp_path / "revocations"), GivenMandates(tmp_path / "mandates"))


def found(
    mandates: Mandates, *given: GivenMandate, claimed: Mandate | None = None, control: str = "ai_training"
) -> MandateInForce | Reason:
    mandates.given.put(Given(employee="anna", mandates=given))
    return mandates.find("anna", claimed, "linkedin", control, TODAY)


class TestInForce:
    def test_what_the_employee_gave_goes_before_what_is_claimed(self, mandates: Mandates) -> None:
        """With the profile that they entered."""
        assert found(mandates, claimed=CLAIMED) == MandateInForce("M", Assurance.CLAIMED)
        own = mandate(NOW)
        assert found(mandates, own, claimed=CLAIMED) == MandateInForce(own.reference, Assurance.OIDC, "anna-keller")

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"controls": ["x.ai"]}, Reason.MANDATE_MISSES_SERVICE),
            ({"controls": ["linkedin.ads"]}, Reason.MANDATE_MISSES_CONTROL),
            ({"granted_on": (TODAY + timedelta(days=1)).isoformat()}, Reason.MANDATE_NOT_YET_VALID),
            ({"granted_on": "2025-01-01", "expires_on": "2025-12-31"}, Reason.MANDATE_EXPIRED),
        ],
    )
    def test_it_covers_what_it_names_between_its_days(
        self, mandates: Mandates, changed: dict[str, Any], reason: Reason
    ) -> None:
        """A control that came later is not covered; an older one that does cover it still counts."""
        assert found(mandates, mandate(NOW, **changed)) is reason
        assert isinstance(found(mandates, mandate(NOW), mandate(NOW, **changed)), MandateInForce)

    @pytest.mark.parametrize(
        ("weakest", "assurance", "counts"),
        [
            (None, Assurance.OIDC, True),
            (None, Assurance.OIDC_SESSION, False),
            (Assurance.OIDC_SESSION, Assurance.OIDC_SESSION, True),
            (Assurance.OIDC, Assurance.OIDC_SESSION, False),
            (Assurance.CLAIMED, Assurance.OIDC_SESSION, True),
            (Assurance.DESK, Assurance.OIDC_SESSION, True),
        ],
    )
    def test_the_organization_says_what_is_strong_enough(
        self, mandates: Mandates, weakest: Assurance | None, assurance: Assurance, counts: bool
    ) -> None:
        """A session without a fresh sign-in only by name."""
        strict = Mandates(mandates.revocations, mandates.given, weakest)
        assert isinstance(found(strict, mandate(NOW, assurance)), MandateInForce) == counts

    def test_what_is_claimed_can_be_refused(self, mandates: Mandates) -> None:
        """For all of the organization."""
        strict = Mandates(mandates.revocations, mandates.given, Assurance.OIDC)
        assert found(strict, claimed=CLAIMED) is Reason.MANDATE_TOO_WEAK

    def test_only_one_given_later_ends_a_revocation(self, mandates: Mandates, tmp_path: Path) -> None:
        """Not the inventory's, and none within the minutes by which two clocks may differ."""
        Revocations(tmp_path / "revocations").add("anna", TODAY, at=NOW)
        before, just_after, after = (mandate(NOW + timedelta(minutes=minutes)) for minutes in (-1, 4, 6))
        assert found(mandates, before, just_after, claimed=CLAIMED) is Reason.MANDATE_REVOKED
        assert isinstance(found(mandates, after, claimed=CLAIMED), MandateInForce)
        Revocations(tmp_path / "revocations").add("anna", TODAY, at=NOW + timedelta(hours=1))
        assert found(mandates, after, claimed=CLAIMED) is Reason.MANDATE_REVOKED

    def test_a_revocation_that_cannot_be_read_never_ends(self, mandates: Mandates, tmp_path: Path) -> None:
        """No mandate is given after it, until a person removes the file."""
        (tmp_path / "revocations").mkdir()
        (tmp_path / "revocations/anna").write_text("{")
        assert found(mandates, mandate(NOW), claimed=CLAIMED) is Reason.MANDATE_REVOKED

    def test_one_in_the_inbox_counts_at_once(self, mandates: Mandates, tmp_path: Path) -> None:
        """Whatever was given, and whenever the portal says that it was revoked."""
        act = {"v": 1, "act": "revoke", "employee": "anna", "at": "2020-01-01T00:00:00Z"}
        (tmp_path / f"revoke-{'a' * 32}.json").write_text(json.dumps(act))
        seen = Mandates(
            WithInbox(mandates.revocations, Inbox(tmp_path), FormerNames(tmp_path / "former-names")), mandates.given
        )
        assert found(seen, mandate(NOW), claimed=CLAIMED) is Reason.MANDATE_REVOKED

    @pytest.mark.parametrize("content", ["{", '{"employee": "ben"}', '{"employee": "anna", "mandates": [{}]}'])
    def test_what_cannot_be_read_opens_nothing(self, mandates: Mandates, content: str) -> None:
        """Not even what the inventory claims: the employee may have said something else."""
        mandates.given.folder.mkdir()
        (mandates.given.folder / "anna.json").write_text(content)
        assert mandates.find("anna", CLAIMED, "linkedin", "ai_training", TODAY) is Reason.MANDATES_UNREADABLE

    def test_what_an_employee_closed_is_left_alone(self, provider: SigningProvider) -> None:
        """Whatever the inventory claims; `closed: ok` makes it done."""
        Path("staff.yml").write_text(
            json.dumps({"all": {"hosts": {"anna": {"fleet_mandate": CLAIMED.model_dump(mode="json")}}}})
        )
        assert plan()["anna"] == ("not_permitted", "terms_forbid")
        Attestations(state().attestations).put(
            "anna", Attestation(service="linkedin", control="ai_training", said="closed", attested_on=TODAY)
        )
        assert plan()["anna"] == ("no_mandate", "closed")

    def test_answers_that_cannot_be_read_shut(self, provider: SigningProvider) -> None:
        """The employee may have closed the control. Who has no mandate is told just that."""
        hosts = {"anna": {"fleet_mandate": CLAIMED.model_dump(mode="json")}, "ben": {}}
        Path("staff.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
        folder = state().attestations
        for name in hosts:
            (folder / f"{name}.json").write_text("{")
        assert plan() == {"anna": ("no_mandate", "answers_unreadable"), "ben": ("no_mandate", "no_mandate_given")}
        listed = fleet("mandates", "list")
        assert listed.returncode == 2 and "attestations/anna.json is damaged" in " ".join(listed.stderr.split())
