"""A packet-level listener: everything that leaves any interface of its network namespace, said in a few words."""

from __future__ import annotations

import socket
import struct
import threading
from ipaddress import ip_address

_ALL_PROTOCOLS = 0x0003
_OUTGOING = 4
"""PACKET_OUTGOING: on loopback each packet is seen twice, as leaving and as arriving."""
_MULTICAST_LISTENER_REPORT = 143
"""What the kernel itself says when an interface joins its own IPv6 groups."""


class Listener:
    """Collects `seen` from its start until `stop`.

    An entry is `INTERFACE tcp ADDRESS:PORT` for each attempt to connect, `INTERFACE udp ADDRESS:PORT`, with the name
    that is asked for where that is DNS, or whatever else it is. What follows on an attempt is left out.
    """

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL_PROTOCOLS))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self._socket.settimeout(0.2)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def stop(self) -> set[str]:
        """Stop once nothing is left to be read; what was seen."""
        self._is_over.set()
        self._thread.join()
        # PACKET_STATISTICS: how many were seen, and how many were lost because nobody read them in time.
        _, lost = struct.unpack("II", self._socket.getsockopt(263, 6, 8))
        assert lost == 0, f"{lost} packets were lost"
        self._socket.close()
        return self.seen

    def _listen(self) -> None:
        while True:
            try:
                packet, (interface, protocol, kind, *_) = self._socket.recvfrom(65535)
            except TimeoutError:
                if self._is_over.is_set():
                    return
                continue
            words = _words(protocol, packet) if kind == _OUTGOING else ""
            if words:
                self.seen.add(f"{interface} {words}")


def _words(protocol: int, packet: bytes) -> str:
    """What a packet is; empty for what is left out."""
    if protocol == 0x0800:
        kind, target, rest = packet[9], ip_address(packet[16:20]), packet[(packet[0] & 15) * 4 :]
    elif protocol == 0x86DD:
        kind, target, rest = packet[6], ip_address(packet[24:40]), packet[40:]
        if kind == 0 and rest[0] == socket.IPPROTO_ICMPV6:  # behind a hop-by-hop option
            kind, rest = rest[0], rest[(rest[1] + 1) * 8 :]
    else:
        return f"protocol {protocol:#06x}"
    if kind == socket.IPPROTO_ICMPV6 and rest[0] == _MULTICAST_LISTENER_REPORT:
        return ""
    if kind not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
        return f"ip {kind} {target}"
    port = int.from_bytes(rest[2:4], "big")
    if kind == socket.IPPROTO_TCP:
        return f"tcp {target}:{port}" if rest[13] & 0x12 == 0x02 else ""  # SYN without ACK
    return f"udp {target}:{port}" + (f" {_name(rest[8:])}" if port in (53, 5353) else "")


def _name(question: bytes) -> str:
    """The name that a DNS question is about."""
    labels, at = [], 12
    while at < len(question) and (length := question[at]):
        labels.append(question[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return ".".join(labels)
