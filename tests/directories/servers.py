"""Real directories on loopback, each in a folder of its own: scim2-server, and Debian's slapd."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from tests.directories import people

TOKEN = "scim-token-7Qx"
PASSWORD = "ldap-password-9Kz"
BASE = "ou=people,dc=company,dc=example"
READER = "cn=fleet,dc=company,dc=example"
SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
SCHEMA = Path("/etc/ldap/schema")


@dataclass(frozen=True)
class Directory:
    """Where a directory answers; `ca` is what its certificate is signed by."""

    url: str
    ca: Path
    clear_url: str = ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def certify(folder: Path) -> tuple[Path, Path]:
    """An authority's certificate, and a file with certificate and key of `localhost`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder / "ca.pem", folder / "server.pem"


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """A server that answers on a port, and is gone afterwards."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, command
                time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait()


def scim_request(directory: Directory, path: str, body: Any = None, method: str | None = None) -> Any:
    """One call of the directory's admin."""
    request = urllib.request.Request(
        f"{directory.url}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/scim+json"},
        method=method,
    )
    trust = ssl.create_default_context(cafile=directory.ca)
    with urllib.request.urlopen(request, context=trust, timeout=30) as response:
        return json.loads(response.read() or b"null")


@contextmanager
def scim(folder: Path) -> Iterator[Directory]:
    """scim2-server with everybody in it, behind a bearer token and TLS."""
    ca, certificate = certify(folder)
    port = free_port()
    script = Path(__file__).with_name("scim_tls.py")
    command = [sys.executable, str(script), str(certificate), "--port", str(port), "--bearer-token", TOKEN]
    directory = Directory(f"https://localhost:{port}/v2", ca)
    with running(command, port):
        for person in people.everybody():
            scim_request(directory, "/Users", people.scim_user(person))
        yield directory


@contextmanager
def slapd(folder: Path) -> Iterator[Directory]:
    """slapd with everybody in it, over TLS and in clear; the reader alone sees anything."""
    assert SLAPD is not None
    ca, certificate = certify(folder)
    tls, clear = free_port(), free_port()
    (folder / "db").mkdir()
    (folder / "slapd.conf").write_text(
        f"""
include {SCHEMA}/core.schema
include {SCHEMA}/cosine.schema
include {SCHEMA}/inetorgperson.schema
# OpenLDAP's arc for experiments
attributetype ( 1.3.6.1.4.1.4203.666.1.1 NAME 'companyLinkedin' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
objectclass ( 1.3.6.1.4.1.4203.666.3.1 NAME 'companyPerson' SUP top AUXILIARY MAY ( companyLinkedin $ c ) )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
TLSCertificateFile {certificate}
TLSCertificateKeyFile {certificate}
database mdb
suffix dc=company,dc=example
directory {folder}/db
limits dn.exact="cn=limited,dc=company,dc=example" size=5 size.prtotal=5
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{READER}" read by dn.exact="cn=limited,dc=company,dc=example" read by * none
""",
        "utf-8",
    )
    top = "dn: dc=company,dc=example\nobjectClass: dcObject\nobjectClass: organization\ndc: company\no: Company\n\n"
    for name in ("fleet", "limited"):
        top += f"dn: cn={name},dc=company,dc=example\nobjectClass: organizationalRole\n"
        top += f"objectClass: simpleSecurityObject\ncn: {name}\nuserPassword: {PASSWORD}\n\n"
    branch = "\ndn: ou=branch,dc=company,dc=example\nobjectClass: organizationalUnit\nou: branch\n"
    branch += "\ndn: ou=abroad,ou=branch,dc=company,dc=example\nobjectClass: referral\nobjectClass: extensibleObject\n"
    branch += "ou: abroad\nref: ldap://elsewhere.company.example/ou=abroad\n"
    branch += "\ndn: ou=domain,dc=company,dc=example\nobjectClass: organizationalUnit\nou: domain\n"
    branch += "\ndn: uid=robin,ou=domain,dc=company,dc=example\nobjectClass: inetOrgPerson\nuid: robin\ncn: robin\n"
    branch += "sn: robin\nmail: robin@company.example\nemployeeType: staff\n"
    # As the root of an Active Directory's domain has them.
    for partition in ("DC=ForestDnsZones", "DC=DomainDnsZones", "CN=Configuration"):
        name = partition.partition("=")[2]
        branch += f"\ndn: ou={name},ou=domain,dc=company,dc=example\nobjectClass: referral\n"
        branch += f"objectClass: extensibleObject\nou: {name}\n"
        branch += f"ref: ldap://{name}.company.example/{partition},DC=company,DC=example\n"
    (folder / "people.ldif").write_text(top + people.ldif(people.everybody()) + branch, "utf-8")
    # A copy, because the profile that Ubuntu's AppArmor has for slapd by its path allows no temporary folders.
    program = shutil.copy(SLAPD, folder / "slapd")
    config = ["-f", str(folder / "slapd.conf")]
    subprocess.run([program, "-Ta", *config, "-l", str(folder / "people.ldif")], check=True, capture_output=True)
    urls = f"ldaps://127.0.0.1:{tls} ldap://127.0.0.1:{clear}"
    with running([program, *config, "-h", urls, "-d", "0"], clear):
        yield Directory(f"ldaps://localhost:{tls}", ca, f"ldap://localhost:{clear}")
