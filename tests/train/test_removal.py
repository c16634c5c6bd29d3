# SPDX-License-Identifier: Apache-2.0
"""Removed filters: the smaller network, its artifact and the masked network are the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from xnorflow.golden.model import GoldenNetwork
from xnorflow.train.export import to_artifact
from xnorflow.train.layers import BatchNorm, PReLU
from xnorflow.train.masks import FilterMask, masked, prunable
from xnorflow.train.models import Layer
from xnorflow.train.recipes import Recipe, recipe
from xnorflow.train.removal import pruned_filters, remove_filters, smaller

torch.set_num_threads(1)

SMALL = replace(
    recipe("digits-cnn-w1a2"),
    layers=(
        Layer(6, 3, padding=1),
        Layer(9, 3, padding=1, pool=2, lanes=2, prelu=True),
        Layer(7, 3, padding=1, lanes=3, pool=2, pool_first=False),
        Layer(12, lanes=2),
        Layer(10),
    ),
)
AVERAGED = replace(
    recipe("digits-cnn-w1a2"),
    layers=(
        Layer(6, 3, padding=1, prelu=True),
        Layer(8, 1, prelu=True),
        Layer(8, 3, padding=1),
        Layer(10, 1, average=True, head="scale"),
    ),
)


@pytest.mark.parametrize("entry", [SMALL, AVERAGED], ids=["flattened", "averaged"])
@pytest.mark.parametrize("seed", [0, 1])
def test_golden_of_the_pruned_export_equals_the_masked_model(entry: Recipe, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    model = entry.build()
    for module in model.modules():  # so that shifts, slopes and falling channels matter
        if isinstance(module, BatchNorm):
            module.weight.data.normal_(generator=generator)
            module.bias.data.normal_(generator=generator)
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 20, generator=generator)
        elif isinstance(module, PReLU):
            module.weight.data.uniform_(0, 1, generator=generator)
    model.eval()
    kept = {}
    masks = {}
    for name, block in prunable(model).items():
        filters = len(block.linear.weight)
        kept[name] = torch.rand(filters, generator=generator) < 0.6
        kept[name][seed] = True
        kept[name][-1] = False
        masks[name] = FilterMask(filters)
        masks[name].keep(kept[name])
    images = torch.randint(0, 256, (40, 8, 8, 1), dtype=torch.uint8, generator=generator)
    with masked(model, masks):
        want = model.infer(images).numpy()
    small, pruned = remove_filters(entry, model, kept)
    np.testing.assert_array_equal(pruned.infer(images).numpy(), want)
    artifact = to_artifact(pruned, "pruned")
    np.testing.assert_array_equal(GoldenNetwork(artifact).infer(images.numpy()), want)
    assert not np.array_equal(model.infer(images).numpy(), want)
    # Gone from the layer, and from what the next one takes in.
    for (name, mask), before, after in zip(
        kept.items(), artifact.network.layers[1:], artifact.network.layers[2:], strict=False
    ):
        assert before.name == name and before.out_channels == int(mask.sum())
        assert after.in_shape[2] == before.out_channels
    assert [layer.channels for layer in small.layers[1:-1]] == [int(m.sum()) for m in kept.values()]


def test_alpha_stays_what_it_was() -> None:
    layers = (Layer(6, 3), Layer(8, 3, weights="scaled"), Layer(9, weights="scaled"), Layer(10))
    entry = replace(SMALL, layers=layers)
    model = entry.build().eval()
    kept = {"conv2": torch.arange(8) % 3 > 0, "fc3": torch.arange(9) > 1}
    _, pruned = remove_filters(entry, model, kept)
    before, after = (each.named_blocks()["fc3"].scale() for each in (model, pruned))
    assert before is not None and after is not None
    torch.testing.assert_close(after, before[kept["fc3"]], rtol=1e-6, atol=0)
    images = torch.randint(0, 256, (20, 8, 8, 1), dtype=torch.uint8)
    want = pruned.infer(images).numpy()
    np.testing.assert_array_equal(
        GoldenNetwork(to_artifact(pruned, "p")).infer(images.numpy()), want
    )


def test_nothing_removed_is_the_same_network() -> None:
    model = SMALL.build().eval()
    same, copy = remove_filters(SMALL, model, {})
    assert same == SMALL
    for (name, first), second in zip(
        model.state_dict().items(), copy.state_dict().values(), strict=True
    ):
        assert torch.equal(first, second), name


def test_pfr_and_smaller() -> None:
    assert pruned_filters({"conv2": 10, "fc3": 30}, {"conv2": 5, "fc3": 15, "x": 1}) == 0.5
    assert [layer.channels for layer in smaller(SMALL, {"conv3": 2}).layers] == [6, 9, 2, 12, 10]
    with pytest.raises(ValueError, match=r"has no layers \['conv9'\]; it has \['conv1'"):
        smaller(SMALL, {"conv9": 1})
