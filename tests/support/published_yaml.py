# SPDX-License-Identifier: Apache-2.0
"""Small yaml files of the shape, and with the numbers, of those that TeleChat2 publishes for its models."""

from __future__ import annotations

from typing import Dict

# What the published files have that no setting of a job touches is left out.
_TEXT = """\
load_checkpoint: ''
auto_trans_ckpt: False
only_save_strategy: False
run_mode: 'finetune'
output_dir: './output'
trainer:
  type: CausalLanguageModelingTrainer
  model_name: '{model_name}'
runner_config:
  epochs: 10
  batch_size: 1
lr_schedule:
  learning_rate: 1.5e-4
{moe}train_dataset: &train_dataset
  data_loader:
    type: MindDataset
    dataset_dir: ""
    shuffle: True
  input_columns: ["input_ids", "labels"]
train_dataset_task:
  type: CausalLanguageModelDataset
  dataset_config: *train_dataset
use_parallel: True
parallel:
  parallel_mode: 1 # 0-data parallel, 1-semi-auto parallel
  full_batch: True
  enable_parallel_optimizer: True
  {strategy}
{pipeline_config}  parallel_optimizer_config:
    gradient_accumulation_shard: False
{optimizer_shard}parallel_config:
  data_parallel: {dp}
  model_parallel: {mp}
  pipeline_stage: {pp}
{ep}  use_seq_parallel: True
  micro_batch_num: {micro}
recompute_config:
  recompute: {recompute}
  select_recompute: {select}
  select_comm_recompute: {comm}
callbacks:
  - type: MFLossMonitor
  - type: CheckpointMonitor
    save_checkpoint_steps: 1500
    keep_checkpoint_max: 300
context:
  device_target: "Ascend"
  max_device_memory: "58GB"
{ascend_config}model:
  model_config:
    type: TelechatConfig
    batch_size: 1 # add for increase predict
    seq_length: 8192
    hidden_size: {hidden}
    num_layers: {layers}
    num_heads: {heads}
{kv_heads}    vocab_size: 131072
{interleave}    intermediate_size: {ffn}
    use_flash_attention: True # FA can accelerate training or finetune
    pretrain_seqlen: {pretrain} # seqlen of the pretrain checkpoint
    extend_method: "None" # support "None", "PI", "NTK"
    offset: {offset}
{fine_grain}  arch:
    type: TelechatForCausalLM
"""
_NOTHING = {
    "moe": "", "strategy": 'strategy_ckpt_save_file: "./ckpt_strategy.ckpt"', "pipeline_config": "",
    "optimizer_shard": "", "ep": "", "kv_heads": "", "interleave": "", "fine_grain": "", "ascend_config": "",
    "recompute": "True", "select": "False", "comm": "False", "offset": "0", "pretrain": "8192",
}  # fmt: skip
_115B_OFFSET = "[[-1, -1, 0, 0, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1, -1]]"
PUBLISHED: Dict[str, str] = {
    "7b": _TEXT.format(
        **{**_NOTHING, "pretrain": "4096"}, model_name="telechat_7b", dp=8, mp=1, pp=1, micro=1,
        hidden=4096, layers=30, heads=32, ffn=12288,
    ),
    "35b": _TEXT.format(
        **{**_NOTHING, "offset": "[-1, 1, 1, -1]", "fine_grain": "    fine_grain_interleave: 2\n"},
        model_name="telechat_35b", dp=1, mp=4, pp=4, micro=32, hidden=6144, layers=64, heads=48, ffn=20480,
    ),
    "115b": _TEXT.format(
        **{
            **_NOTHING,
            "pipeline_config": "  pipeline_config:\n    pipeline_interleave: True\n    pipeline_scheduler: '1f1b'\n",
            "recompute": "False", "select": "True", "comm": "[8, 8, 10, 11, 10, 7, 5, 4]",
            "kv_heads": "    n_kv_heads: 8\n", "interleave": "    pp_interleave_num: 3\n",
            "offset": _115B_OFFSET, "fine_grain": "    fine_grain_interleave: 2\n",
        },
        model_name="telechat_115b", dp=8, mp=8, pp=8, micro=8, hidden=8192, layers=96, heads=64, ffn=40960,
    ),
    "39b-a12b": _TEXT.format(
        **{
            **_NOTHING,
            "moe": "moe_config:\n  expert_num: 16\n  capacity_factor: 1.2\n  num_experts_chosen: 4\n",
            "optimizer_shard": "    optimizer_weight_shard_size: 2\n", "ep": "  expert_parallel: 2\n",
            "recompute": "[3, 0]", "kv_heads": "    n_kv_heads: 32\n",
            "ascend_config": '  ascend_config:\n    parallel_speed_up_json_path: "./parallel_speed_up.json"\n',
        },
        model_name="telechat_7b_moe", dp=128, mp=4, pp=2, micro=4, hidden=4096, layers=30, heads=32, ffn=6144,
    ),
}  # fmt: skip
LORA_7B = PUBLISHED["7b"].replace(
    'strategy_ckpt_save_file: "./ckpt_strategy.ckpt"',
    'strategy_ckpt_config:\n    save_file: "./ckpt_strategy.ckpt"\n    only_trainable_params: False',
).replace(
    "  arch:\n",
    "    pet_config:\n      pet_type: lora\n      lora_rank: 8\n      lora_alpha: 16\n      lora_dropout: 0.0\n"
    "      compute_dtype: \"bfloat16\"\n      param_init_type: \"float32\"\n      target_modules: '.*wq|.*wk_v|.*wo'\n"
    "  arch:\n",
)  # fmt: skip
CARDS: Dict[str, int] = {"7b": 8, "35b": 16, "115b": 512, "39b-a12b": 1024}
