# SPDX-License-Identifier: Apache-2.0
"""Which networks the study compares, and how each is trained.

Settings that are not named are `aminet-train`'s own, that is those of the source report's best
trials. Epochs are fewer than the report's 40, so that the study takes an hour or two on one core.
"""

from dataclasses import dataclass

PRETRAINED = "mobilenetv2"
"""The only network whose ImageNet weights are named by `--weights`."""

BY_SLICE = "-by-slice"


@dataclass(frozen=True, slots=True)
class Training:
    """One network of the study.

    Attributes:
        name: Of its run.
        label: Of its row in the tables.
        model: As `aminet-train` calls it.
        channels: As `aminet-prepare` calls them.
        epochs: At most.
        settings: Further words for `aminet-train`.
        by_slice: Whether it learns from a split by slices, which leaks.
    """

    name: str
    label: str
    model: str
    channels: str
    epochs: int
    settings: tuple[str, ...] = ()
    by_slice: bool = False

    @property
    def prepared(self) -> str:
        """Name of the prepared cohort that it learns from."""
        return prepared_name(self.channels, by_slice=self.by_slice)


def prepared_name(channels: str, *, by_slice: bool = False) -> str:
    """Return the folder of the cohort that was prepared for some channels."""
    return f"prepared-{channels}{BY_SLICE if by_slice else ''}"


SIMPLE_CNN_ON_SPIRAL = (
    *("--activation", "relu", "--learning-rate", "0.00061"),
    *("--dropout", "0.39", "--positive-weight", "15.26"),
)
"""The report's best trial on SPIRAL."""

FROM_SCRATCH = ("--weights", "none", "--backbone-rate", "0.5")
"""No ImageNet weights of EfficientFormerV2 were to be had; all of it has to learn."""

MEMORISING = (
    *("--no-augmentation", "--frozen-epochs", "0", "--learning-rate", "0.002"),
    *("--backbone-rate", "0.5", "--positive-weight", "4", "--validation-stride", "2"),
)
"""By slices a network has to remember its patients, and few epochs to do it in."""

FINE_TUNING = (
    *("--frozen-epochs", "0", "--learning-rate", "0.002"),
    *("--positive-weight", "4", "--validation-stride", "4"),
)
"""Few epochs, and so none of them frozen: all of it fits into an hour or two of one core."""

TRAININGS: tuple[Training, ...] = (
    Training(
        "mobilenetv2-cta-by-slice",
        "MobileNetV2, CTA, by slices",
        "mobilenetv2",
        "cta",
        10,
        MEMORISING,
        by_slice=True,
    ),
    Training("mobilenetv2-cta", "MobileNetV2, CTA", "mobilenetv2", "cta", 3, FINE_TUNING),
    Training(
        "simple_cnn-cta", "simple CNN, CTA", "simple_cnn", "cta", 6, ("--validation-stride", "4")
    ),
    Training(
        "simple_cnn-cta-by-slice",
        "simple CNN, CTA, by slices",
        "simple_cnn",
        "cta",
        6,
        ("--no-augmentation", "--validation-stride", "4"),
        by_slice=True,
    ),
    Training(
        "simple_cnn-spiral",
        "simple CNN, SPIRAL",
        "simple_cnn",
        "spiral",
        6,
        (*SIMPLE_CNN_ON_SPIRAL, "--validation-stride", "4"),
    ),
    Training(
        "efficientformerv2-cta",
        "EfficientFormerV2, CTA, no ImageNet weights",
        "efficientformerv2",
        "cta",
        2,
        (*FROM_SCRATCH, *FINE_TUNING),
    ),
    Training(
        "mobilenetv2-cta+spiral",
        "MobileNetV2, CTA and SPIRAL",
        "mobilenetv2",
        "cta+spiral",
        2,
        FINE_TUNING,
    ),
    Training(
        "mobilenetv2-window3",
        "MobileNetV2, CTA, 3 slices",
        "mobilenetv2",
        "cta",
        2,
        ("--window", "3", "--window-spacing", "2", *FINE_TUNING),
    ),
)

MEMBERS = ("simple_cnn-cta", "mobilenetv2-cta", "efficientformerv2-cta")
"""Of the ensemble: the three networks of the report on its own input."""

TWIN_TESTED = ("simple_cnn-cta", "mobilenetv2-cta")
"""The smallest and the best network of the report; twins are prepared for this input alone."""
