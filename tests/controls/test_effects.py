"""Clusters, tags, and the effect of masking, with the arithmetic in the test."""

import numpy as np
import pytest

from aftertune.controls import effects
from aftertune.lab import clusters, rows, world


@pytest.fixture(scope="module")
def records():
    return rows.closed_rows(world.make(0))


def test_a_cluster_holds_the_rows_that_state_its_value(records):
    found = clusters.clusters(records)
    for (attribute, value), cluster in found.items():
        for place in cluster.rows:
            assert {"attribute": attribute, "value": value}.items() <= records[place]["states"][
                0
            ].items()
    assert sum(len(cluster.rows) for cluster in found.values()) == len(records)


def test_groups_part_the_clusters_and_spread_each_attribute(records):
    found = clusters.clusters(records)
    groups = clusters.groups(found, 4, seed=0)
    assert sorted(c.key for g in groups for c in g) == sorted(found)
    for group in groups:
        attributes = [cluster.attribute for cluster in group]
        assert max(attributes.count(a) for a in attributes) <= 2  # eight values in four groups


def test_row_runs_mask_every_row_once_and_none_beside_one_of_its_cluster(records):
    found = clusters.clusters(records)
    runs = clusters.row_runs(found)
    assert sorted(row for run in runs for row in run) == list(range(len(records)))
    assert len(runs) == 5
    assert max(map(len, runs)) - min(map(len, runs)) <= 12
    for cluster in found.values():
        assert all(len(set(run) & set(cluster.rows)) <= 1 for run in runs)
    assert clusters.row_runs({}) == []


def test_tags_are_spare_values_and_replace_the_value_alone(records):
    made = world.make(0)
    found = clusters.clusters(records)
    half = clusters.groups(found, 2, seed=0)[0]
    tag_of = clusters.tags(half, made.spare, seed=0)
    assert len({(attribute, tag) for (attribute, _), tag in tag_of.items()}) == len(half)
    assert all(tag in made.spare[attribute] for (attribute, _), tag in tag_of.items())
    for before, after in zip(records, clusters.tagged(records, tag_of), strict=True):
        (stated,) = before["states"]
        tag = tag_of.get((stated["attribute"], stated["value"]))
        assert before["messages"][0] == after["messages"][0]
        if tag is None:
            assert after == before
        else:
            said = after["messages"][1]["content"]
            assert tag.lower() in said.lower()
            assert len(said) == len(before["messages"][1]["content"]) - len(stated["value"]) + len(
                tag
            )
    with pytest.raises(ValueError, match="fewer spare values"):
        clusters.tags(list(found.values()), made.spare, seed=0)


def test_effect_is_the_mean_over_seeds_of_masked_minus_controls():
    # masked minus controls' mean: -2 + 1.05 = -0.95, -2.2 + 1 = -1.2, -1.9 + 1 = -0.9
    found = effects.effect(
        [-1.0, -1.0, -1.0], [-2.0, -2.2, -1.9], [[-1.1, -1.0], [-1.0, -1.0], [-0.9, -1.1]]
    )
    assert found.effect == pytest.approx(-(0.95 + 1.2 + 0.9) / 3)
    spread = np.std([-0.95, -1.2, -0.9], ddof=1) / np.sqrt(3)
    assert found.high - found.effect == pytest.approx(2.919986 * spread, rel=1e-5)  # t, 2 df, 90%
    assert found.control_effect == pytest.approx(-0.05 / 3)
    assert found.label == "caused"


def test_labels_say_undecided_where_seeds_disagree():
    assert effects.effect([0, 0, 0], [-3.0, 0.5, -1.0], [[0.0]] * 3).label == "undecided"
    assert effects.effect([0, 0, 0], [-0.01, 0.0, 0.01], [[0.0]] * 3).label == "not caused"
    assert effects.effect([0, 0, 0], [1.0, 1.1, 1.2], [[0.0]] * 3).label == "not caused"


def test_one_seed_has_no_effect():
    with pytest.raises(ValueError, match="two seeds"):
        effects.effect([0.0], [-1.0], [[0.0]])


def test_labels_from_pure_noise_are_rarely_caused():
    generator = np.random.default_rng(0)
    found = [
        effects.effect(
            generator.normal(0, 0.3, 3),
            generator.normal(0, 0.3, 3),
            generator.normal(0, 0.3, (3, 3)),
        ).label
        for _ in range(2000)
    ]
    assert found.count("caused") / 2000 <= 0.02
