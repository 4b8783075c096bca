# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from telechat_runtime.ascend.schema import NewerSchemaError, check_schema


@pytest.mark.parametrize("document", [{}, {"schema": 0}, {"schema": 1}, {"schema": 2}])
def test_a_document_of_0_1_and_of_every_schema_up_to_the_known_one_is_read(document: object) -> None:
    check_schema(document, 2, "/x/state.json")  # type: ignore[arg-type]


def test_a_newer_document_is_refused_by_its_path_and_both_numbers() -> None:
    with pytest.raises(NewerSchemaError, match=r"^/x/state\.json has schema 3, and schemas up to 2 are known here"):
        check_schema({"schema": 3}, 2, "/x/state.json")


@pytest.mark.parametrize("number", ["1", True, None, 1.0, {"token": "s3cret"}])
def test_what_is_no_number_is_refused_and_not_quoted(number: object) -> None:
    with pytest.raises(NewerSchemaError, match=r"^/x/state\.json has a schema that is not a whole number; [^{]*$"):
        check_schema({"schema": number}, 2, "/x/state.json")
