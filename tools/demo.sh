#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Set everything up on a fresh machine and run the demo; arguments go to `ros2-dice demo`.
#
#   ./tools/demo.sh                              the shipped clip
#   ./tools/demo.sh --source clip.mp4 --out out  a clip of yours
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

prepare_system
make_venv
install_tree ros
pull_assets
say 'Demo: camera, node and recorder over ROS topics'
exec "$VENV/bin/ros2-dice" demo "$@"
