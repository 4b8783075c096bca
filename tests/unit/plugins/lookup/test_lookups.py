# SPDX-License-Identifier: Apache-2.0
import importlib.util
import io
import json
import os
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible.errors import AnsibleLookupError

LOOKUPS = Path(__file__).parents[4] / "plugins" / "lookup"


@pytest.fixture
def lookup(tmp_path, monkeypatch):
    """Return a function that runs a lookup of the project with a cache of its own."""
    monkeypatch.setenv("TELECHAT_CACHE", str(tmp_path / "cache"))

    def run(name, *terms):
        spec = importlib.util.spec_from_file_location(name, LOOKUPS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.LookupModule().run(list(terms), variables={"playbook_dir": str(tmp_path)})

    return run


def archive(path, config):
    with tarfile.open(path, "w") as target:
        content = json.dumps([{"Config": config * 64 + ".json"}]).encode()
        member = tarfile.TarInfo("manifest.json")
        member.size = len(content)
        target.addfile(member, io.BytesIO(content))


def test_image_ids_follow_the_archive(lookup, tmp_path):
    archive(tmp_path / "ms.tar", "a")
    assert lookup("telechat_image_ids", "ms.tar") == [{"ids": ["sha256:" + "a" * 64], "problem": ""}]
    archive(tmp_path / "new.tar", "b")
    (tmp_path / "new.tar").replace(tmp_path / "ms.tar")
    (found,) = lookup("telechat_image_ids", str(tmp_path / "ms.tar"))
    assert found["ids"] == ["sha256:" + "b" * 64]


def test_image_ids_are_read_once(lookup, tmp_path, monkeypatch):
    archive(tmp_path / "ms.tar", "a")
    first = lookup("telechat_image_ids", "ms.tar")
    monkeypatch.setattr(tarfile, "open", lambda *_: pytest.fail("read again"))
    assert lookup("telechat_image_ids", "ms.tar") == first


@pytest.mark.parametrize(
    ("name", "term", "message"),
    [
        ("telechat_build_inputs", "", "telechat_image_build_context is empty"),
        ("telechat_build_inputs", "none", "none is no folder"),
    ],
)
def test_wrong_build_context(lookup, tmp_path, name, term, message):
    (tmp_path / "text").write_text("text")
    with pytest.raises(AnsibleLookupError, match=message):
        lookup(name, term)


@pytest.mark.parametrize(
    ("term", "problem"),
    [
        ("", "it is empty"),
        ("none.tar", "No such file or directory: .*/none.tar on the control side"),
        ("text", "text is no image archive"),
    ],
)
def test_an_archive_that_can_not_be_read_is_a_problem_for_preflight(lookup, tmp_path, term, problem):
    (tmp_path / "text").write_text("text")
    (found,) = lookup("telechat_image_ids", term)
    assert found["ids"] == []
    assert re.search(problem, found["problem"])


def test_build_inputs_change_with_everything_that_is_built_from(lookup, tmp_path):
    folder = tmp_path / "context"
    (folder / "sub").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM x")
    seen = [lookup("telechat_build_inputs", "context")]
    os.utime(folder / "Dockerfile", (1, 1))
    assert lookup("telechat_build_inputs", "context") == seen[0]
    for change in (
        lambda: (folder / "Dockerfile").write_text("FROM y"),
        (folder / "sub" / "a").touch,
        lambda: (folder / "sub" / "a").rename(folder / "sub" / "b"),
        lambda: (folder / "sub" / "b").chmod(0o755),
        lambda: (folder / "link").symlink_to("sub"),
    ):
        change()
        seen.append(lookup("telechat_build_inputs", "context"))
    hashes = [answer[0] for answer in seen]
    assert len(set(hashes)) == len(hashes)


def test_zipapp_is_in_the_cache(lookup, tmp_path):
    (answer,) = lookup("telechat_zipapp")
    assert Path(answer["path"]).parent == tmp_path / "cache" / "runtime"
    assert zipfile.is_zipfile(answer["path"])
    assert len(answer["sha256"]) == 64
