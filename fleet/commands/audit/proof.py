"""`fleet audit prove` and `fleet audit verify-proof`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import orjson
import typer

from fleet.audit.keys import read_keys
from fleet.audit.proof import MAX_TEXT_BYTES, Proof, Prover, find_proofs
from fleet.audit.signed_note import NoteError
from fleet.commands.options import BESIDE, REHEARSAL, STATE, screen, settings_of, with_log, write_output
from fleet.errors import InputError

EXIT_NOT_PROVED = 15


def prove(
    seq: Annotated[int, typer.Argument(help="Number of the record (`seq`).")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="File to write [default: stdout].")
    ] = None,
    rehearsal: REHEARSAL = False,
    inventory: BESIDE = None,
    state: STATE = None,
) -> None:
    """Write a proof that a record is in the log. It contains the record; verifying it takes only the public key."""
    places = with_log(settings_of(inventory, state=state), rehearsal=rehearsal).state_dir.audit
    text = Prover(places, read_keys(places.vkey)).prove(seq).text
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_output(output, text)


def verify_proof(
    file: Annotated[Path, typer.Argument(help="A proof, or a text file that contains proofs, such as a receipt.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Public key of the log (log.vkey).")],
) -> None:
    """Verify proofs with the public key of the log. Needs no state directory.

    Exit codes: 0 all proofs are valid, 15 a proof is not, 2 invalid input.
    """
    try:
        if file.stat().st_size > MAX_TEXT_BYTES:
            raise InputError(
                f"{file} is longer than {MAX_TEXT_BYTES} bytes, more than a receipt; give a file with proofs."
            )
        proofs = find_proofs(file.read_text("utf-8", "replace"))
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}).") from None
    if not proofs:
        raise InputError(f"{file} contains no proof; a proof begins with the line c2sp.org/tlog-proof@v1.")
    keys, console, failed = read_keys(key), screen(), False
    for text in proofs:
        try:
            proof = Proof.parse(text)
            checkpoint = proof.check(keys)
        except NoteError as error:
            failed = True
            console.print(f"NOT PROVED: {error}.", style="bold red", soft_wrap=True)
            continue
        where = f"record {proof.index} of the {checkpoint.size} that {checkpoint.origin} has signed"
        console.print(f"Proved: {where}", style="bold green", soft_wrap=True)
        console.print(_readable(proof.line), soft_wrap=True)
    if failed:
        raise typer.Exit(EXIT_NOT_PROVED)


def _readable(line: bytes) -> str:
    try:
        return "".join(f"  {name}: {json.dumps(value)}\n" for name, value in orjson.loads(line).items()).rstrip()
    except (ValueError, AttributeError):
        return f"  {line[:200]!r}"
