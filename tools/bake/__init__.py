# SPDX-License-Identifier: Apache-2.0
"""Parts of tools/bake_open_bodies.py."""
