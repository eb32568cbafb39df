# SPDX-License-Identifier: Apache-2.0
import dataclasses
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aminet_runtime.errors import InputMissing, UsageError
from aminet_train.commands import train_flags
from aminet_train.fitting.augment import AugmentConfig
from aminet_train.fitting.config import Precision, ProcessesConfig, ScheduleConfig, TrainConfig
from aminet_train.fitting.defaults import MODEL_DEFAULTS
from aminet_train.fitting.losses import LossConfig
from aminet_train.fitting.resolve_config import resolve, written
from aminet_train.networks.heads import Head
from aminet_train.networks.simple_cnn import Activation, SimpleCnnConfig
from aminet_train.settings import read_toml, to_tables, write_toml
from aminet_train.slice_window import SliceWindow

LEAST = {"model": "mobilenetv2", "data": ["prepared"]}


def test_later_layers_win_key_by_key():
    config = resolve(
        LEAST,
        {"schedule": {"epochs": 7, "patience": 3}, "precision": "bf16-mixed"},
        {"schedule": {"epochs": 9}, "window": {"size": 3, "spacing_mm": 2}},
    )
    assert (config.schedule.epochs, config.schedule.patience) == (9, 3)
    assert config.precision is Precision.BFLOAT16
    assert config.window == SliceWindow(3, 2.0)
    assert config.data == (Path("prepared"),)


@pytest.mark.parametrize("model", list(MODEL_DEFAULTS))
def test_each_network_has_the_defaults_of_the_report(model):
    config = resolve({**LEAST, "model": model})
    defaults = MODEL_DEFAULTS[model]
    assert config.schedule.learning_rate == defaults["schedule"]["learning_rate"]
    assert config.loss.positive_weight == defaults["loss"]["positive_weight"]
    assert to_tables(config.network).items() >= defaults["network"].items()


def test_masks_switch_the_dense_head_and_the_mask_loss_on():
    config = resolve({**LEAST, "masks": True}, {"loss": {"mask_weight": 0.5}})
    assert config.network.head is Head.DENSE
    assert config.loss.mask_weight == 0.5
    assert config.loss.positive_weight == 4.0


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"epochs": 3}, r"unknown setting 'epochs'; .* 'schedule\.epochs'"),
        ({"approach": "simple_cnn"}, r"'approach'; the network is named by 'model'"),
        ({"learning-rate": 1}, r"'learning-rate'; .* 'schedule\.learning_rate'"),
        ({"schedule": {"epoch": 3}}, r"'schedule\.epoch'; the nearest known one .*epochs'"),
        ({"network": {"droput": 0.1}}, r"'network\.droput'; .*'network\.dropout'"),
        ({"schedule": {"epochs": 2.5}}, r"schedule\.epochs must be a whole number, not 2\.5"),
        ({"schedule": {"epochs": True}}, r"schedule\.epochs must be a whole number, not True"),
        ({"loss": {"mask_weight": "much"}}, r"loss\.mask_weight must be a number"),
        ({"schedule": 3}, r"schedule is a table, not 3"),
        ({"precision": "16"}, r"precision is '16', which is none of: 32-true, bf16-mixed"),
        ({"model": "resnet"}, r"model 'resnet' is none of simple_cnn"),
        ({"window": {"size": 4}}, r"window: a window of 4 slices is none of"),
        ({"schedule": {"epochs": 0}}, r"schedule: epochs, patience and batch_size are at least 1"),
        ({"processes": {"devices": 3}}, r"settings: a batch of 32 slices cannot be dealt to 3"),
        ({"processes": {"devices": 0}}, r"processes: devices, nodes and threads are at least 1"),
        ({"model": "simple_cnn", "masks": True}, r"simple_cnn has no map to learn masks on"),
        ({"loss": {"mask_weight": 0.1}}, r"a mask weight needs a dense head"),
        ({"loss": {"elsewhere_target": 1.5}}, r"loss: elsewhere_target is 0 to 1, not 1\.5"),
        ({"loss": {"elsewhere_target": -0.1}}, r"loss: elsewhere_target is 0 to 1, not -0\.1"),
        ({"loss": {"elsewhere_target": float("nan")}}, r"elsewhere_target is 0 to 1, not nan"),
        ({"validation_stride": 0}, r"settings: validation_stride is at least 1, not 0"),
        ({"negatives_per_positive": -0.5}, r"negatives_per_positive is at least 0 .*, not -0\.5"),
        ({"negatives_per_positive": float("nan")}, r"negatives_per_positive is .*, not nan"),
        ({"negatives_per_positive": float("inf")}, r"negatives_per_positive is .*, not inf"),
        ({"seed": -1}, r"settings: seed is at least 0, not -1"),
    ],
)
def test_refuses_settings_by_name(tables, message):
    with pytest.raises(UsageError, match=message):
        resolve(LEAST, tables)


@pytest.mark.parametrize("model", list(MODEL_DEFAULTS))
@pytest.mark.parametrize("dropout", [-0.1, 1.0, 1.5, float("nan")])
def test_refuses_a_dropout_that_is_no_share(model, dropout):
    message = rf"network: dropout is 0 to 1 \(1 excluded\), not {dropout:g}"
    with pytest.raises(UsageError, match=message):
        resolve(LEAST, {"model": model, "network": {"dropout": dropout}})


@pytest.mark.parametrize(("name", "least"), [("pool", 1), ("features", 1), ("extra_layers", 0)])
def test_refuses_a_simple_cnn_of_less_than_nothing(name, least):
    simple = {**LEAST, "model": "simple_cnn"}
    with pytest.raises(UsageError, match=f"network: {name} is at least {least}, not {least - 1}"):
        resolve(simple, {"network": {name: least - 1}})
    assert getattr(resolve(simple, {"network": {name: least}}).network, name) == least


def test_augmentation_can_be_switched_off():
    still = resolve({**LEAST, "augmentation": False}).augment
    assert not any(to_tables(still).values())
    assert resolve({**LEAST, "augmentation": True}).augment == AugmentConfig()


def test_needs_a_network_and_data():
    with pytest.raises(UsageError, match="no network is named; add --model"):
        resolve({})
    with pytest.raises(UsageError, match="data"):
        resolve({"model": "mobilenetv2"})


@pytest.mark.parametrize("model", list(MODEL_DEFAULTS))
def test_what_is_written_reads_back_the_same(model):
    config = resolve({**LEAST, "model": model, "window": {"size": 5, "slab": True}})
    assert resolve(tomllib.loads(written(config))) == config


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@example({"a": "\x7f"})
@given(st.dictionaries(st.sampled_from("abc"), TEXT | NUMBERS | st.booleans() | st.lists(TEXT)))
def test_toml_values_survive(table):
    assert tomllib.loads(write_toml({**table, "inner": table})) == {**table, "inner": table}


def test_reads_toml_or_says_why_not(tmp_path):
    with pytest.raises(InputMissing, match=r"absent\.toml: cannot be read"):
        read_toml(tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("epochs = = 3")
    with pytest.raises(UsageError, match=r"bad\.toml: not TOML"):
        read_toml(tmp_path / "bad.toml")


def flags():
    return [flag for group in train_flags.GROUPS.values() for flag in group]


@pytest.mark.parametrize("flag", flags(), ids=lambda flag: flag.name)
def test_help_shows_the_default_of_each_setting(flag):
    owners = {
        "schedule": ScheduleConfig,
        "loss": LossConfig,
        "window": SliceWindow,
        "processes": ProcessesConfig,
        "": TrainConfig,
    }
    table, _dot, key = flag.setting.rpartition(".")
    differs = any(key in (tables.get(table) or tables) for tables in MODEL_DEFAULTS.values())
    if differs:
        assert train_flags.PER_MODEL in flag.help
    elif flag.kind in {int, float} and table in owners:
        defaults = {field.name: field.default for field in dataclasses.fields(owners[table])}
        shown = "" if defaults[key] is None else format(defaults[key], ".6g")
        assert f"default {shown}" in flag.help


@pytest.mark.parametrize("flag", flags(), ids=lambda flag: flag.name)
def test_each_flag_is_a_setting(flag):
    table, _dot, key = flag.setting.rpartition(".")
    known = {"": TrainConfig, "augment": AugmentConfig, "schedule": ScheduleConfig}
    known |= {"loss": LossConfig, "window": SliceWindow, "processes": ProcessesConfig}
    if table == "network":
        assert any(key in to_tables(resolve({**LEAST, "model": m}).network) for m in MODEL_DEFAULTS)
    elif flag.setting not in {"masks", "augmentation"}:
        assert key in {field.name for field in dataclasses.fields(known[table])}


def test_simple_cnn_takes_the_report_s_space():
    network = {"activation": "relu", "pool": 2, "features": 128, "extra_layers": 0}
    config = resolve({**LEAST, "model": "simple_cnn", "network": network})
    assert config.network == SimpleCnnConfig(2, 128, 0.27, 0, Activation.RELU)
