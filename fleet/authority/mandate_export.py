"""A given mandate as files that openssl can check, for an auditor or the employee."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jwk
from joserfc.jwk import OctKey

from fleet.authority.former_names import FormerNames
from fleet.authority.given import GivenMandate

_CHECKS = {
    "RS": "openssl dgst -sha{bits} -verify key.pem -signature signature.bin signed.txt",
    "PS": "openssl dgst -sha{bits} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1 -verify key.pem "
    "-signature signature.bin signed.txt",
    "ES": "openssl dgst -sha{bits} -verify key.pem -signature signature.bin signed.txt",
    "Ed": "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in signed.txt -sigfile signature.bin",
}

_SCRIPT = """\
#!/bin/sh
# Checks this mandate with openssl alone. Compare claims.json with instruction.json and text.txt by eye as well: `sub`
# or `oid` is the person, `iss` the identity provider, `auth_time` and `iat` are when they signed in and agreed.
set -eu
cd "$(dirname "$0")"
# The identity provider signed the claims with this key. Compare key.pem with what the provider publishes.
{check}
# The claims are those of signed.txt.
cut -d. -f2 signed.txt | tr '_-' '/+' | sed 's/$/===/' | base64 -d 2>/dev/null | cmp - claims.json
# Its nonce is the digest of the instruction, so this person agreed to just this.
test "$(sha256sum instruction.json | cut -c1-64)" = "{nonce}"
grep -q '"nonce" *: *"{nonce}"' claims.json
# The instruction names the text by its digest.
test "$(sha256sum text.txt | cut -c1-64)" = "{text}"
grep -q '"sha256" *: *"{text}"' instruction.json
{renamed}echo "The mandate is as it was signed."
"""
_RENAMED = 'echo "It names {old}: that was the name of {new} until {until}."\n'


def export_mandate(mandate: GivenMandate, text: bytes, employee: str, former: FormerNames) -> Mapping[str, bytes]:
    """Return the files of one mandate by name; of one that the identity provider signed, `verify.sh` among them.

    That says so if the employee was renamed since. Without a token there is only what was agreed to.
    """
    said = {"instruction.json": mandate.statement.encode(), "text.txt": text}
    if mandate.id_token is None or mandate.key is None:
        return said
    name = mandate.instruction.employee
    renamed = [
        _RENAMED.format(old=name, new=employee, until=one.until) for one in former.of(employee) if one.name == name
    ]
    header, claims, signature = mandate.id_token.split(".")
    key = jwk.import_key(dict(mandate.key))
    assert not isinstance(key, OctKey)  # such a key is never taken in
    algorithm = str(json.loads(_decoded(header))["alg"])
    script = _SCRIPT.format(
        check=_CHECKS[algorithm[:2]].format(bits=algorithm[2:]),
        nonce=mandate.reference,
        text=mandate.instruction.text.sha256,
        renamed="".join(renamed),
    )
    return {
        **said,
        "signed.txt": f"{header}.{claims}".encode(),
        "signature.bin": _for_openssl(algorithm, _decoded(signature)),
        "claims.json": _decoded(claims),
        "token.jwt": mandate.id_token.encode(),
        "key.pem": key.as_pem(private=False),
        "verify.sh": script.encode(),
    }


def _for_openssl(algorithm: str, signature: bytes) -> bytes:
    """Return a signature in openssl's form: in a token, one on a curve is two numbers side by side (RFC 7518)."""
    if not algorithm.startswith("ES"):
        return signature
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
