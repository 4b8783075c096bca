# SPDX-License-Identifier: Apache-2.0

import pytest

from telechat_runtime.ascend.version_info import installed_version, parse_key_values

DRIVER = """Version=24.1.rc3
ascendhal_version=7.35.23
compatible_version=[V100R001C13],[V100R001C19]
compatible_version_fw=[7.0.0,7.5.99]
package_version=24.1.rc3
"""


def test_version_of_a_driver():
    assert installed_version(DRIVER) == "24.1.rc3"
    assert parse_key_values(DRIVER)["compatible_version_fw"] == "[7.0.0,7.5.99]"


@pytest.mark.parametrize("text", ["", "Version=\n", "Vers", "ascendhal_version=7.35.23\n"])
def test_a_file_cut_short_has_no_version(text):
    assert installed_version(text) is None


def test_blanks_and_lines_without_a_value_are_left_out():
    assert parse_key_values(" UserName = HwHiAiUser \n\n# note\n=x\nA=1\nA=2\n") == {"UserName": "HwHiAiUser", "A": "2"}
