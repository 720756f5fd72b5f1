# SPDX-License-Identifier: Apache-2.0
"""Topologies of the open bodies: sizes, levels, regions, refusal of broken files."""
from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ros2_dice.bodies import OpenBodies, Part, Side, Topology, load_open_bodies
from ros2_dice.errors import AssetError

DATAGRAM_BYTES = 64_000


def edges(topology: Topology) -> Counter[tuple[int, int]]:
    """Return the directed edges of all triangles."""
    triangles = topology.faces.astype(int)
    return Counter(map(tuple, np.concatenate(
        (triangles[:, :2], triangles[:, 1:], triangles[:, [2, 0]])).tolist()))


def every_level(bodies: OpenBodies) -> list[Topology]:
    """Return all surfaces at all levels."""
    return [level for topology in bodies.topologies for level in (topology, *topology.coarser)]


def test_parts_and_sides(bodies: OpenBodies) -> None:
    assert [(t.part, t.side) for t in bodies.topologies] == [
        (Part.HAND, Side.LEFT), (Part.HAND, Side.RIGHT), (Part.FACE, Side.NONE)]
    assert len({level.topology_id for level in every_level(bodies)}) == 9
    for topology in bodies.topologies:
        assert topology.family == 'open'
        assert topology.license == 'CC0-1.0'
        assert topology.may_be_shared


def test_a_whole_message_at_the_medium_level_fits_a_datagram(bodies: OpenBodies) -> None:
    hand = bodies.hand_left.topology.level(1).vertex_count
    face = bodies.head.topology.level(1).vertex_count
    vertices_and_contact, deformation = 12 + 1, 12
    assert hand * vertices_and_contact + face * (vertices_and_contact + deformation) \
        < DATAGRAM_BYTES - 2_000, 'room for poses, names and the transport'


def test_levels_are_subsets_that_get_coarser(bodies: OpenBodies) -> None:
    for topology in bodies.topologies:
        counts = [topology.vertex_count]
        for coarse in topology.coarser:
            assert coarse.full_indices is not None
            np.testing.assert_array_equal(
                coarse.rest_vertices_m, topology.rest_vertices_m[coarse.full_indices])
            np.testing.assert_array_equal(coarse.regions, topology.regions[coarse.full_indices])
            counts.append(coarse.vertex_count)
        assert counts[0] > 1.7 * counts[1] > 1.7 * 1.7 * counts[2]


def test_all_levels_are_oriented_manifolds(bodies: OpenBodies) -> None:
    for level in every_level(bodies):
        count = edges(level)
        assert max(count.values()) == 1, 'two triangles on the same side of an edge'
        if level.part == Part.HAND:
            assert all((b, a) in count for a, b in count), 'a hole in the hand'


def test_triangles_face_outwards(bodies: OpenBodies) -> None:
    for level in every_level(bodies):
        corners = level.rest_vertices_m.astype(float)[level.faces]
        volume = np.einsum('ij,ij->', corners[:, 0],
                           np.cross(corners[:, 1], corners[:, 2])) / 6
        assert volume > 1e-4


def test_regions_are_the_fixed_list(bodies: OpenBodies) -> None:
    hand, head = bodies.hand_left.topology, bodies.head.topology
    assert len(hand.region_names) == 22
    assert len(head.region_names) == 16
    assert hand.region_names[:2] == ('palm', 'back')
    assert {'lips', 'cheek_left', 'cheek_right', 'chin', 'nose'} <= set(head.region_names)
    for topology in (hand, head):
        for level in (topology, topology.level(1)):
            assert set(np.unique(level.regions)) == set(range(len(topology.region_names)))


def test_ids_follow_the_contents(bodies: OpenBodies) -> None:
    again = load_open_bodies(Path(__file__).resolve().parents[2] / 'model' / 'open_bodies.npz')
    assert [t.topology_id for t in again.topologies] == [
        t.topology_id for t in bodies.topologies]
    assert bodies.hand_left.topology.topology_id.startswith('open_hand_left_1641_')


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 torn', b'\x93NUMPY'])
def test_broken_file_says_what_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'open_bodies.npz'
    path.write_bytes(content)
    with pytest.raises(AssetError, match='open_bodies.npz'):
        load_open_bodies(path)


def test_file_without_its_arrays_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'open_bodies.npz'
    np.savez(path, hand_vertices=np.zeros((3, 3)))
    with pytest.raises(AssetError, match='bake'):
        load_open_bodies(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match='reinstall'):
        load_open_bodies(tmp_path / 'none.npz')
