# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, List

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from telechat_runtime.errors import ConfigError
from telechat_runtime.job.options import Override, parse_override
from telechat_runtime.training.config import ConfigFacts, config_facts
from telechat_runtime.training.document import Document, Setting

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
    return Document.load(text, "finetune.yaml").laid(settings or [], [parse_override(item) for item in overrides])


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


MERGED = """\
base: &base {size: 1, kept: 2}
one:
  <<: *base
two: *base
"""


def test_a_value_that_others_merge_changes_in_all_of_them() -> None:
    document = Document.load(MERGED, "x.yaml").laid([Setting("base.size", 5)])
    assert document.values == yaml.safe_load(document.text)
    assert [document.get(f"{name}.size") for name in ("base", "one", "two")] == [5, 5, 5]


def test_an_alias_and_its_anchor_are_one_value() -> None:
    document = Document.load(TEXT, "x.yaml").laid([Setting("train_dataset.data_loader.dataset_dir", "/d")])
    assert document.get("train_dataset_task.dataset_config.data_loader.dataset_dir") == "/d"
    assert document.values == yaml.safe_load(document.text)


def test_a_document_does_not_change_when_others_are_made_of_it() -> None:
    loaded = Document.load(TEXT, "x.yaml")
    one = loaded.laid([Setting("runner_config.epochs", 1)])
    two = one.laid([Setting("runner_config.batch_size", 2)], [parse_override("seed=[3]")])
    assert (two.text, two.values) == (two.text, yaml.safe_load(two.text))
    assert "-  epochs: 10" in one.diff
    assert "batch_size" not in one.diff
    assert loaded.text == TEXT
    assert [document.get("runner_config") for document in (loaded, one, two)] == [
        {"epochs": 10, "batch_size": 1},
        {"epochs": 1, "batch_size": 1},
        {"epochs": 10, "batch_size": 2},
    ]


def test_a_section_that_is_null_takes_no_setting_that_asks_for_it() -> None:
    document = Document.load("a:\nb: 1\n", "x.yaml").laid([Setting("a.c", 1, section="a")])
    assert (document.text, document.values) == ("a:\nb: 1\n", {"a": None, "b": 1})


def test_facts() -> None:
    facts = config_facts(Document.load(TEXT, "finetune.yaml").values)
    assert facts == ConfigFacts(
        model_name="telechat_7b",
        dataset="",
        checkpoint="",
        output="",
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
    result = Document.load(text, "x.yaml").laid([], [Override(key=key, value="42")])
    assert yaml.safe_load(result.text) == {**yaml.safe_load(text), key: 42}


@given(DOCUMENTS)
def test_an_empty_overlay_keeps_every_value(document: Any) -> None:
    text = yaml.safe_dump(document)
    assert yaml.safe_load(Document.load(text, "x.yaml").text) == yaml.safe_load(text)


def test_a_settings_reason_stands_beside_it_in_the_diff() -> None:
    result = lay(settings=[Setting("runner_config.sink_size", 1, reason="one step at a time")])
    assert "+  sink_size: 1 # one step at a time" in result.diff.splitlines()


def test_a_reason_leaves_the_authors_comment_alone() -> None:
    result = lay(settings=[Setting("runner_config.epochs", 2, reason="mine")])
    assert "  epochs: 2   # a comment" in result.text.splitlines()


def test_the_yaml_as_plain_data() -> None:
    values = Document.load(TEXT, "x.yaml").values
    assert values["runner_config"] == {"epochs": 10, "batch_size": 1}
    assert values["use_parallel"] is True
    assert values["train_dataset_task"]["dataset_config"]["data_loader"]["type"] == "MindDataset"
    with pytest.raises(ConfigError, match=r"x\.yaml: holds no sections"):
        Document.load("[1]", "x.yaml")


@given(DOCUMENTS, st.lists(st.tuples(NAMES, SCALARS.filter(lambda value: value is not None)), max_size=3))
def test_plain_values_are_what_mindformers_reads(document: Any, wanted: Any) -> None:
    text = yaml.safe_dump(document)
    settings = [Setting(f"added_{name}", value) for name, value in wanted]
    laid = Document.load(text, "x.yaml").laid(settings)
    assert laid.values == yaml.safe_load(laid.text)
