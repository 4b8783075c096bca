# SPDX-License-Identifier: Apache-2.0
import importlib.util
from pathlib import Path

import pytest

FILTER = Path(__file__).parents[4] / "plugins" / "filter" / "visible_addresses.py"
spec = importlib.util.spec_from_file_location("visible_addresses", FILTER)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://192.0.2.1/a.ckpt?AccessKeyId=AK&Signature=SIG&Expires=1", "https://192.0.2.1/a.ckpt"),
        ("http://lin:secret@192.0.2.1:8080/a.ckpt#x", "http://192.0.2.1:8080/a.ckpt"),
        ("no address", "no address"),
    ],
)
def test_a_presigned_address_shows_no_signature(url, seen):
    assert module.visible_addresses([{"name": "a", "url": url}]) == [{"name": "a", "url": seen}]


def test_files_on_the_node_have_no_address():
    files = [{"name": "a", "path": "/b"}, {"name": "c", "url": ""}]
    assert module.visible_addresses(files) == files
