# SPDX-License-Identifier: Apache-2.0
"""Fleet upgrades of driver and firmware: plan, record and report. Pure where nothing says otherwise.

Imports go downward: smoke → jobs → record → html → timeline → report → history | observe | plan_text → plan.
"""
