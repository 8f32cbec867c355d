"""Streams: every picture once an epoch, and the same picture, noise and timestep however batches are cut."""

from __future__ import annotations

import pytest
import torch
from vu_train.latents import LatentStream
from vu_train.pictures import Example
from vu_train.randomness import seed_of
from vu_train.streams import Order

from vu_core.interfaces import Picture

N = 7


def stream(batch_size=3, *, name="forget", seed=0, views=1, size=N):
    pictures = [Picture(id=f"p{i}", caption=f"picture {i}", load=lambda: torch.zeros(3, 8, 8)) for i in range(size)]
    examples = [Example(picture=picture, caption=picture.caption, size=(8, 8)) for picture in pictures]
    mean = torch.arange(views * size, dtype=torch.float32).view(views, size, 1, 1, 1).expand(-1, -1, 4, 8, 8)
    return LatentStream(
        name, examples, mean, torch.full_like(mean, 0.5), batch_size=batch_size, seed=seed, timesteps=1000, device="cpu"
    )


@pytest.mark.parametrize("size", [1, 2, 7])
def test_every_epoch_is_a_new_permutation(size):
    order = Order(size, 0, "forget")
    epochs = [[order[size * epoch + i] for i in range(size)] for epoch in range(20)]
    assert all(sorted(epoch) == list(range(size)) for epoch in epochs)
    assert size < 7 or len({tuple(epoch) for epoch in epochs}) == 20
    assert [order[position] for position in (3 * size, 0)] == [epochs[3][0], epochs[0][0]]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, N, 2 * N + 1])
def test_a_use_of_a_picture_does_not_depend_on_the_batch_size(batch_size):
    total = 30
    one = stream(batch_size)
    whole = stream().take(range(total))
    cut = [one.take(range(start, min(start + batch_size, total))) for start in range(0, total, batch_size)]
    assert sum((batch.ids for batch in cut), ()) == whole.ids
    for field in ("latents", "noise", "timesteps"):
        assert torch.equal(torch.cat([getattr(batch, field) for batch in cut]), getattr(whole, field))
    assert one.take([17]).captions == (whole.captions[17],)


def test_uses_differ_between_epochs_streams_and_seeds():
    a, b, c = stream().take(range(2 * N)), stream(name="retain").take(range(2 * N)), stream(seed=1).take(range(2 * N))
    assert sorted(a.ids[:N]) == sorted(a.ids[N:]) == sorted({f"p{i}" for i in range(N)})
    flat = torch.cat([batch.noise.flatten(1) for batch in (a, b, c)])
    assert len(torch.unique(flat, dim=0)) == len(flat)
    assert a.noise.dtype == a.latents.dtype == torch.float32 and a.timesteps.dtype == torch.int64


def test_latents_noise_and_timesteps_are_distributed_as_they_should_be():
    batch = stream(size=2).take(range(4000))
    spread = (batch.latents.double() - torch.tensor([float(id_[1:]) for id_ in batch.ids]).view(-1, 1, 1, 1)) / 0.5
    for values in (spread, batch.noise.double()):
        assert values.mean().abs() < 0.01 and (values.std() - 1).abs() < 0.01
    correlation = (spread * batch.noise).mean()
    assert correlation.abs() < 0.01
    counts = torch.histc(batch.timesteps.double(), bins=10, min=0, max=1000)
    assert batch.timesteps.min() >= 0 and batch.timesteps.max() <= 999
    assert (counts - 400).abs().max() < 5 * 400**0.5


def test_views_are_chosen_by_chance_and_leave_noise_alone():
    plain, mirrored = stream(views=1).take(range(400)), stream(views=2).take(range(400))
    second = mirrored.latents.mean((1, 2, 3)) > N - 0.5
    assert 150 < second.sum() < 250
    assert torch.equal(mirrored.noise, plain.noise) and torch.equal(mirrored.timesteps, plain.timesteps)


def test_the_key_tells_streams_apart():
    keys = [stream(), stream(name="retain"), stream(seed=1), stream(size=6), stream(views=2)]
    assert len({one.key() for one in keys}) == 5
    assert stream().key() == stream(5).key()


def test_seeds_differ_from_place_to_place():
    places = (
        [(0, "a", i) for i in range(2000)] + [(1, "a", i) for i in range(2000)] + [(0, "b", i) for i in range(2000)]
    )
    seeds = {seed_of(*place) for place in places}
    assert len(seeds) == 6000 and min(seeds) >= 0 and max(seeds) < 2**63
