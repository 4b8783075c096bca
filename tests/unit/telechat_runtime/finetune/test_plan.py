# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, Callable, Dict, Optional

import pytest
import yaml

from telechat_runtime.cluster.topology import Cluster
from telechat_runtime.errors import ConfigError, InterruptedByUserError, PreflightError, SpecError
from telechat_runtime.fanout import FleetError
from telechat_runtime.finetune.plan import plan_finetune
from telechat_runtime.finetune.spec import FinetuneSpec
from telechat_runtime.interrupt import Interrupt
from telechat_runtime.job.identity import whoami
from telechat_runtime.job.options import JobOptions
from telechat_runtime.plan.plan import JobPlan
from telechat_runtime.remote.transport import Result
from telechat_runtime.training.shipped import ConfigSource
from tests.support.clusters import two_nodes
from tests.support.node_answers import probe_answer
from tests.support.scripted_transport import ScriptedTransport, clients

YAML = "train_dataset: {data_loader: {dataset_dir: ''}}\nload_checkpoint: ''\n"
SOURCE = ConfigSource(name="finetune.yaml", text=YAML)
TREE_YAML = "/tree/research/telechat2/telechat2-7b/finetune_telechat_7b.yaml"


def node(*, missing: str = "", lease: Any = None, shipped: Optional[str] = None) -> ScriptedTransport:
    def probe(request: Dict[str, Any]) -> Dict[str, Any]:
        port = request["port"]
        return probe_answer(
            request,
            lease=lease,
            paths={path: None if path == missing else "dir" for path in request["paths"]},
            port={"wanted": port, "free": port + 1, "peers": port + 2} if port else None,
            read={path: shipped if path == TREE_YAML else None for path in request["read"]},
        )

    return ScriptedTransport({"probe": probe})


class Site:
    def __init__(self, node0: ScriptedTransport, node1: ScriptedTransport, cluster: Optional[Cluster] = None) -> None:
        self.cluster = cluster or two_nodes()
        self.nodes = {"node0": node0, "node1": node1}
        self.interrupt = Interrupt()

    def prepare(self, spec: FinetuneSpec, source: Optional[ConfigSource] = SOURCE) -> JobPlan:
        return plan_finetune(
            spec,
            JobOptions(job_name="finetune"),
            self.cluster,
            clients(self.cluster.nodes, self.nodes),
            source=source,
            interrupt=self.interrupt,
        )


def test_one_look_at_every_node_makes_the_plan() -> None:
    site = Site(node(), node())
    plan = site.prepare(FinetuneSpec(dataset="/data", checkpoint="/w.ckpt"))
    assert plan.master_port == 8119
    assert plan.owner == whoami()
    assert [transport.commands() for transport in site.nodes.values()] == [["probe"], ["probe"]]
    requests = [transport.asked[0][1] for transport in site.nodes.values()]
    assert [request["port"] for request in requests] == [8118, None]
    assert all(request["paths"] == ["/data", "/w.ckpt"] for request in requests)
    files = dict(plan.nodes[1].files)
    assert yaml.safe_load(files["config.yaml"])["load_checkpoint"] == "/w.ckpt"
    assert "def main" in files["run_mindformer.py"]


def test_a_path_that_one_node_lacks_is_named_with_the_node() -> None:
    with pytest.raises(PreflightError, match="does not exist") as caught:
        Site(node(), node(missing="/data")).prepare(FinetuneSpec(dataset="/data"))
    assert caught.value.message == "node1: /data does not exist"


def test_paths_of_the_yaml_are_looked_for_too() -> None:
    source = ConfigSource(name="x.yaml", text=YAML.replace("dataset_dir: ''", "dataset_dir: /own"))
    with pytest.raises(PreflightError, match="node0: /own does not exist"):
        Site(node(missing="/own"), node()).prepare(FinetuneSpec(), source)


def test_busy_nodes_name_the_owner() -> None:
    lease = {"job_id": "finetune-9", "owner": "bob@laptop", "since": "10:00"}
    with pytest.raises(PreflightError, match="node1: busy: bob@laptop runs job finetune-9 on it since 10:00"):
        Site(node(), node(lease=lease)).prepare(FinetuneSpec(dataset="/data"))


def test_a_container_that_does_not_run() -> None:
    stopped = ScriptedTransport({"probe": Result(1, "", "Error response from daemon: No such container: telechat")})
    with pytest.raises(FleetError, match="node1: the container 'telechat' is not running") as caught:
        Site(node(), stopped).prepare(FinetuneSpec(dataset="/data"))
    assert caught.value.exit_code == 5


def test_a_job_without_a_dataset() -> None:
    with pytest.raises(SpecError, match="the job has no dataset"):
        Site(node(), node()).prepare(FinetuneSpec())


def test_a_yaml_that_reads_no_dataset() -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml has no train_dataset"):
        Site(node(), node()).prepare(FinetuneSpec(dataset="/data"), ConfigSource(name="x.yaml", text="seed: 0\n"))


def test_a_relative_path_in_the_yaml() -> None:
    source = ConfigSource(name="x.yaml", text=YAML.replace("load_checkpoint: ''", "load_checkpoint: w.ckpt"))
    with pytest.raises(SpecError, match=r"the yaml's checkpoint 'w\.ckpt' is a relative path"):
        Site(node(), node()).prepare(FinetuneSpec(dataset="/data"), source)


def test_a_model_of_the_tree_is_read_from_rank_0() -> None:
    site = Site(node(shipped=YAML), node(), two_nodes(telechat_tree="/tree"))
    plan = site.prepare(FinetuneSpec(model="7b", dataset="/data"), None)
    assert f"--- {TREE_YAML}" in plan.config_diff
    assert TREE_YAML in site.nodes["node0"].asked[0][1]["read"]
    assert site.nodes["node1"].asked[0][1]["read"] == []
    assert [name for name, _ in plan.nodes[0].files] == ["config.yaml"]


def test_paths_that_only_the_trees_yaml_names_take_a_second_look() -> None:
    shipped = YAML.replace("load_checkpoint: ''", "load_checkpoint: /w.ckpt")
    site = Site(node(shipped=shipped), node(missing="/w.ckpt"), two_nodes(telechat_tree="/tree"))
    with pytest.raises(PreflightError, match=r"node1: /w\.ckpt does not exist"):
        site.prepare(FinetuneSpec(model="7b", dataset="/data"), None)


def test_a_tree_without_that_model() -> None:
    site = Site(node(), node(), two_nodes(telechat_tree="/tree"))
    with pytest.raises(PreflightError, match="node0: the tree has no finetune yaml for --model 7b; looked for /tree/"):
        site.prepare(FinetuneSpec(model="7b", dataset="/data"), None)


def test_a_model_without_a_tree() -> None:
    with pytest.raises(SpecError, match="the inventory names none"):
        Site(node(), node()).prepare(FinetuneSpec(model="7b", dataset="/data"), None)


def test_ctrl_c_while_looking() -> None:
    site = Site(node(), node())
    probe: Callable[[Dict[str, Any]], Any] = site.nodes["node0"].answers["probe"]  # type: ignore[assignment]

    def interrupted(request: Dict[str, Any]) -> Any:
        site.interrupt.request()
        return probe(request)

    site.nodes["node0"].answers["probe"] = interrupted
    with pytest.raises(InterruptedByUserError, match="interrupted while looking at the nodes"):
        site.prepare(FinetuneSpec(dataset="/data"))
