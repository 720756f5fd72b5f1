# SPDX-License-Identifier: Apache-2.0
"""The node, a thin shell over the core, and its tools: the only room that imports rclpy."""
