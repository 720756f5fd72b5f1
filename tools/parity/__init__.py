# SPDX-License-Identifier: Apache-2.0
"""How tools/check_parity.py compares with stored numbers of the original; one file per subject."""
