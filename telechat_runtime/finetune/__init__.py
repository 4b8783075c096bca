# SPDX-License-Identifier: Apache-2.0
"""Plans a finetune, resumes it from its latest checkpoint and restarts it after failures."""
