#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Set everything up on a fresh machine and run the tests; arguments go to pytest.
#
#   ./tools/test.sh                  all but the slow ones
#   ./tools/test.sh test/assets -x   some
#   ROS2_DICE_EXTRAS=ros,test ./tools/test.sh   without torch
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

prepare_system
make_venv
install_tree "${ROS2_DICE_EXTRAS:-ros,dice,test}"
pull_assets
say 'Tests'
cd "$ROOT"
exec "$VENV/bin/python" -m pytest "$@"
