# SPDX-License-Identifier: Apache-2.0
"""The main job from beginning to end: bare servers of the lab, site.yml, a finetune on all of them."""
