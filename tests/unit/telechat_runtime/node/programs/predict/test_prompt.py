# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from telechat_runtime.node.programs.predict.prompt import prompt, tree_template

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<_bot>{% endif %}"
)


def test_the_models_own_form() -> None:
    assert prompt("q", system=None, template=None) == "<_user>q<_bot>"
    assert prompt("q", system="s", template=None) == "<_system>s\n<_user>q<_bot>"


def test_a_template_gets_the_messages() -> None:
    assert prompt("q {{ 1 }}", system="s", template=TEMPLATE) == "<system>s<user>q {{ 1 }}<_bot>"
    assert prompt("q", system=None, template=TEMPLATE) == "<user>q<_bot>"


def test_a_template_can_reach_nothing_of_the_program() -> None:
    with pytest.raises(Exception, match="unsafe"):
        prompt("q", system=None, template="{{ ''.__class__.__mro__ }}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run_telechat_predict.py", f"import missing\ndef main():\n    chat_template = {TEMPLATE!r}\n"),
        ("telechat_tokenizer.py", f"class T:\n    def __init__(self):\n        self.chat_template = {TEMPLATE!r}\n"),
    ],
)
def test_the_trees_template_is_read_without_running_its_scripts(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert tree_template(str(tmp_path)) == TEMPLATE


def test_the_scripts_template_comes_before_the_tokenizers(tmp_path: Path) -> None:
    (tmp_path / "run_telechat_predict.py").write_text("chat_template = 'script'\n")
    (tmp_path / "telechat_tokenizer.py").write_text("chat_template = 'tokenizer'\n")
    assert tree_template(str(tmp_path)) == "script"


def test_a_tree_without_a_template(tmp_path: Path) -> None:
    (tmp_path / "telechat_tokenizer.py").write_text(
        "class T:\n    def __init__(self, chat_template=None):\n        self.chat_template = chat_template\n"
    )
    assert tree_template(str(tmp_path)) is None
