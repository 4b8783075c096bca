# SPDX-License-Identifier: Apache-2.0
"""The finetune chapters of the TeleChat2 guide as plans: every word of the command, every line changed in the yaml."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

import pytest
import yaml
from ruamel.yaml import YAML

from telechat_runtime.cluster.topology import Cluster, cluster_from_hostvars
from telechat_runtime.errors import ConfigError, PreflightError, SpecError, TelechatError
from telechat_runtime.finetune import plan as finetune_plan
from telechat_runtime.finetune.spec import FinetuneSpec
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import JobOptions, parse_override
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.training.shipped import ConfigSource
from tests.support.node_answers import probe_answer
from tests.support.published_yaml import LORA_7B, PUBLISHED
from tests.support.scripted_transport import ScriptedTransport, clients

TREE = "/workspace/TeleChat2/mindformers"
RESEARCH = f"{TREE}/research/telechat2"
DATASET = "/mnt/data/mindrecords"
WEIGHTS = "/mnt/model/TeleChat2-7B_ms.ckpt"
SHARED = "/mnt/shared"
GIB = 1 << 30


class Site:
    """Servers of eight NPUs with a TeleChat2 tree; what they hold can be changed."""

    def __init__(self, nodes: int, **variables: Any) -> None:
        names = [f"node{index}" for index in range(nodes)]
        common = {"ascend_npu_count": 8, "telechat_tree": TREE, **variables}
        self.cluster: Cluster = cluster_from_hostvars(
            "ascend", names, {name: {"ansible_host": f"192.0.2.1{i}", **common} for i, name in enumerate(names)}
        )
        self.transports = {name: ScriptedTransport({"probe": self.probe}) for name in names}
        self.yaml = {
            f"{RESEARCH}/finetune_telechat_{model.replace('-', '_')}.yaml": PUBLISHED[model] for model in PUBLISHED
        }
        self.rows: Dict[str, Any] = {"files": 1, "rows": 40_000, "row_lengths": [8193], "problem": None}
        self.checkpoint: Dict[str, Any] = {"kind": "file", "ranks": [], "empty": []}
        self.folder = {"inode": 7, "changed_ns": 8, "filesystem": "nfs4", "free_bytes": 1 << 50}
        self.free_bytes = 1 << 50
        self.missing: List[str] = []

    def probe(self, request: Dict[str, Any]) -> Dict[str, Any]:
        return probe_answer(
            request,
            paths={path: None if path in self.missing else "dir" for path in request["paths"]},
            read={path: self.yaml.get(path) for path in request["read"]},
            python={"path": "/usr/bin/python3", "version": "3.10"},
            free_bytes=self.free_bytes,
            dataset=self.rows if request["dataset"] else None,
            checkpoint=self.checkpoint if request["checkpoint"] else None,
            folders=dict.fromkeys(request["folders"], self.folder),
        )

    def plan(self, *overrides: str, source: ConfigSource | None = None, **wishes: Any) -> JobPlan:
        if source is None:
            wishes = {"model": "7b", **wishes}
        return finetune_plan.plan_finetune(
            FinetuneSpec(**{"dataset": DATASET, **wishes}, overrides=tuple(map(parse_override, overrides))),
            JobOptions(job_name="finetune"),
            self.cluster,
            clients(self.cluster.nodes, self.transports),
            source=source,
            interrupt=Interrupt(),
        )


@pytest.fixture(autouse=True)
def job_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune_plan, "new_job_id", lambda name: f"{name}-1")


def argv(node_rank: int, workers: int) -> List[str]:
    return [
        "msrun",
        f"--worker_num={workers}",
        "--local_worker_num=8",
        "--master_addr=192.0.2.10",
        "--master_port=8118",
        f"--node_rank={node_rank}",
        "--log_dir=/var/lib/telechat/jobs/finetune-1/logs",
        "--join=True",
        "--cluster_time_out=300",
        f"--tail_worker_log={workers}",
        "python3",
        f"{TREE}/run_mindformer.py",
        "--config",
        "/var/lib/telechat/jobs/finetune-1/work/config.yaml",
        "--register_path",
        RESEARCH,
    ]


def commands(plan: JobPlan) -> List[List[str]]:
    return [plan.start_request(node)["argv"] for node in plan.nodes]


def changes(plan: JobPlan) -> List[str]:
    """Return the lines of the yaml that the job takes out and puts in, after the name of the yaml."""
    first, second, *lines = plan.config_diff.splitlines()
    assert second == "+++ config.yaml"
    return [first.rpartition("/")[2], *(line for line in lines if not line.startswith("@@"))]


START_FROM_WEIGHTS = [
    "-load_checkpoint: ''",
    "-auto_trans_ckpt: False",
    f"+load_checkpoint: '{WEIGHTS}'",
    "+auto_trans_ckpt: True",
]
SHARED_OUTPUT = [
    "-output_dir: './output'",
    f"+output_dir: '{SHARED}/finetune-1'  # all nodes read the weights that rank 0 cuts into it",
]
READ_THE_DATA = ['-    dataset_dir: ""', f'+    dataset_dir: "{DATASET}"']
CUT_AT_THE_START = "checkpoint transform auto: the checkpoint is not cut for this job's cards"


def test_one_server_of_eight_cards() -> None:
    plan = Site(1).plan(checkpoint=WEIGHTS)
    assert commands(plan) == [argv(0, 8)]
    assert changes(plan) == ["finetune_telechat_7b.yaml", *START_FROM_WEIGHTS, *READ_THE_DATA]
    assert plan.notes == (CUT_AT_THE_START,)
    request = plan.start_request(plan.nodes[0])
    assert request["env"] == {
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "RANK_TABLE_FILE": None,
        "ASCEND_PROCESS_LOG_PATH": "/var/lib/telechat/jobs/finetune-1/logs/ascend",
        "PYTHONPATH": TREE,
    }
    assert list(request["files"]) == ["config.yaml"]


def test_a_plan_reads_its_yaml_once_and_writes_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"load": 0, "dump": 0}

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(YAML, name)

        def call(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return real(*args, **options)

        return call

    for name in calls:
        monkeypatch.setattr(YAML, name, counted(name))
    plan = Site(2, telechat_shared_paths=[SHARED]).plan(checkpoint=WEIGHTS, dp=8, mp=2)
    assert "+  model_parallel: 2" in changes(plan)
    # The second dump is the yaml as it was read, which the diff starts from.
    assert calls == {"load": 1, "dump": 2}


def test_two_servers_and_weights_cut_at_the_start() -> None:
    plan = Site(2, telechat_shared_paths=[SHARED]).plan(checkpoint=WEIGHTS, dp=8, mp=2)
    assert commands(plan) == [argv(0, 16), argv(1, 16)]
    assert changes(plan) == [
        "finetune_telechat_7b.yaml",
        *START_FROM_WEIGHTS,
        *SHARED_OUTPUT,
        *READ_THE_DATA,
        "-  model_parallel: 1",
        "+  model_parallel: 2",
    ]
    assert plan.start_request(plan.nodes[1])["env"] == {
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "RANK_TABLE_FILE": None,
        "ASCEND_PROCESS_LOG_PATH": "/var/lib/telechat/jobs/finetune-1/logs/ascend",
        "SHARED_PATHS": SHARED,
        "HCCL_IF_IP": "192.0.2.11",
        "PYTHONPATH": TREE,
    }


def test_two_servers_and_weights_cut_before() -> None:
    site = Site(2)
    site.checkpoint = {"kind": "ranks", "ranks": list(range(16)), "empty": []}
    plan = site.plan(checkpoint="/mnt/model/TeleChat2-7B-2mp8dp", checkpoint_transform="offline", dp=8, mp=2)
    assert commands(plan) == [argv(0, 16), argv(1, 16)]
    assert changes(plan) == [
        "finetune_telechat_7b.yaml",
        "-load_checkpoint: ''",
        "+load_checkpoint: '/mnt/model/TeleChat2-7B-2mp8dp'",
        *READ_THE_DATA,
        "-  model_parallel: 1",
        "+  model_parallel: 2",
    ]


def test_two_servers_without_numbers_get_a_layout() -> None:
    plan = Site(2, telechat_shared_paths=[SHARED]).plan(checkpoint=WEIGHTS)
    assert changes(plan)[-2:] == ["-  data_parallel: 8", "+  data_parallel: 16"]
    assert plan.notes[0].startswith("layout dp 16 mp 1 pp 1 cp 1 micro_batch_num 1: it is the yaml's own cut")
    assert "notes:\n  layout dp 16" in plan.as_text()


def test_lora_laid_over_the_full_yaml() -> None:
    plan = Site(1).plan(checkpoint=WEIGHTS, method="lora")
    assert commands(plan) == [argv(0, 8)]
    assert changes(plan) == [
        "finetune_telechat_7b.yaml",
        *START_FROM_WEIGHTS,
        *READ_THE_DATA,
        "+  strategy_ckpt_config:",
        "+    only_trainable_params: False  # merging LoRA needs the whole strategy",
        "+    pet_config:",
        "+      pet_type: lora",
        "+      lora_rank: 8",
        "+      lora_alpha: 16",
        "+      lora_dropout: 0.0",
        "+      compute_dtype: bfloat16",
        "+      param_init_type: float32",
        "+      target_modules: .*wq|.*wk_v|.*wo",
    ]
    config = yaml.safe_load(dict(plan.nodes[0].files)["config.yaml"])
    assert config["model"]["model_config"]["pet_config"]["target_modules"] == ".*wq|.*wk_v|.*wo"
    assert config["parallel"]["strategy_ckpt_config"] == {"only_trainable_params": False}


def test_lora_by_the_trees_own_yaml_with_another_rank() -> None:
    site = Site(1)
    site.yaml[f"{RESEARCH}/lora_telechat_7b.yaml"] = LORA_7B
    plan = site.plan("model.model_config.pet_config.lora_rank=16", checkpoint=WEIGHTS, method="lora")
    assert changes(plan) == [
        "lora_telechat_7b.yaml",
        *START_FROM_WEIGHTS,
        *READ_THE_DATA,
        "-      lora_rank: 8",
        "+      lora_rank: 16",
    ]


def test_a_long_text() -> None:
    site = Site(2, telechat_shared_paths=[SHARED])
    site.rows["row_lengths"] = [32769]
    balance = '{"enable_flash_attention_load_balance": true}'
    plan = site.plan(checkpoint=WEIGHTS, seq_length=32768, dp=4, mp=2, cp=2, speed_up=balance)
    assert commands(plan) == [argv(0, 16), argv(1, 16)]
    assert changes(plan) == [
        "finetune_telechat_7b.yaml",
        *START_FROM_WEIGHTS,
        *SHARED_OUTPUT,
        *READ_THE_DATA,
        "-  data_parallel: 8",
        "-  model_parallel: 1",
        "+  data_parallel: 4",
        "+  model_parallel: 2",
        "+  context_parallel: 2",
        "+  ascend_config:",
        "+    parallel_speed_up_json_path: ./parallel_speed_up.json",
        "-    seq_length: 8192",
        "+    seq_length: 32768",
        "-    pretrain_seqlen: 4096 # seqlen of the pretrain checkpoint",
        '-    extend_method: "None" # support "None", "PI", "NTK"',
        "+    pretrain_seqlen: 8192 # seqlen of the pretrain checkpoint",
        '+    extend_method: "NTK"  # support "None", "PI", "NTK"',
        "+    training_seqlen: 32768",
        "+    theta: 1000000",
    ]
    assert dict(plan.nodes[1].files)["parallel_speed_up.json"] == balance


def test_another_pipeline_than_the_yamls() -> None:
    plan = Site(4, telechat_shared_paths=[SHARED]).plan(model="35b", pp=8, mp=4, dp=1)
    assert changes(plan) == [
        "finetune_telechat_35b.yaml",
        *READ_THE_DATA,
        "-  pipeline_stage: 4",
        "+  pipeline_stage: 8",
        "-    offset: [-1, 1, 1, -1]",
        "+    offset: 0             # made for 8 stages, the yaml's for 4",
    ]
    assert plan.metric_rank == 31


def test_numbers_by_set_change_the_lists_too() -> None:
    plan = Site(4).plan("parallel_config.pipeline_stage=8", model="35b")
    assert "+    offset: 0             # made for 8 stages, the yaml's for 4" in changes(plan)


@pytest.mark.parametrize(
    ("overrides", "wishes", "message", "next_step"),
    [
        (["parallel_config.data_parallel=many"], {}, "this is a number of at least 1", ""),
        (["parallel_config.pipeline_stage=3"], {}, "no cut of this model over 8 cards obeys", "--dp 8"),
        (["model.model_config.offset=[1,1]"], {}, r"offset \[1, 1\] has 2 entries for 1 pipeline stages", "--set"),
        (["recompute_config.recompute=[1,1]"], {}, r"recompute \[1, 1\] has 2 entries", "one number for each stage"),
        ([], {"mp": 3}, "no cut of this model over 8 cards obeys the rules", "--dp 8 --mp 1 --pp 1 fits"),
        ([], {"model": "35b"}, "no cut of this model over 8 cards fits a card", "16 cards would do"),
        ([], {"model": "39b-a12b"}, "no cut of this model over 8 cards fits", "16 cards would do"),
    ],
)
def test_numbers_that_are_refused_before_anything_runs(
    overrides: List[str], wishes: Any, message: str, next_step: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Site(1).plan(*overrides, **wishes)
    assert next_step in caught.value.next_step


def test_the_communication_settings_that_the_trees_yaml_names_and_does_not_bring() -> None:
    with pytest.raises(ConfigError, match=r"parallel_speed_up_json_path is '\./parallel_speed_up\.json'") as caught:
        Site(2).plan(model="39b-a12b")
    assert "--flash-attention-load-balance" in caught.value.next_step
    plan = Site(2).plan("context.ascend_config.parallel_speed_up_json_path=null", model="39b-a12b")
    assert '-    parallel_speed_up_json_path: "./parallel_speed_up.json"' in changes(plan)
    plan = Site(2).plan(model="39b-a12b", speed_up="{}")
    assert dict(plan.nodes[0].files)["parallel_speed_up.json"] == "{}"


def refused(site: Site, **wishes: Any) -> TelechatError:
    with pytest.raises((PreflightError, SpecError)) as caught:
        site.plan(**wishes)
    return caught.value


def test_rows_of_another_length_than_the_sequence() -> None:
    error = refused(Site(1), seq_length=4096)
    assert error.exit_code == 5
    assert error.message.startswith("node0: the dataset has rows of 8193 ids; seq_length 4096 needs 4097")


def test_a_disk_without_room() -> None:
    site = Site(1)
    site.free_bytes = 200 * GIB
    error = refused(site)
    assert error.message == (
        "node0: /var/lib/telechat has 200.0 GiB free; 34 checkpoints of 113.5 GiB each are kept there, and 1 fit"
    )
    assert "keep_checkpoint_max" in error.next_step
    assert site.plan("callbacks.1.keep_checkpoint_max=1", epochs=1)


def test_shared_storage_without_room() -> None:
    site = Site(2, telechat_shared_paths=[SHARED])
    site.folder["free_bytes"] = GIB
    assert refused(site, checkpoint=WEIGHTS).message.startswith(f"{SHARED} has 1.0 GiB free")


def test_storage_that_is_called_shared_and_is_not() -> None:
    site = Site(2, telechat_shared_paths=[SHARED])
    other = {**site.folder, "filesystem": "ext4", "inode": 9}
    site.transports["node1"].answers["probe"] = lambda request: {**site.probe(request), "folders": {SHARED: other}}
    error = refused(site)
    assert error.message == (
        f"{SHARED} (telechat_shared_paths) is not the same folder on node0 (nfs4) and on node1 (ext4)"
    )


def test_weights_for_other_cards() -> None:
    site = Site(1)
    site.checkpoint = {"kind": "ranks", "ranks": [0, 1], "empty": []}
    error = refused(site, checkpoint="/mnt/model/cut")
    assert "it is cut for 2 ranks, and the job has 8" in error.message
    assert "telechat-run convert" in error.next_step


def test_a_yaml_of_ones_own_is_judged_before_any_node_is_asked() -> None:
    site = Site(2)
    with pytest.raises(ConfigError, match="= 8, but the job has 16 workers") as caught:
        site.plan(source=ConfigSource(name="mine.yaml", text=PUBLISHED["7b"]))
    assert caught.value.next_step.startswith("--dp 16 --mp 1 --pp 1 fits")
    assert [transport.commands() for transport in site.transports.values()] == [[], []]
    plan = site.plan(source=ConfigSource(name="mine.yaml", text=PUBLISHED["7b"]), dp=16)
    assert "+  data_parallel: 16" in changes(plan)


def test_full_training_by_a_lora_yaml() -> None:
    with pytest.raises(ConfigError, match=r"--method full, but the yaml has a pet_config \(lora\)"):
        Site(1).plan(source=ConfigSource(name="mine.yaml", text=LORA_7B), method="full")
