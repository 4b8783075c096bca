# SPDX-License-Identifier: Apache-2.0
"""A role's defaults and its argument_specs say the same: Ansible itself applies no default of a spec."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
FILES = ["README.md", "defaults/main.yml", "meta/argument_specs.yml", "meta/main.yml", "tasks/main.yml"]

pytestmark = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def load(path):
    return yaml.safe_load(path.read_text()) or {}


def specs(role):
    return load(role / "meta" / "argument_specs.yml")["argument_specs"]


def options(role):
    return specs(role)["main"].get("options", {})


def test_role_has_all_files(role):
    assert [name for name in FILES if not (role / name).is_file()] == []


def test_defaults_and_specs_name_the_same_variables(role):
    optional = {name for name, option in options(role).items() if not option.get("required")}
    assert set(load(role / "defaults" / "main.yml")) == optional


def test_defaults_have_the_values_of_the_specs(role):
    defaults = load(role / "defaults" / "main.yml")
    described = {name: option.get("default") for name, option in options(role).items() if not option.get("required")}
    assert defaults == described


def test_entry_points_agree_about_a_variable(role):
    for entry in specs(role).values():
        for name, option in entry.get("options", {}).items():
            assert option == options(role)[name]


def test_variables_have_the_roles_prefix(role):
    assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []


def test_every_variable_has_type_and_description(role):
    for name, option in _all_options(options(role)):
        assert option.get("type"), name
        assert option.get("description"), name


def test_every_entry_point_has_its_tasks(role):
    for entry in specs(role):
        assert (role / "tasks" / f"{entry}.yml").is_file()


def _all_options(described, prefix=""):
    for name, option in described.items():
        yield prefix + name, option
        yield from _all_options(option.get("options", {}), f"{prefix}{name}.")
