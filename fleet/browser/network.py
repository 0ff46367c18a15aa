"""Hosts the browser may connect to: `--resolve`, `--trust-spki`, `--proxy`, and Chromium's resolver rules."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fleet.browser.proxy import Proxy
from fleet.errors import InputError
from fleet.loopback import is_loopback


def parse_resolve(value: str, origin: str = "--resolve") -> tuple[str, str]:
    """Return `HOST:PORT=ADDR:PORT` as (`host:port`, `addr:port`).

    Raises InputError unless ADDR is a loopback address. `origin` is where the value is written.
    """
    match = re.fullmatch(r"([A-Za-z0-9.-]+):(\d{1,5})=(\[[0-9A-Fa-f:]+\]|[0-9.]+):(\d{1,5})", value)
    if match is None:
        raise InputError(f"{origin}: {value}: write it as HOST:PORT=ADDR:PORT, such as example.com:443=127.0.0.1:8443.")
    host, port, address, target = match.groups()
    try:
        is_loopback = ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        raise InputError(f"{origin}: {value}: {address} is not an IP address.") from None
    if not is_loopback:
        raise InputError(f"{origin}: {value}: {address} is not a loopback address; only those are allowed.")
    if not (0 < int(port) < 65536 and 0 < int(target) < 65536):
        raise InputError(f"{origin}: {value}: a port lies between 1 and 65535.")
    return f"{host.lower()}:{int(port)}", f"{address}:{int(target)}"


def parse_spki(value: str, origin: str = "--trust-spki") -> str:
    """Return a base64 SHA-256 of a public key. Raises InputError if it is not one."""
    try:
        if len(base64.b64decode(value, validate=True)) == 32:
            return value
    except (binascii.Error, ValueError):
        pass
    raise InputError(f"{origin}: {value}: not the base64 SHA-256 of a public key (44 characters).")


@dataclass(frozen=True)
class Network:
    """The hosts that a run may reach, and how."""

    resolve: Mapping[str, str] = field(default_factory=dict)
    trusted_spki: tuple[str, ...] = ()
    proxy: Proxy | None = None
    """Proxy for all connections that leave this machine."""

    def is_loopback(self, hosts: Iterable[str]) -> bool:
        """Return True if every `host:port` stays on this machine."""
        return all(host in self.resolve or is_loopback(host.rpartition(":")[0]) for host in hosts)

    def mapped(self, hosts: Iterable[str]) -> dict[str, str]:
        """Return those of `hosts` that stay on this machine, with their addresses."""
        return {host: self.resolve.get(host, host) for host in sorted(hosts) if self.is_loopback([host])}

    def arguments(self, hosts: Iterable[str], relay: int | None = None) -> list[str]:
        """Return Chromium's arguments that confine it to `hosts` (`host:port`): all other names resolve to nothing.

        With the port of a `relay`, Chromium reaches only the relay, which then admits these hosts.
        """
        # Rules apply to addresses as well as names. A rule with a port leaves the host's other ports to the last rule.
        if relay is None:
            ways = {host: self.resolve.get(host, host) for host in sorted(set(hosts))}
            proxy = ["--no-proxy-server"]
        else:
            door = f"127.0.0.1:{relay}"
            ways = {door: door}
            # Includes loopback, which Chromium never sends through a proxy by default.
            proxy = [f"--proxy-server=http://{door}", "--proxy-bypass-list=<-loopback>"]
        rules = [f"MAP {host} {address}" for host, address in ways.items()]
        arguments = [f"--host-resolver-rules={', '.join([*rules, 'MAP * ~NOTFOUND'])}", *proxy]
        if self.trusted_spki:
            arguments.append(f"--ignore-certificate-errors-spki-list={','.join(self.trusted_spki)}")
        return arguments

    def window_arguments(self, hosts: Iterable[str]) -> list[str]:
        """Return Chromium's arguments for a person's own window at a service with these hosts.

        It is unconfined, since a service may lead to sign-in pages of others; on this machine it is confined.
        """
        if self.is_loopback(hosts):
            return self.arguments({*self.resolve, *hosts})
        return [f"--proxy-server={self.proxy}"] if self.proxy else []
