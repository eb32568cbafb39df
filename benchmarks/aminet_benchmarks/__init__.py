# SPDX-License-Identifier: Apache-2.0
"""Programs that put AMI-Net to the test: phantom patients, speed, memory and quality gates.

data_speed  how fast training data are prepared and loaded
phantom     a digital phantom of stroke mCTA, with known truth and twins
"""
