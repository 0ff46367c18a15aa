"""A company as its directories hold it: 25 people, of whom one has left."""

from __future__ import annotations

from typing import Any

DEPARTMENTS = ("Sales", "Research & Development")
COUNTRIES = (("FR", "fr-FR"), ("CH", "de-CH"), ("IE", "en-IE"))
LOCKED_OUT = "noah.left"
EVIL = "{{ lookup('ansible.builtin.pipe', 'touch %s') }}"
"""What would run as a command if Ansible took it for a template."""


def everybody() -> list[dict[str, Any]]:
    """Name, department, country, language, profile: as plain as a directory's form for a new employee."""
    people: list[dict[str, Any]] = [
        {
            "name": f"person{number:02}",
            "email": f"person{number:02}@company.example",
            "department": DEPARTMENTS[number % 2],
            "country": COUNTRIES[number % 3][0],
            "language": COUNTRIES[number % 3][1],
            "profile": f"profile-{number:02}" if number else None,
            "active": True,
        }
        for number in range(24)
    ]
    return [*people, {**people[1], "name": LOCKED_OUT, "email": "noah@company.example", "active": False}]


def scim_user(person: dict[str, Any]) -> dict[str, Any]:
    """The person as RFC 7643 writes it."""
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    user = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", enterprise],
        "userName": person["name"],
        "emails": [
            {"value": f"home-{person['email']}", "type": "home"},
            {"value": person["email"], "type": "work", "primary": True},
        ],
        "preferredLanguage": person["language"],
        "addresses": [{"type": "work", "country": person["country"]}],
        "active": person["active"],
        enterprise: {"department": person["department"]},
    }
    return user | ({"nickName": person["profile"]} if person["profile"] else {})


def ldif(people: list[dict[str, Any]]) -> str:
    """The people as inetOrgPerson (RFC 2798), with what slapd.conf adds to it."""
    entries = ["dn: ou=people,dc=company,dc=example\nobjectClass: organizationalUnit\nou: people\n"]
    for person in people:
        lines = [
            f"dn: uid={person['name']},ou=people,dc=company,dc=example",
            "objectClass: inetOrgPerson",
            "objectClass: companyPerson",
            f"uid: {person['name']}",
            f"cn: {person['name']}",
            f"sn: {person['name']}",
            f"mail: {person['email']}",
            f"departmentNumber: {person['department']}",
            f"c: {person['country']}",
            f"preferredLanguage: {person['language']}",
            f"employeeType: {'staff' if person['active'] else 'left'}",
        ]
        if person["profile"]:
            lines.append(f"companyLinkedin: {person['profile']}")
        entries.append("\n".join(lines) + "\n")
    return "\n".join(entries)
