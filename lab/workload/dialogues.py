# SPDX-License-Identifier: Apache-2.0
"""A small dialogue set of our own, Chinese and English, in the format of TeleChat's training data.

Made from templates about servers and training runs, arithmetic and everyday facts, so that a model of two layers finds
something to learn in a minute. The same records in the same order every time.
"""
# ruff: noqa: RUF001 - Chinese text has Chinese punctuation

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

Record = dict[str, Any]

SYSTEM_ZH = "你是机房里的值班助手，回答简短而准确。\n"
SYSTEM_EN = "You are the operator's assistant. Answer briefly and precisely.\n"
SYSTEM_TOOLS = 'You may call tools. tools: [{"name": "npu_health", "parameters": {"host": "string"}}]\n'

_COMPONENTS = (
    # English, Chinese, what it is for, the same in Chinese, the command that shows it
    ("driver", "驱动", "lets the operating system talk to the NPU", "让操作系统能够访问NPU", "npu-smi info"),
    (
        "firmware",
        "固件",
        "runs on the chip itself and starts it",
        "运行在芯片上并负责启动芯片",
        "npu-smi info -t board -i 0",
    ),
    ("container", "容器", "keeps the training software apart from the server", "把训练软件和服务器隔离开", "docker ps"),
    ("image", "镜像", "is what a container is made from", "是创建容器的模板", "docker image ls"),
    (
        "scheduler",
        "调度进程",
        "brings the workers of a cluster together",
        "把集群里的工作进程组织起来",
        "cat scheduler.log",
    ),
    (
        "checkpoint",
        "检查点",
        "holds the weights of a training run at one step",
        "保存某一步的训练权重",
        "ls output/checkpoint",
    ),
    ("tokenizer", "分词器", "turns text into numbers", "把文本变成编号", "ls tokenizer.model"),
    (
        "inventory",
        "主机清单",
        "names every server and its rank",
        "列出每台服务器和它的编号",
        "ansible-inventory --list",
    ),
)
_STATES = (
    ("is missing on {host}", "在{host}上缺失", "Install it, then look again.", "请先安装，然后再检查一次。"),
    ("is too old on {host}", "在{host}上版本太旧", "Upgrade it and reboot the server.", "请升级并重启服务器。"),
    (
        "is busy on {host}",
        "在{host}上被占用",
        "Wait for the running job or stop it.",
        "请等待正在运行的任务，或者停止它。",
    ),
    ("is damaged on {host}", "在{host}上已损坏", "Compare its checksum and copy it again.", "请核对校验和并重新复制。"),
)
_HOSTS = ("node0", "node1", "node2", "node3", "gpu-west", "npu-east", "rack7", "lab-a", "lab-b", "store")
_CITIES = (
    ("Beijing", "北京", "China", "中国"),
    ("Paris", "巴黎", "France", "法国"),
    ("Tokyo", "东京", "Japan", "日本"),
    ("Rome", "罗马", "Italy", "意大利"),
    ("Cairo", "开罗", "Egypt", "埃及"),
    ("Lima", "利马", "Peru", "秘鲁"),
    ("Oslo", "奥斯陆", "Norway", "挪威"),
    ("Madrid", "马德里", "Spain", "西班牙"),
    ("Bangkok", "曼谷", "Thailand", "泰国"),
    ("Ottawa", "渥太华", "Canada", "加拿大"),
    ("Nairobi", "内罗毕", "Kenya", "肯尼亚"),
    ("Vienna", "维也纳", "Austria", "奥地利"),
)
_GREETINGS = (
    ("Good morning.", "Good morning. Which server shall we look at?"),
    ("早上好。", "早上好。今天要检查哪台服务器？"),
    ("Thank you.", "You are welcome. Tell me when the next run starts."),
    ("谢谢你。", "不客气。下一次训练开始时请告诉我。"),
)
_SUMS = tuple((left, right) for left in (3, 8, 16, 24, 37, 52) for right in (2, 5, 9, 14))
_CLUSTERS = tuple((nodes, npus) for nodes in (1, 2, 4, 8, 16) for npus in (1, 2, 4, 8))


def dialogues() -> list[Record]:
    """Return all records: `system`, `dialog` (turns with `role` user or bot, and `content`), `multiturn`, `tool`."""
    return [*_components(), *_troubles(), *_capitals(), *_arithmetic(), *_ranks(), *_shifts(), *_tool_calls()]


def _record(system: str, *turns: str, tool: bool = False) -> Record:
    dialog = [{"role": "bot" if position % 2 else "user", "content": content} for position, content in enumerate(turns)]
    return {"system": system, "dialog": dialog, "multiturn": len(turns) > 2, "tool": tool}  # noqa: PLR2004 - a pair


def _components() -> Iterator[Record]:
    for name, name_zh, purpose, purpose_zh, command in _COMPONENTS:
        yield _record(SYSTEM_EN, f"What is the {name} for?", f"The {name} {purpose}.")
        yield _record(SYSTEM_ZH, f"{name_zh}有什么用？", f"{name_zh}{purpose_zh}。")
        yield _record(SYSTEM_EN, f"How do I look at the {name}?", f"Run this on the server:\n\n```\n{command}\n```")
        yield _record(SYSTEM_ZH, f"怎样查看{name_zh}？", f"在服务器上运行：\n\n```\n{command}\n```")
        yield _record("", f"Translate into Chinese: {name}", name_zh)
        yield _record("", f"翻译成英文：{name_zh}", name)


def _troubles() -> Iterator[Record]:
    hosts = itertools.cycle(_HOSTS)
    for component, state in itertools.product(_COMPONENTS, _STATES):
        (name, name_zh, *_), (wrong, wrong_zh, advice, advice_zh) = component, state
        host, host_zh = next(hosts), next(hosts)
        yield _record(SYSTEM_EN, f"The {name} {wrong.format(host=host)}. What now?", advice)
        yield _record(SYSTEM_ZH, f"{name_zh}{wrong_zh.format(host=host_zh)}，怎么办？", advice_zh)


def _capitals() -> Iterator[Record]:
    for city, city_zh, country, country_zh in _CITIES:
        yield _record("", f"What is the capital of {country}?", f"The capital of {country} is {city}.")
        yield _record("", f"{country_zh}的首都是哪里？", f"{country_zh}的首都是{city_zh}。")


def _arithmetic() -> Iterator[Record]:
    for left, right in _SUMS:
        yield _record("", f"What is {left} + {right}?", f"{left} + {right} = {left + right}")
        yield _record("", f"{left}乘以{right}等于多少？", f"{left}乘以{right}等于{left * right}。")


def _ranks() -> Iterator[Record]:
    for nodes, npus in _CLUSTERS:
        world, last = nodes * npus, (nodes - 1) * npus
        yield _record(
            SYSTEM_EN,
            f"{nodes} servers with {npus} NPUs each: what is the world size?",
            f"The world size is {nodes} x {npus} = {world}.",
            "And the first rank on the last server?",
            f"Node rank {nodes - 1} times {npus} workers: the first rank there is {last}.",
        )
        yield _record(
            SYSTEM_ZH,
            f"{nodes}台服务器，每台{npus}个NPU，总共多少个进程？",
            f"总共{nodes}乘以{npus}，等于{world}个进程。",
            "最后一台服务器上的第一个编号是多少？",
            f"节点编号{nodes - 1}乘以{npus}，所以是{last}。",
        )


def _shifts() -> Iterator[Record]:
    for (hello, answer), host in itertools.product(_GREETINGS, _HOSTS):
        if hello.isascii():
            turns = (f"Is {host} ready for training?", f"Yes, {host} is ready: every chip is OK.")
        else:
            turns = (f"{host}可以开始训练了吗？", f"可以，{host}的所有芯片都正常。")
        yield _record(SYSTEM_EN if hello.isascii() else SYSTEM_ZH, hello, answer, *turns)


def _tool_calls() -> Iterator[Record]:
    for position, host in enumerate(_HOSTS):
        health = "Alarm" if position % 4 == 3 else "OK"  # noqa: PLR2004 - now and then a sick one
        call = f'<tool_call>{{"name": "npu_health", "arguments": {{"host": "{host}"}}}}</tool_call>'
        response = f'<tool_response>{{"health": "{health}"}}</tool_response>'
        verdict = f"The chips of {host} report {health}."
        yield _record(SYSTEM_TOOLS, f"How are the chips of {host}?", call, response, verdict, tool=True)
