# SPDX-License-Identifier: Apache-2.0
"""
Hand mesh, face mesh, their contact and the face's deformation from camera images.

The message classes are ``ros2_dice.msg``, ``ros2_dice.srv`` and ``ros2_dice.action``. They are
generated from the top-level directories of the same names: by colcon in a ROS workspace, by
setup.py elsewhere. Everything outside ``ros2_dice.ros`` imports without them.
"""
from pkgutil import extend_path

__version__ = '0.1.0'

# Run from a source tree, the code is found there but the generated messages may be only in the
# installed copy: look further along sys.path for those.
__path__ = extend_path(__path__, __name__)
