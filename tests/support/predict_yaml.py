# SPDX-License-Identifier: Apache-2.0
"""The keys of TeleChat2's predict yaml that a plan looks at, spelled as in the shipped files."""

from __future__ import annotations

PREDICT_7B = """\
load_checkpoint: ''
src_strategy_path_or_dir: ''
auto_trans_ckpt: False
run_mode: 'predict'
output_dir: './output'
use_parallel: False
trainer:
  type: CausalLanguageModelingTrainer
  model_name: 'telechat_7b'
parallel:
  parallel_mode: 1 # 0-data parallel, 1-semi-auto parallel
  full_batch: True
parallel_config:
  data_parallel: 1
  model_parallel: 1
  pipeline_stage: 1
context:
  mode: 0
  device_target: "Ascend"
model:
  model_config:
    type: TelechatConfig
    batch_size: 1
    seq_length: 8192
    num_heads: 32
    use_past: True
    pretrain_seqlen: 8192
    extend_method: "None"
    block_size: 16
    num_blocks: 512
    is_dynamic: True
    max_decode_length: 512
    top_k: 3
    top_p: 1
    do_sample: False
  arch:
    type: TelechatForCausalLM
processor:
  tokenizer:
    vocab_file: ""
"""
PREDICT_35B = (
    PREDICT_7B.replace("telechat_7b", "telechat_35b")
    .replace("model_parallel: 1", "model_parallel: 2")
    .replace("num_heads: 32", "num_heads: 48")
    .replace("use_parallel: False", "use_parallel: True")
)
PREDICT_115B = (
    PREDICT_7B.replace("telechat_7b", "telechat_115b")
    .replace("model_parallel: 1", "model_parallel: 8")
    .replace("num_heads: 32", "num_heads: 64\n    n_kv_heads: 8")
    .replace("use_parallel: False", "use_parallel: True")
)
PREDICT_39B_A12B = PREDICT_35B.replace("telechat_35b", "telechat_39b").replace(
    "num_heads: 48", 'num_heads: 32\n    router_dense_type: "float32"'
)
