# SPDX-License-Identifier: Apache-2.0
"""How a question becomes a prompt: by the chat template of the TeleChat2 tree, else by the model's own form.

The tree keeps its template in its predict script or in its tokenizer, by version; it holds the system text that the
model was trained with.
"""

from __future__ import annotations

import ast
import os
from typing import Any, Dict, List, Optional

from telechat_runtime.node.programs.predict import InputError
from telechat_runtime.node.programs.predict.tokens import BOT, SYSTEM, USER

_SOURCES = ("run_telechat_predict.py", "telechat_tokenizer.py")
_NAME = "chat_template"


def prompt(question: str, *, system: Optional[str], template: Optional[str]) -> str:
    """Return the text that the model is given. Raises InputError when the template needs what is not installed."""
    if template is None:
        start = "" if system is None else f"{SYSTEM}{system}\n"
        return f"{start}{USER}{question}{BOT}"
    try:
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415 - comes with MindFormers
    except ModuleNotFoundError as error:
        raise InputError("jinja2 is missing, which the chat template of the TeleChat2 tree needs") from error
    messages: List[Dict[str, str]] = [] if system is None else [{"role": "system", "content": system}]
    messages.append({"role": "user", "content": question})
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    text: str = environment.from_string(template).render(messages=messages, add_generation_prompt=True)
    return text


def tree_template(folder: str) -> Optional[str]:
    """Return the chat template that the scripts in a folder of the tree hold, None when they hold none.

    Read, not run: the scripts import MindFormers, and one of them is a program.
    """
    for name in _SOURCES:
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8") as file:
            found = _assigned(ast.parse(file.read(), filename=path))
        if found is not None:
            return found
    return None


def _assigned(module: ast.Module) -> Optional[str]:
    for statement in ast.walk(module):
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            value: Any = statement.value.value
            if isinstance(value, str) and any(_is_template(target) for target in statement.targets):
                return value
    return None


def _is_template(target: ast.expr) -> bool:
    """Tell whether `chat_template` or `self.chat_template` is assigned to."""
    name = target.id if isinstance(target, ast.Name) else getattr(target, "attr", "")
    return name == _NAME
