# SPDX-License-Identifier: Apache-2.0
"""site.yml, preflight's scope and the roles' wishes name the same roles."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PLAYBOOKS = [ROOT / "site.yml", *sorted((ROOT / "playbooks").glob("*.yml"))]
MOST_LINES = 40


def load(path):
    return yaml.safe_load(path.read_text())


def roles_of(playbook):
    return [role for play in load(playbook) for role in play.get("roles", [])]


def default_scope():
    return load(ROOT / "roles" / "preflight" / "defaults" / "main.yml")["preflight_scope"]


def test_preflight_looks_for_every_role_of_the_site():
    assert roles_of(ROOT / "site.yml") == ["preflight", *default_scope()]


@pytest.mark.parametrize("role", default_scope())
def test_a_role_says_its_wish(role):
    assert f"_{role}_wish" in load(ROOT / "roles" / role / "vars" / "main.yml")


@pytest.mark.parametrize("role", default_scope())
def test_a_role_without_work_costs_one_skipped_include(role):
    (task,) = load(ROOT / "roles" / role / "tasks" / "main.yml")
    assert "ansible.builtin.include_tasks" in task
    assert task["when"].startswith(f"'{role}' in preflight_look.pending")


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_a_playbook_is_hosts_and_roles(playbook):
    assert len(playbook.read_text().splitlines()) <= MOST_LINES
    for play in load(playbook):
        if "roles" in play:
            scope = play.get("vars", {}).get("preflight_scope", default_scope())
            assert play["roles"] == ["preflight", *scope]
        for task in play.get("tasks", []):
            assert "ansible.builtin.import_role" in task
