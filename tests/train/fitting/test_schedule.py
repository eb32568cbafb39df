# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from aminet_train.fitting import schedule


@pytest.mark.parametrize("total", [20, 137])
def test_is_the_one_cycle_of_pytorch(total):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=2e-3)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=2e-3, total_steps=total, pct_start=schedule.WARM_UP_SHARE
    )
    for step in range(total):
        group = optimizer.param_groups[0]
        assert 2e-3 * schedule.rate_share(step, total) == pytest.approx(group["lr"], rel=1e-9)
        assert schedule.momentum(step, total) == pytest.approx(group["betas"][0], rel=1e-9)
        optimizer.step()
        if step < total - 1:
            reference.step()


@pytest.mark.parametrize("total", [1, 2, 5, 10])
def test_short_runs_have_rates_too(total):
    shares = [schedule.rate_share(step, total) for step in range(total)]
    assert all(0 < share <= 1 for share in shares)
