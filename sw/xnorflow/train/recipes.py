# SPDX-License-Identifier: Apache-2.0
"""Recipes: every hyperparameter of a training run in one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from xnorflow.core.network import Shape
from xnorflow.train.augment import Augmentation
from xnorflow.train.blocks import BinaryNetwork
from xnorflow.train.data import DATASETS
from xnorflow.train.estimators import ESTIMATORS
from xnorflow.train.models import Layer, build, layers_of
from xnorflow.train.schedules import SCHEDULES
from xnorflow.zoo.networks import named

__all__ = ["RECIPES", "Recipe", "recipe"]


_CHOICES = {
    "schedule": SCHEDULES,
    "dtype": ("float32", "bfloat16"),
    "estimator": tuple(ESTIMATORS),
    "optimizer": ("adam", "sgd"),
}


@dataclass(frozen=True)
class Recipe:
    """What to train, on what, and how.

    Parameters
    ----------
    name : str
        The network's name.
    dataset : str
        One of ``train.data.DATASETS``.
    image_shape : (int, int, int)
        Height, width, channels of its images.
    pixel_lanes : int
        Highest bits of a pixel that enter the network, 1..8.
    layers : tuple of Layer
        The network; the last layer has a channel a class.
    epochs : int
        Passes over the training images.
    batch_size : int
        Images a step; what does not fill a last batch is left out of that epoch.
    learning_rate : float
        At the first step.
    augmentation : Augmentation
        What is done to training images, freshly in every epoch.
    label_smoothing : float
        Share of the target that is spread over all classes.
    seed : int
        Of the first weights, the order of images and their augmentation.
    schedule : str
        How the learning rate falls, as :mod:`xnorflow.train.schedules` says.
    decay_epochs : int
        Of the schedule ``"hold"``: the epochs at the end in which it falls.
    dtype : str
        ``"float32"``, or ``"bfloat16"`` for convolutions and activations in training.
    estimator : str
        Of activations' signs, one of ``train.estimators.ESTIMATORS``.
    optimizer : str
        ``"adam"``, or ``"sgd"`` with momentum 0.9.
    bipolar, l2 : float
        Weights of the regularisers in ``train.losses``.
    clip : bool
        Cut hidden weights to [-1, 1] after every step.
    rising : bool
        Keep PReLU slopes >= 0, as an array needs them.
    start : str
        A run's folder, whose network gives the first weights; empty for random ones. What it
        lacks or has in another shape begins as it would without.
    teacher : str
        A finished run's folder, whose network's answers are learnt too; empty for none.
    teacher_share : float
        Share of its answers in the loss; the labels have the rest.
    temperature : float
        That softens both networks' answers.
    """

    name: str
    dataset: str
    image_shape: Shape
    pixel_lanes: int
    layers: tuple[Layer, ...]
    epochs: int
    batch_size: int = 128
    learning_rate: float = 3e-3
    augmentation: Augmentation = field(default_factory=Augmentation)
    label_smoothing: float = 0.0
    seed: int = 1
    schedule: str = "cosine"
    decay_epochs: int = 0
    dtype: str = "float32"
    estimator: str = "identity"
    optimizer: str = "adam"
    bipolar: float = 0.0
    l2: float = 0.0
    clip: bool = True
    rising: bool = True
    start: str = ""
    teacher: str = ""
    teacher_share: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        if self.dataset not in DATASETS:
            raise ValueError(
                f"recipe {self.name!r}: unknown data set {self.dataset!r}; "
                f"known: {', '.join(DATASETS)}"
            )
        for what in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, what) > 0:
                raise ValueError(
                    f"recipe {self.name!r}: {what} must be positive, not {getattr(self, what)}"
                )
        for what, known in _CHOICES.items():
            if getattr(self, what) not in known:
                raise ValueError(
                    f"recipe {self.name!r}: {what} must be one of {', '.join(known)}, "
                    f"not {getattr(self, what)!r}"
                )

    @property
    def held_epochs(self) -> int:
        """Epochs of the schedule ``"hold"`` before the learning rate falls; else 0."""
        return max(self.epochs - self.decay_epochs, 0) if self.schedule == "hold" else 0

    def build(self) -> BinaryNetwork:
        """The untrained network: the same first weights for the same recipe."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            estimator = ESTIMATORS[self.estimator]
            return build(self.image_shape, self.pixel_lanes, self.layers, estimator)

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """The recipe that ``to_json`` wrote."""
        values = dict(data)
        values["image_shape"] = tuple(values["image_shape"])
        values["layers"] = tuple(Layer(**layer) for layer in values["layers"])
        values["augmentation"] = Augmentation(**values["augmentation"])
        return cls(**values)


def _cifar(network: str, **options: Any) -> Recipe:
    """A network of zoo/networks.py on CIFAR-10, with the usual crops and mirrored images."""
    spec = named(network)
    return Recipe(
        name=f"cifar10-{network.replace('-cifar10', '')}",
        dataset="cifar10",
        image_shape=spec.image_shape,
        pixel_lanes=spec.input_lanes,
        layers=layers_of(spec),
        augmentation=Augmentation(flip=True, crop=4),
        schedule="hold",
        dtype="bfloat16",
        **options,
    )


def _with_head(recipe: Recipe, head: str) -> Recipe:
    """The recipe with another end behind its last layer."""
    *layers, last = recipe.layers
    return replace(recipe, layers=(*layers, replace(last, head=head)))


def _thinner(name: str, recipe: Recipe, divisor: int) -> Recipe:
    """The recipe with so many times fewer channels in all layers but the last."""
    *layers, last = recipe.layers
    thin = tuple(replace(layer, channels=layer.channels // divisor) for layer in layers)
    return replace(recipe, name=name, layers=(*thin, last))


def _conv(channels: int, *, pool: int = 1) -> Layer:
    """3x3, zero padding, two residual lanes."""
    return Layer(channels, kernel=3, padding=1, pool=pool, lanes=2)


_ALL = (
    # 8x8 digits of scikit-learn: half a minute on one core, no download.
    Recipe(
        name="digits-cnn-w1a2",
        dataset="digits",
        image_shape=(8, 8, 1),
        pixel_lanes=4,
        layers=(_conv(16), _conv(32, pool=2), Layer(64, lanes=2), Layer(10)),
        epochs=40,
        batch_size=64,
        learning_rate=5e-3,
        augmentation=Augmentation(shift=0.5, rotate=5),
    ),
    # Black and white pixels and signs: every value in the network is one bit.
    Recipe(
        name="mnist-mlp-w1a1",
        dataset="mnist",
        image_shape=(28, 28, 1),
        pixel_lanes=1,
        layers=(Layer(256), Layer(256), Layer(256), Layer(10)),
        epochs=60,
        learning_rate=1e-2,
        augmentation=Augmentation(shift=1, rotate=5, zoom=0.05),
    ),
    # Two residual lanes; pooled early, since cycles go with the area of the map.
    Recipe(
        name="mnist-cnn-w1a2",
        dataset="mnist",
        image_shape=(28, 28, 1),
        pixel_lanes=2,
        layers=(_conv(16, pool=2), _conv(32), _conv(32, pool=2), _conv(64), Layer(10)),
        epochs=10,
        learning_rate=5e-3,
        augmentation=Augmentation(shift=2, rotate=10, zoom=0.1),
    ),
    # Grey clothes: two residual lanes, all eight bits of a pixel.
    Recipe(
        name="fashion-cnn-w1a2",
        dataset="fashion_mnist",
        image_shape=(28, 28, 1),
        pixel_lanes=8,
        layers=(_conv(32), _conv(32, pool=2), _conv(64), _conv(64, pool=2), Layer(10)),
        epochs=30,
        learning_rate=5e-3,
        augmentation=Augmentation(flip=True, crop=2),
        dtype="bfloat16",
    ),
    # FINN's CNV, one bit everywhere but the pixels; then with two residual lanes, from its weights.
    _cifar("cnv-w1a1", epochs=76, decay_epochs=40, learning_rate=2e-3),
    _cifar(
        "cnv-w1a2",
        epochs=32,
        decay_epochs=20,
        learning_rate=2e-3,
        start="runs/cifar10-cnv-w1a1",
    ),
    # A quarter of the channels: what ablations and pruning can afford many times.
    _thinner(
        "cifar10-cnv-quarter-w1a1",
        _cifar("cnv-w1a1", epochs=10, decay_epochs=5, learning_rate=2e-3),
        4,
    ),
    _thinner(
        "cifar10-vgg11-quarter-w1a1",
        _cifar("vgg11-cifar10", epochs=10, decay_epochs=5, learning_rate=2e-3),
        4,
    ),
    # Network in Network whose last layer is binary too, with the compact paper's scale behind it.
    _with_head(_cifar("nin-cifar10-w1a2", epochs=10, decay_epochs=5, learning_rate=2e-3), "scale"),
)

RECIPES = {entry.name: entry for entry in _ALL}
"""The recipes that come with the package, by name."""


def recipe(name: str) -> Recipe:
    """The recipe of that name; ValueError lists the known ones."""
    if name not in RECIPES:
        raise ValueError(f"unknown recipe {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]
