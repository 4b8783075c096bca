# SPDX-License-Identifier: Apache-2.0
"""The command line: the only importer of click, and all that people read is printed here.

Imports go downward: convert → finetune → attach | finetune_resume | merge_lora | predict | replay → reference |
run_job → check | cordon | doctor | job_options | jobs | logs | main | nodes | preprocess | restart_daemon | show |
status | stop | sweep → node | options | progress | table | timespec | verbose.
"""
