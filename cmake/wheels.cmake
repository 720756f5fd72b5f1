# SPDX-License-Identifier: Apache-2.0
# Injected with -DCMAKE_PROJECT_INCLUDE by setup.py only. A real ROS build never reads it.
#
# The ROS wheels carry CMake packages exported on the machine that built them:
# some imported targets list include directories that exist only there (the
# builder's Python and NumPy headers). CMake refuses such a target, so the
# missing directories are dropped at the end of the configure step.
cmake_minimum_required(VERSION 3.19)

function(ros_wheels_drop_missing_includes)
  get_property(targets DIRECTORY "${CMAKE_SOURCE_DIR}" PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT directories)
      continue()
    endif()
    set(kept "")
    foreach(directory IN LISTS directories)
      if(directory MATCHES "^\\$<" OR IS_DIRECTORY "${directory}")
        list(APPEND kept "${directory}")
      endif()
    endforeach()
    set_property(TARGET ${target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${kept}")
  endforeach()
endfunction()

cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL ros_wheels_drop_missing_includes)

# In a virtual environment the executables must run under its own Python.
if(NOT EXECUTABLE_TEMPLATE)
  set(EXECUTABLE_TEMPLATE cmake/executable_wheels.py.in)
endif()
