# SPDX-License-Identifier: Apache-2.0
"""The `ros2-dice` command: one file for each verb, loaded when it is called."""
