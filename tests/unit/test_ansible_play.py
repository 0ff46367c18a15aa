"""Ansible Runner: how a fleet is cut into plays, and what may come back from a worker."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import ansible_runner
import pytest

from fleet.run.ansible_play import _WithoutFiles, shards


def test_plays_have_at_most_500_employees() -> None:
    """Everybody is in exactly one play, in order."""
    names = [f"e{number}" for number in range(1100)]
    plays = list(shards(names))
    assert [len(play) for play in plays] == [500, 500, 100]
    assert [name for play in plays for name in play] == names
    assert list(shards([])) == []


def archive(link: Path) -> bytes:
    """A worker's files as Runner streams them: a link out of the folder, and a file behind it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        outside = zipfile.ZipInfo("out")
        outside.create_system, outside.external_attr = 3, 0o120777 << 16
        files.writestr(outside, str(link))
        files.writestr("out/planted", "from the worker")
    content = packed.getvalue()
    return json.dumps({"zipfile": len(content)}).encode() + b"\n" + base64.b64encode(content)


class TestFiles:
    @pytest.mark.parametrize("is_guarded", [False, True])
    def test_no_file_comes_from_a_worker(self, tmp_path: Path, is_guarded: bool) -> None:
        """Runner alone writes where a worker's link leads; what it is given here has no way for files."""
        outside, private = tmp_path / "outside", tmp_path / "private"
        outside.mkdir()
        private.mkdir()
        stream: Any = io.BytesIO(archive(outside) + b'{"status": "successful"}\n{"eof": true}\n')
        processed = ansible_runner.interface.run(
            streamer="process",
            _input=_WithoutFiles(stream) if is_guarded else stream,
            private_data_dir=str(private),
            ident="r1",
            quiet=True,
            cancel_callback=lambda: False,
        )
        assert [path.name for path in outside.iterdir()] == ([] if is_guarded else ["planted"])
        assert processed.status == ("error" if is_guarded else "successful")
