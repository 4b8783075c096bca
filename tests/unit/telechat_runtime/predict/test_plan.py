# SPDX-License-Identifier: Apache-2.0
"""Plans of predict for the guide's chapters: the whole argv, the whole yaml diff; and the way of the answers back."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, Dict, Optional

import pytest

from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import PreflightError, SpecError, UnreachableError
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.options import JobOptions, parse_override
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.predict.plan import fetch_answers, plan_predict
from telechat_runtime.predict.spec import Generation, PredictSpec
from telechat_runtime.training.shipped import ConfigSource
from tests.support.clusters import two_nodes
from tests.support.node_answers import probe_answer
from tests.support.predict_yaml import PREDICT_7B, PREDICT_35B, PREDICT_115B
from tests.support.scripted_transport import ScriptedTransport, clients

WEIGHTS = "/mnt/model/TeleChat2-7B_ms.ckpt"
VOCABULARY = "/mnt/model/tokenizer.model"
TREE = "/workspace/TeleChat2/mindformers"
SHIPPED = f"{TREE}/research/telechat2/predict_telechat_7b.yaml"
FILE = {"kind": "file", "ranks": [], "empty": []}
ROUTER = "  # the tree's inference code reads it for dense models too, and dies without it"


class Site:
    """Two nodes of eight NPUs with the TeleChat2 tree; only rank 0's is asked for the yaml."""

    def __init__(self, *, shipped: str = PREDICT_7B, checkpoint: Any = None, **common: Any) -> None:
        self.cluster: Cluster = two_nodes(telechat_tree=TREE, **common)
        self.shipped = shipped
        self.checkpoint = checkpoint or FILE
        self.missing = ""
        self.nodes = {node.name: ScriptedTransport({"probe": self.probe}) for node in self.cluster.nodes}
        self.clients = clients(self.cluster.nodes, self.nodes)

    def probe(self, request: Dict[str, Any]) -> Dict[str, Any]:
        kinds = {WEIGHTS: "file", VOCABULARY: "file"}
        return probe_answer(
            request,
            paths={path: None if path == self.missing else kinds.get(path, "dir") for path in request["paths"]},
            read={path: self.shipped if path == SHIPPED else None for path in request["read"]},
            python={"path": "/usr/bin/python3", "version": "3.10"},
            checkpoint=self.checkpoint,
        )

    def prepare(
        self, *, npus_per_node: Optional[int] = None, source: Optional[ConfigSource] = None, **wishes: Any
    ) -> JobPlan:
        given = {"model": "7b", "checkpoint": WEIGHTS, "tokenizer": VOCABULARY, "questions": ("生抽与老抽的区别",)}
        return plan_predict(
            PredictSpec(**{**given, **wishes}),
            JobOptions(job_name="predict", npus_per_node=npus_per_node),
            self.cluster,
            self.clients,
            source=source,
            interrupt=Interrupt(),
        )


def changes(plan: JobPlan) -> list[str]:
    return [line for line in plan.config_diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]


def request(plan: JobPlan) -> Dict[str, Any]:
    document: Dict[str, Any] = json.loads(dict(plan.nodes[0].files)["request.json"])
    return document


def program(plan: JobPlan) -> list[str]:
    work = f"/var/lib/telechat/jobs/{plan.job_id}/work"
    files = ["--config", f"{work}/config.yaml", "--request", f"{work}/request.json"]
    return [f"{work}/run_predict.py", *files, "--tree", TREE]


def test_one_card() -> None:
    site = Site()
    plan = site.prepare()
    assert [list(node.argv) for node in plan.nodes] == [["/usr/bin/python3", *program(plan)]]
    assert dict(plan.nodes[0].env) == {
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "RANK_TABLE_FILE": None,
        "ASCEND_PROCESS_LOG_PATH": f"/var/lib/telechat/jobs/{plan.job_id}/logs/ascend",
        "ASCEND_RT_VISIBLE_DEVICES": "0",
        "PYTHONPATH": TREE,
    }
    assert changes(plan) == [
        "-load_checkpoint: ''",
        f"+load_checkpoint: '{WEIGHTS}'",
        f"+    router_dense_type: float32{ROUTER}",
        '-    vocab_file: ""',
        f'+    vocab_file: "{VOCABULARY}"',
    ]
    assert plan.master_port is None
    assert site.nodes["node1"].commands() == []
    assert request(plan) == {
        "tokenizer": VOCABULARY,
        "checkpoint": WEIGHTS,
        "questions": ["生抽与老抽的区别"],
        "system": None,
        "raw": False,
        "longest": 512,
        "generation": {"seed": 0},
    }


def test_the_program_and_all_it_imports_travel_with_the_job() -> None:
    files = dict(Site().prepare().nodes[0].files)
    assert "def main" in files["run_predict.py"]
    modules = {name for name in files if name.startswith("telechat_runtime/")}
    imported = {
        line.split()[1].replace(".", "/")
        for text in files.values()
        for line in text.splitlines()
        if line.startswith("from telechat_runtime.")
    }
    assert all({f"{name}.py", f"{name}/__init__.py"} & modules for name in imported)
    assert modules >= {"telechat_runtime/__init__.py", "telechat_runtime/node/__init__.py"}


def test_several_cards_of_one_node() -> None:
    site = Site()
    site.cluster = site.cluster.limited_to(["node0"])
    plan = site.prepare(npus_per_node=8)
    folder = f"/var/lib/telechat/jobs/{plan.job_id}"
    assert [list(node.argv) for node in plan.nodes] == [
        [
            "msrun",
            "--worker_num=8",
            "--local_worker_num=8",
            "--master_addr=192.0.2.10",
            "--master_port=8118",
            "--node_rank=0",
            f"--log_dir={folder}/logs",
            "--join=True",
            "--cluster_time_out=300",
            "--tail_worker_log=8",
            "python3",
            *program(plan),
        ]
    ]
    assert changes(plan) == [
        "-load_checkpoint: ''",
        f"+load_checkpoint: '{WEIGHTS}'",
        "-auto_trans_ckpt: False",
        "+auto_trans_ckpt: True",
        "-use_parallel: False",
        "+use_parallel: True",
        "-  model_parallel: 1",
        "+  model_parallel: 8  # 8 cards",
        f"+    router_dense_type: float32{ROUTER}",
        '-    vocab_file: ""',
        f'+    vocab_file: "{VOCABULARY}"',
    ]
    assert plan.notes == ("checkpoint transform auto: the checkpoint is not cut for this job's cards",)


def test_several_nodes() -> None:
    plan = Site(shipped=PREDICT_7B, telechat_shared_paths=["/share"]).prepare(npus_per_node=8)
    assert [node.argv[1:6] for node in plan.nodes] == [
        (
            "--worker_num=16",
            "--local_worker_num=8",
            "--master_addr=192.0.2.10",
            "--master_port=8118",
            f"--node_rank={rank}",
        )
        for rank in (0, 1)
    ]
    assert f"+output_dir: '/share/{plan.job_id}'  # all nodes read the weights" in plan.config_diff


def test_extrapolation() -> None:
    plan = Site().prepare(extrapolate=32768, generation=Generation(max_new_tokens=1024))
    assert changes(plan) == [
        "-load_checkpoint: ''",
        f"+load_checkpoint: '{WEIGHTS}'",
        "-  parallel_mode: 1 # 0-data parallel, 1-semi-auto parallel",
        "-  full_batch: True",
        "+  parallel_mode: STAND_ALONE # 0-data parallel, 1-semi-auto parallel",
        "+  full_batch: False",
        "-    seq_length: 8192",
        "+    seq_length: 32768",
        '-    extend_method: "None"',
        '+    extend_method: "DYNAMIC_NTK"',
        "-    num_blocks: 512",
        "+    num_blocks: 2048  # block_size x num_blocks tokens fit into the KV cache",
        f"+    router_dense_type: float32{ROUTER}",
        "+    max_position_embedding: 8192 # the length of the training",
        '-    vocab_file: ""',
        f'+    vocab_file: "{VOCABULARY}"',
    ]
    assert request(plan)["longest"] == 32768


def test_stand_alone_cuts_no_model_so_one_card_runs() -> None:
    stand_alone = parse_override("parallel.parallel_mode=STAND_ALONE")
    plan = Site(shipped=PREDICT_35B).prepare(overrides=(stand_alone,))
    assert (plan.world_size, len(plan.nodes)) == (1, 1)
    plan = Site(shipped=PREDICT_35B).prepare(extrapolate=32768)
    assert (plan.world_size, len(plan.nodes)) == (1, 1)
    assert "+  model_parallel: 1  # STAND_ALONE cuts no model" in changes(plan)
    assert "+use_parallel: False" in changes(plan)


def test_an_extrapolation_in_a_mode_of_the_users_own_takes_the_cards_of_that_mode() -> None:
    plan = Site(shipped=PREDICT_35B).prepare(extrapolate=32768, overrides=(parse_override("parallel.parallel_mode=1"),))
    assert plan.world_size == 2


@pytest.mark.parametrize(("shipped", "cards"), [(PREDICT_35B, 2), (PREDICT_115B, 8)])
def test_a_model_for_several_cards_takes_them_of_one_node(shipped: str, cards: int) -> None:
    plan = Site(shipped=shipped).prepare()
    assert (plan.world_size, len(plan.nodes)) == (cards, 1)


def test_115b_gets_its_environment() -> None:
    assert dict(Site(shipped=PREDICT_115B).prepare().nodes[0].env)["ENABLE_CELL_REUSE"] == "1"


def test_a_yaml_of_ones_own_and_what_the_user_overrides() -> None:
    source = ConfigSource(name="mine.yaml", text=PREDICT_7B)
    plan = Site().prepare(
        source=source, model=None, overrides=(parse_override("parallel_config.model_parallel=4"),), npus_per_node=None
    )
    assert plan.world_size == 4
    assert plan.config_diff.startswith("--- mine.yaml")


@pytest.mark.parametrize(
    ("generation", "longest", "passed"),
    [
        (Generation(max_new_tokens=5, max_length=100), 8192, {"max_new_tokens": 5}),
        (Generation(max_length=100), 100, {"max_length": 100, "max_new_tokens": None}),
        (Generation(), 512, {}),
    ],
)
def test_new_tokens_come_before_the_length_in_total(
    generation: Generation, longest: int, passed: Dict[str, Any]
) -> None:
    asked = request(Site().prepare(generation=generation))
    assert (asked["longest"], asked["generation"]) == (longest, {**passed, "seed": 0})


def test_a_yaml_without_any_length_gets_the_models() -> None:
    shipped = PREDICT_7B.replace("    max_decode_length: 512\n", "")
    asked = request(Site(shipped=shipped).prepare())
    assert (asked["longest"], asked["generation"]) == (8192, {"max_length": 8192, "seed": 0})


@pytest.mark.parametrize("option", ["tokenizer", "checkpoint"])
def test_what_neither_the_options_nor_the_yaml_name(option: str) -> None:
    with pytest.raises(SpecError, match=f"the job has no {option}"):
        Site().prepare(**{option: ""})


def test_a_relative_path_in_the_yaml() -> None:
    shipped = PREDICT_7B.replace('vocab_file: ""', "vocab_file: tokenizer.model")
    with pytest.raises(SpecError, match=r"the yaml's tokenizer 'tokenizer\.model' is a relative path"):
        Site(shipped=shipped).prepare(tokenizer="")


def test_a_missing_vocabulary_is_named_with_the_node() -> None:
    site = Site()
    site.missing = VOCABULARY
    with pytest.raises(PreflightError, match=f"node0: {VOCABULARY} does not exist"):
        site.prepare()


def test_a_folder_for_a_vocabulary() -> None:
    with pytest.raises(PreflightError, match="node0: /mnt/model is a folder, but the tokenizer is a file"):
        Site().prepare(tokenizer="/mnt/model")


def test_a_sharded_checkpoint_on_one_card() -> None:
    site = Site(checkpoint={"kind": "ranks", "ranks": [0, 1], "empty": []})
    with pytest.raises(PreflightError, match="the checkpoint is cut for 2 ranks, and the job has one card"):
        site.prepare()


def test_a_sharded_checkpoint_without_its_strategy() -> None:
    site = Site(checkpoint={"kind": "ranks", "ranks": [0, 1], "empty": []})
    with pytest.raises(PreflightError, match="can't be cut anew at the start without the strategy"):
        site.prepare(npus_per_node=8)


def test_a_checkpoint_cut_for_these_cards_is_loaded_as_it_is() -> None:
    plan = Site(shipped=PREDICT_35B, checkpoint={"kind": "ranks", "ranks": [0, 1], "empty": []}).prepare()
    assert "auto_trans_ckpt" not in plan.config_diff


def answers_of(site: Site, *lines: Dict[str, Any], broken: bool = False) -> None:
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    data = {"event": "data", "base64": base64.b64encode(content).decode()}
    end = {"event": "end", "sha256": hashlib.sha256(content).hexdigest()}
    site.nodes["node0"].events = [data] if broken else [data, end]


def test_the_answers_come_from_rank_0s_node(tmp_path: Path) -> None:
    site = Site(telechat_shared_paths=["/share"])
    plan = site.prepare(npus_per_node=8)
    answers_of(site, {"index": 0, "answer": "生抽"}, {"index": 1, "answer": "b"})
    target = tmp_path / "out.jsonl"
    assert fetch_answers(plan, site.clients, target, Interrupt()) == 2
    assert [json.loads(line)["answer"] for line in target.read_text(encoding="utf-8").splitlines()] == ["生抽", "b"]
    asked = site.nodes["node0"].asked[-1]
    assert asked == ("read", {"job_root": "/var/lib/telechat", "path": "results.jsonl", "until_eof": True})
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_broken_link_leaves_the_old_answers(tmp_path: Path) -> None:
    site = Site()
    plan = site.prepare()
    answers_of(site, {"index": 0, "answer": "a"}, broken=True)
    target = tmp_path / "out.jsonl"
    target.write_text("old")
    with pytest.raises(UnreachableError, match="did not come whole") as caught:
        fetch_answers(plan, site.clients, target, Interrupt())
    assert f"/jobs/{plan.job_id}/work/results.jsonl" in caught.value.next_step
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.jsonl", "old")]
