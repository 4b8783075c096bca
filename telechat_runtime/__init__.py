"""Runs TeleChat2's MindFormers jobs on all Ascend servers of an Ansible inventory."""
