# SPDX-License-Identifier: Apache-2.0
"""A module's DOCUMENTATION and its argument_spec say the same, and its code runs on the servers' older Python."""

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule

PLUGINS = Path(__file__).parents[2] / "plugins"
MODULES = sorted((PLUGINS / "modules").glob("*.py"))
ON_SERVERS = [*MODULES, *sorted((PLUGINS / "module_utils").glob("*.py"))]
OLDEST_PYTHON = (3, 7)

# What AnsibleModule takes for granted when a spec leaves it out.
IMPLIED = {"type": "str", "required": False, "default": None, "elements": None, "choices": None, "aliases": []}


class ConstructedError(Exception):
    """Stops a module once it has said what it takes."""


def load(path):
    spec = importlib.util.spec_from_file_location(f"contract_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def constructed(module):
    """Return the keyword arguments that a module gives to AnsibleModule."""
    stop = mock.patch.object(AnsibleModule, "__init__", side_effect=ConstructedError)
    with stop as init, pytest.raises(ConstructedError):
        module.main()
    return init.call_args.kwargs


@pytest.fixture(params=MODULES, ids=lambda path: path.stem)
def module(request):
    return load(request.param)


def by_meaning(options, suboptions):
    """Return options with everything implied spelled out, suboptions included."""
    meaning = {}
    for name, option in options.items():
        values = {key: option.get(key, implied) for key, implied in IMPLIED.items()}
        values["choices"] = None if values["choices"] is None else list(values["choices"])
        values["options"] = by_meaning(option.get(suboptions) or {}, suboptions)
        meaning[name] = values
    return meaning


def test_options_are_documented_as_they_are(module):
    documentation = yaml.safe_load(module.DOCUMENTATION)
    spec = constructed(module)["argument_spec"]
    assert by_meaning(documentation.get("options", {}), "suboptions") == by_meaning(spec, "options")


def test_module_is_named_as_its_file(module):
    assert yaml.safe_load(module.DOCUMENTATION)["module"] == module.__name__.removeprefix("contract_")


def test_promises_about_check_mode_diff_and_repetition(module):
    attributes = yaml.safe_load(module.DOCUMENTATION)["attributes"]
    assert set(attributes) >= {"check_mode", "diff_mode", "idempotent"}
    for name, attribute in attributes.items():
        assert attribute["support"] in {"full", "partial", "none", "N/A"}, name
        if attribute["support"] == "partial":
            assert attribute["details"], name
    supported = constructed(module).get("supports_check_mode", False)
    assert supported == (attributes["check_mode"]["support"] != "none")


def test_ansible_doc_shows_every_module_with_its_promises():
    argv = [Path(sys.executable).parent / "ansible-doc", "--json", *(path.stem for path in MODULES)]
    shown = json.loads(subprocess.run(argv, cwd=PLUGINS.parent, capture_output=True, check=True).stdout)
    assert set(shown) == {path.stem for path in MODULES}
    for name, documented in shown.items():
        attributes = documented["doc"]["attributes"].values()
        assert all(attribute["description"] and attribute["support"] for attribute in attributes), name


def test_return_values_and_examples_are_valid(module):
    for name, value in (yaml.safe_load(module.RETURN) or {}).items():
        assert value["description"], name
        assert value["returned"], name
        assert value["type"], name
    for task in yaml.safe_load(module.EXAMPLES):
        assert task["name"]


@pytest.mark.parametrize("path", ON_SERVERS, ids=lambda path: path.stem)
def test_syntax_of_the_oldest_python_on_servers(path):
    ast.parse(path.read_text(), feature_version=OLDEST_PYTHON)
