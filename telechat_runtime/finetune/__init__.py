# SPDX-License-Identifier: Apache-2.0
"""Plans a finetune, resumes it from its latest checkpoint and restarts it after failures.

Imports go downward: resume → plan → checkpoint_stop | config → saved_training | settings → latest_checkpoint |
restart | spec.
"""
