"""Both directories, once for all of their tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.directories import servers
from tests.directories.desks import Desk, secret_file


@pytest.fixture(scope="session")
def scim_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Directory]:
    """A real SCIM server with everybody in it."""
    with servers.scim(tmp_path_factory.mktemp("scim")) as running:
        yield running


@pytest.fixture(scope="session")
def ldap_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Directory]:
    """A real LDAP server with everybody in it."""
    if servers.SLAPD is None:
        pytest.skip("slapd is missing: install slapd")
    with servers.slapd(tmp_path_factory.mktemp("ldap")) as running:
        yield running


@pytest.fixture
def scim(scim_server: servers.Directory, tmp_path: Path) -> Desk:
    """Configured for the SCIM server."""
    return Desk(tmp_path, scim_options(scim_server, tmp_path), servers.TOKEN)


@pytest.fixture
def ldap(ldap_server: servers.Directory, tmp_path: Path) -> Desk:
    """Configured for the LDAP server."""
    return Desk(tmp_path, ldap_options(ldap_server, tmp_path), servers.PASSWORD)


@pytest.fixture(params=["scim", "ldap"])
def desk(request: pytest.FixtureRequest) -> Desk:
    """Configured for one, then for the other."""
    found: Desk = request.getfixturevalue(request.param)
    return found


def scim_options(server: servers.Directory, folder: Path) -> dict[str, Any]:
    """A file as people write it; pages so small that there are several."""
    return {
        "plugin": "fleet_scim",
        "url": server.url,
        "token_file": secret_file(folder, servers.TOKEN),
        "ca_file": str(server.ca),
        "page_size": 7,
        "accounts": {"linkedin": {"profile": "nickName"}},
    }


def ldap_options(server: servers.Directory, folder: Path) -> dict[str, Any]:
    """The same for LDAP."""
    return {
        "plugin": "fleet_ldap",
        "url": server.url,
        "bind_dn": servers.READER,
        "password_file": secret_file(folder, servers.PASSWORD),
        "ca_file": str(server.ca),
        "base": servers.BASE,
        "filter": "(employeeType=staff)",
        "page_size": 7,
        "accounts": {"linkedin": {"profile": "companyLinkedin"}},
    }
