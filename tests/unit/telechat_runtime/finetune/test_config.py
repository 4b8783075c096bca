# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from typing import Any, Iterator, Optional, Tuple

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telechat_runtime.errors import ConfigError, TelechatError
from telechat_runtime.finetune.config import FinetuneConfig, Workers, finetune_config
from telechat_runtime.finetune.spec import FinetuneSpec
from telechat_runtime.job.options import parse_override
from telechat_runtime.plan.data_facts import DataLook
from telechat_runtime.remote.answers.probe import CheckpointFacts, DatasetFacts
from telechat_runtime.training.checkpoint_transform import Start, choose_transform
from telechat_runtime.training.data_checks import reads_mindrecord, row_problems, saving
from telechat_runtime.training.document import Setting
from telechat_runtime.training.shipped import ConfigSource
from tests.support.published_yaml import LORA_7B, PUBLISHED

EIGHT = Workers(device_target="Ascend", per_node=8, nodes=1)
LOOKS = {"node0": DataLook(dataset=DatasetFacts(files=1, rows=5000, row_lengths=(8193,), problem=None))}


def make(text: str, *overrides: str, workers: Workers = EIGHT, **wishes: Any) -> FinetuneConfig:
    spec = FinetuneSpec(**{"dataset": "/data", **wishes}, overrides=tuple(map(parse_override, overrides)))
    return finetune_config(spec, ConfigSource(name="x.yaml", text=text), workers)


def test_the_job_and_its_notes_in_one_value() -> None:
    config = make(PUBLISHED["7b"], checkpoint="/w.ckpt")
    assert config.node_paths == ["/data", "/w.ckpt"]
    assert config.notes == ()
    assert yaml.safe_load(config.document.text) == config.values


def test_more_settings_come_before_the_users_overrides() -> None:
    config = make(PUBLISHED["7b"], "output_dir=/mine")
    more = config.having([Setting("output_dir", "/ours"), Setting("auto_trans_ckpt", True)], ["because"])
    assert (more.values["output_dir"], more.values["auto_trans_ckpt"]) == ("/mine", True)
    assert more.notes == ("because",)


def test_an_absolute_file_of_communication_settings_has_to_be_on_the_nodes() -> None:
    config = make(PUBLISHED["7b"], "+context.ascend_config.parallel_speed_up_json_path=/etc/speed_up.json")
    assert config.node_paths == ["/data", "/etc/speed_up.json"]


def test_a_yaml_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml: holds no sections"):
        make("- 1\n")


def test_numbers_of_set_and_option_together_set_wins() -> None:
    config = make(PUBLISHED["7b"], "parallel_config.data_parallel=4", dp=8, mp=2)
    assert (config.training.layout.dp, config.training.layout.mp) == (4, 2)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.model_config.pet_config.target_modules='*wq'", r"target_modules '\*wq' is no regular expression"),
        ("model.model_config.num_heads=31", "hidden_size 4096 is not divisible by num_heads 31"),
    ],
)
def test_values_that_only_the_model_would_refuse(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(LORA_7B, override)


def test_lists_for_the_pipeline_that_is_asked_for_are_taken() -> None:
    config = make(PUBLISHED["35b"], "model.model_config.offset=[0,0]", pp=2, workers=Workers("Ascend", 8, 2))
    assert (config.training.layout.pp, config.training.offset) == (2, [0, 0])


def test_a_list_of_the_yaml_that_does_not_suit_its_own_pipeline() -> None:
    text = PUBLISHED["35b"].replace("[-1, 1, 1, -1]", "[-1, 1]")
    with pytest.raises(ConfigError, match=r"offset \[-1, 1\] has 2 entries for 4 pipeline stages"):
        make(text, workers=Workers("Ascend", 8, 2))


def _paths(value: Any, prefix: Tuple[Any, ...] = ()) -> Iterator[Tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield (*prefix, name)
        yield from _paths(item, (*prefix, name))


DOCUMENTS = {name: yaml.safe_load(text) for name, text in [*PUBLISHED.items(), ("lora", LORA_7B)]}
PLACES = [(name, path) for name, document in DOCUMENTS.items() for path in _paths(document)]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("ab1.*(/", max_size=4),
    st.lists(
        st.one_of(st.integers(-2, 9), st.text("a", max_size=1), st.lists(st.integers(0, 3), max_size=3)), max_size=4
    ),
    st.dictionaries(st.sampled_from(["a", "type"]), st.integers(), max_size=2),
)


def refusal(document: Any, cards: int, model: Optional[str]) -> Optional[TelechatError]:
    """Return what is said against a job by that yaml, in all that is asked before it starts."""
    workers = Workers(device_target="Ascend", per_node=min(cards, 8), nodes=max(1, cards // 8))
    look = CheckpointFacts(kind="file", ranks=(), empty=())
    try:
        config = make(yaml.safe_dump(document), workers=workers, model=model, checkpoint="/w", speed_up="{}")
        reads_mindrecord(config.values)
        list(row_problems(config.training, LOOKS, cards=cards))
        saving(config.training, config.values, cards=cards, rows=5000)
        choose_transform(config.training, config.values, look, Start(cards, workers.nodes, ("/s",), "j"), None)
    except TelechatError as error:
        return error
    return None


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=25)
@given(st.sampled_from(PLACES), ODD, st.sampled_from([1, 8, 16]), st.sampled_from(["7b", None]))
def test_whatever_a_yaml_says_the_answer_is_a_plan_or_a_message(
    place: Tuple[str, Tuple[Any, ...]], odd: Any, cards: int, model: Optional[str]
) -> None:
    name, path = place
    document = copy.deepcopy(DOCUMENTS[name])
    here = document
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = odd
    error = refusal(document, cards, model)
    assert error is None or (error.exit_code in {3, 5} and error.message)
