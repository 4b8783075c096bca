# SPDX-License-Identifier: Apache-2.0
"""What servers and jobs read alike: Ascend's tools and files, and the files that a node is shared by.

Ansible's modules have this package as ansible.module_utils.ascend (plugins/module_utils/ascend is a link to it), the
node runtime and the control side as telechat_runtime.ascend. So it keeps to Python 3.7, to the standard library, and to
relative imports.

Imports go downward: service_file → atomic_file | docker_inspect | host | image_archive | kernels | lease_file |
listeners | npu_smi | package_url | processes | run_check | schema | version | version_info.
"""
