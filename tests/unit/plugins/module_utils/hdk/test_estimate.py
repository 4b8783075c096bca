# SPDX-License-Identifier: Apache-2.0
"""How long plans are said to take."""

import pytest
from ansible.module_utils.hdk.estimate import Estimate, estimate
from ansible.module_utils.hdk.plan import plan_hdk

from tests.unit.plugins.module_utils.hdk.server_model import Server
from tests.unit.plugins.module_utils.hdk.test_plan import NEW, OLD, running, wish


def seconds(server, wanted, **facts):
    return [step.seconds for step in plan_hdk(server.facts(**facts), wanted).steps]


def test_the_inventory_says_what_a_host_does_not_know_of_itself():
    assert seconds(Server(), wish()) == [180, 300, 120, 300]
    assert seconds(Server(), wish(), seconds={"reboot": 540, "driver": 95}) == [95, 540, 120, 540]
    assert seconds(running(*NEW), wish(state="absent")) == [60, 60, 1, 300]


def test_what_may_be_left_out_makes_a_range():
    assert str(estimate(plan_hdk(Server().facts(), wish()).steps)) == "about 8 to 15 min"
    assert str(estimate(plan_hdk(running(*OLD).facts(), wish()).steps)) == "about 10 min"


@pytest.mark.parametrize(("length", "text"), [(1, "about 1 min"), (89, "about 1 min"), (839, "about 14 min")])
def test_minutes(length, text):
    assert str(Estimate(length, length)) == text
