# SPDX-License-Identifier: Apache-2.0
"""An HDK that an installer can't go over: of another run user, or in another folder than the wanted ones. Pure."""

from __future__ import annotations

from typing import List, Tuple

from ansible.module_utils.hdk.state import ASCEND_HOME, DRIVER, FIRMWARE, Component, HdkFacts, HdkWish, is_there


def installed(facts: HdkFacts) -> List[Tuple[str, Component]]:
    """Return what is installed, be it half, by name; driver first."""
    return [(name, part) for name, part in ((DRIVER, facts.driver), (FIRMWARE, facts.firmware)) if is_there(part)]


def foreign_parts(facts: HdkFacts, wish: HdkWish) -> List[Tuple[str, Component]]:
    """Return what has to go before the wish can be installed: what is elsewhere, and all that is another user's."""
    wrong_user = not user_fits(facts, wish)
    return [(name, part) for name, part in installed(facts) if part.home != ASCEND_HOME or (wrong_user and part.named)]


def user_fits(facts: HdkFacts, wish: HdkWish) -> bool:
    """Tell whether the run user that the host's install info names, if it names one, is the wanted one."""
    return facts.user in (None, wish.user) and facts.group in (None, wish.group)


def other_homes(facts: HdkFacts) -> List[str]:
    """Return the folders but /usr/local/Ascend that driver or firmware are installed below."""
    return sorted({part.home for _, part in installed(facts)} - {ASCEND_HOME})


def without_script(facts: HdkFacts) -> List[str]:
    """Return the folders of what lies elsewhere and has no script to uninstall it."""
    return [f"{part.home}/{name}" for name, part in installed(facts) if part.home != ASCEND_HOME and not part.script]
