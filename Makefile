# SPDX-License-Identifier: BSD-3-Clause
# The front door; everything else is Meson.
