# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, List

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.errors import ConfigError
from telechat_runtime.job.options import Override, parse_override
from telechat_runtime.training.overlay import ConfigFacts, Setting, config_facts, config_values, overlay

# The shapes that TeleChat2's finetune yaml has: anchors, comments, odd numbers, flow mappings, lists of mappings.
TEXT = """\
seed: 0
load_checkpoint: ''   # weights
use_parallel: True
trainer:
  model_name: 'telechat_7b'
runner_config:
  epochs: 10  # a comment
  batch_size: 1
optimizer:
  eps: 1.e-8
lr_schedule:
  learning_rate: 1.5e-4
train_dataset: &train_dataset
  data_loader:
    type: MindDataset
    dataset_dir: ""
train_dataset_task:
  dataset_config: *train_dataset
parallel:
  parallel_mode: 1 # 0-data parallel, 1-semi-auto parallel
parallel_config:
  data_parallel: 8
  model_parallel: 2
  pipeline_stage: 1
context:
  device_target: "Ascend"
  jit_config: {"jit_level": "O1"}
callbacks:
- type: MFLossMonitor
- type: CheckpointMonitor
  keep_checkpoint_max: 300
"""


def lay(*overrides: str, text: str = TEXT, settings: List[Setting] | None = None) -> Any:
    return overlay(text, settings or [], [parse_override(item) for item in overrides], source="finetune.yaml")


def test_an_overlay_of_nothing_changes_not_a_letter() -> None:
    assert lay().text == TEXT
    assert lay().diff == ""


def test_comments_and_spellings_stay_and_the_diff_shows_only_what_changed() -> None:
    result = lay("runner_config.epochs=2", "callbacks.1.keep_checkpoint_max=1")
    assert result.text == TEXT.replace("epochs: 10 ", "epochs: 2  ").replace("max: 300", "max: 1")
    assert [line for line in result.diff.splitlines() if line[:1] in "+-"] == [
        "--- finetune.yaml",
        "+++ config.yaml",
        "-  epochs: 10  # a comment",
        "+  epochs: 2   # a comment",
        "-  keep_checkpoint_max: 300",
        "+  keep_checkpoint_max: 1",
    ]


def test_the_users_override_comes_after_the_jobs_settings() -> None:
    result = lay("use_parallel=False", settings=[Setting("use_parallel", True)])
    assert yaml.safe_load(result.text)["use_parallel"] is False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1E5", 1e5),
        ("1.5e-4", 1.5e-4),
        ("2", 2),
        ("False", False),
        ("", None),
        ("null", None),
        ("hello", "hello"),
        ("'1'", "1"),
        ("[1, 2]", [1, 2]),
        ("{a: 1}", {"a": 1}),
        ("/a/b", "/a/b"),
    ],
)
def test_values_reach_mindformers_yaml_reader_as_meant(text: str, value: Any) -> None:
    assert yaml.safe_load(lay(f"seed={text}").text)["seed"] == value


@pytest.mark.parametrize(
    ("override", "near"),
    [
        ("runner_config.epoch=2", "runner_config.epochs"),
        ("epochs=2", "runner_config.epochs"),
        ("runner.epochs=2", "runner_config.epochs"),
        ("callbacks.7.type=x", "callbacks.0.type"),
        ("seed.deeper=1", "seed"),
    ],
)
def test_an_unknown_key_names_the_nearest(override: str, near: str) -> None:
    with pytest.raises(ConfigError, match=r"finetune\.yaml has no such key") as caught:
        lay(override)
    assert near in caught.value.next_step
    assert f"+{override.partition('=')[0]}=" in caught.value.next_step


def test_a_key_can_be_added_on_purpose() -> None:
    document = yaml.safe_load(lay("+pet_config.lora_rank=8", "+seed2=1").text)
    assert document["pet_config"] == {"lora_rank": 8}
    assert document["seed2"] == 1


def test_a_value_is_no_section_to_add_to() -> None:
    with pytest.raises(ConfigError, match="no such key"):
        lay("+seed.deeper=1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "line 1: no valid yaml"),
        ("a: 1\na: 2\n", 'line 2: no valid yaml: found duplicate key "a"'),
        ("- a\n", "holds no sections"),
        ("", "holds no sections"),
        ("\t- a", "line 1: no valid yaml"),
        ("a: \x00", "no valid yaml"),
    ],
)
def test_a_text_that_is_no_yaml_mapping(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"finetune\.yaml") as caught:
        lay(text=text)
    assert message in caught.value.message


def test_a_value_that_is_no_yaml() -> None:
    with pytest.raises(ConfigError, match=r"--set seed: '\[' is no yaml value"):
        lay("seed=[")


def test_facts() -> None:
    facts = config_facts(TEXT, source="finetune.yaml")
    assert facts == ConfigFacts(
        model_name="telechat_7b",
        dataset="",
        checkpoint="",
        pipeline_stages=1,
    )


def test_a_list_and_a_mapping_of_the_job_are_written_as_yaml() -> None:
    settings = [Setting("model.model_config.offset", [[0, 1], [1, 0]]), Setting("recompute", {"a\\.b": [1, True]})]
    result = lay(settings=settings)
    assert "+    offset: [[0, 1], [1, 0]]" in result.diff
    assert yaml.safe_load(result.text)["recompute"] == {"a\\.b": [1, True]}


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), max_size=12),
)
NAMES = st.text("abcdefghij_", min_size=1, max_size=6)
DOCUMENTS = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
        max_leaves=8,
    ),
    min_size=1,
    max_size=5,
)


@given(DOCUMENTS, st.data())
def test_an_overlay_changes_its_key_and_no_other(document: Any, data: st.DataObject) -> None:
    """Any document that PyYAML, MindFormers' reader, wrote: read back by it, all but the one key is as before."""
    text = yaml.safe_dump(document, allow_unicode=True)
    key = data.draw(st.sampled_from(sorted(document)))
    result = overlay(text, [], [Override(key=key, value="42")], source="x.yaml")
    assert yaml.safe_load(result.text) == {**yaml.safe_load(text), key: 42}


@given(DOCUMENTS)
def test_an_empty_overlay_keeps_every_value(document: Any) -> None:
    text = yaml.safe_dump(document)
    assert yaml.safe_load(overlay(text, [], [], source="x.yaml").text) == yaml.safe_load(text)


def test_a_settings_reason_stands_beside_it_in_the_diff() -> None:
    result = lay(settings=[Setting("runner_config.sink_size", 1, reason="one step at a time")])
    assert "+  sink_size: 1 # one step at a time" in result.diff.splitlines()


def test_a_reason_leaves_the_authors_comment_alone() -> None:
    result = lay(settings=[Setting("runner_config.epochs", 2, reason="mine")])
    assert "  epochs: 2   # a comment" in result.text.splitlines()


def test_the_yaml_as_plain_data() -> None:
    values = config_values(TEXT, source="x.yaml")
    assert values["runner_config"] == {"epochs": 10, "batch_size": 1}
    assert values["use_parallel"] is True
    assert values["train_dataset_task"]["dataset_config"]["data_loader"]["type"] == "MindDataset"
    with pytest.raises(ConfigError, match=r"x\.yaml: holds no sections"):
        config_values("[1]", source="x.yaml")
