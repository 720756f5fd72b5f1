# SPDX-License-Identifier: Apache-2.0
"""Tracks, names and searches, on scenes without pixels."""
from __future__ import annotations

import numpy as np
import pytest
from scene import Scene, Thing

from ros2_dice.landmarks import FaceSight, PersonObservation, PersonTracker
from ros2_dice.parameters import Settings
from ros2_dice.types import Frame, Handedness

PIXELS = np.full((480, 640, 3), 90, np.uint8)


class Stage:
    """A tracker that looks at a scene, 30 frames a second."""

    def __init__(self, scene: Scene, **values: object) -> None:
        self.scene = scene
        self.settings = Settings({'tracking.deterministic_ids': True,
                                  **{name.replace('__', '.'): v for name, v in values.items()}})
        self.tracker = PersonTracker(self.settings, networks=scene.networks())
        self.frame_index = 0

    def look(self, frames: int = 1, pixels: np.ndarray = PIXELS,
             ) -> tuple[PersonObservation, ...]:
        """Return what the last of some frames shows."""
        seen = ()
        for _ in range(frames):
            seen = self.tracker.observe(Frame(pixels, stamp_ns=self.frame_index * 33_000_000))
            self.frame_index += 1
        return seen


def test_person_with_two_hands_keeps_names() -> None:
    """One person, two sides, the same names in every frame."""
    scene = Scene([Thing(320, 150, 100)], [Thing(200, 300, 90), Thing(440, 300, 90, right=0.03)])
    stage = Stage(scene)
    first = stage.look()
    assert [p.person_id for p in first] == ['a0000']
    assert [(h.hand_id, h.handedness) for h in first[0].hands] == [
        ('a0001', Handedness.RIGHT), ('a0002', Handedness.LEFT)]
    for step in range(30):
        for hand in scene.hands:
            hand.x += 3
        scene.faces[0].y += 1
        seen = stage.look()
        assert [h.hand_id for h in seen[0].hands] == ['a0001', 'a0002'], step
        assert seen[0].face_fresh
        assert all(h.fresh for h in seen[0].hands)
        assert seen[0].hands[0].handedness_confidence > 0.9


def test_no_detector_runs_while_all_is_well() -> None:
    """A face and both hands: three landmark networks a frame and nothing else."""
    stage = Stage(Scene([Thing(320, 150, 100)], [Thing(200, 300, 90), Thing(440, 300, 90)]))
    stage.look()
    stage.scene.calls.clear()
    stage.look(20)
    assert stage.scene.calls == {'face': 20, 'hand': 40}


def test_a_still_hand_is_shown_in_the_very_same_square() -> None:
    """Landmarks that tremble by 2 % do not move the square: its wander would move the hand."""
    scene, rng = Scene([Thing(320, 150, 100)], [Thing(200, 300, 90)]), np.random.default_rng(0)
    stage = Stage(scene)
    stage.look()
    squares = set()
    for _ in range(30):
        scene.hands[0].x, scene.hands[0].y = np.array((200, 300)) + rng.uniform(-2, 2, 2)
        scene.faces[0].x, scene.faces[0].y = np.array((320, 150)) + rng.uniform(-2, 2, 2)
        seen = stage.look()
        face = seen[0].face
        assert face is not None
        squares.add((seen[0].hands[0].observation.roi, face.roi))
    assert len(squares) == 1


def test_a_fast_hand_is_looked_for_where_it_is_going() -> None:
    """At a third of its size a frame the square is ahead; a turn costs a second look at most."""
    scene = Scene([], [Thing(100, 300, 90)])
    stage = Stage(scene)
    stage.look(3)
    for step in range(12):
        scene.hands[0].x += 30 if step < 6 else -30
        stage.scene.calls.clear()
        seen = stage.look()
        assert seen[0].hands[0].fresh, step
        assert stage.scene.calls['hand'] <= 2
        if step in (3, 4, 5, 9, 10, 11):
            square = seen[0].hands[0].observation.roi
            assert abs(square.cx_px - scene.hands[0].x) < 0.05 * square.size_px
            assert stage.scene.calls['hand'] == 1


def test_after_a_gap_a_face_is_looked_at_until_its_square_rests() -> None:
    """A second without a frame: the old square shows half of the face, and bends its landmarks."""
    scene = Scene([Thing(320, 150, 100)])
    stage = Stage(scene)
    stage.look(3)
    scene.faces[0].x += 45
    stage.frame_index += 30
    face = stage.look()[0].face
    assert face is not None
    assert abs(face.roi.cx_px - scene.faces[0].x) < 0.05 * face.roi.size_px


def test_left_hand_is_shown_mirrored() -> None:
    """The network sees right hands only, once the side is settled."""
    stage = Stage(Scene([], [Thing(200, 300, 90, right=0.03)]))
    seen = stage.look(5)
    assert seen[0].hands[0].handedness == Handedness.LEFT
    assert seen[0].hands[0].observation.roi.mirrored


def test_searches_cost_one_detector_a_frame() -> None:
    """With a hand missing, no frame runs more than one detector, and each gets its turn."""
    stage = Stage(Scene([Thing(320, 150, 100)], [Thing(200, 300, 90)]))
    stage.look()
    total = {'palm': 0, 'near': 0, 'far': 0, 'body': 0}
    for _ in range(40):
        stage.scene.calls.clear()
        stage.look()
        counts = {name: stage.scene.calls.get(name, 0) for name in total}
        assert sum(counts.values()) <= 1
        total = {name: total[name] + counts[name] for name in total}
    assert total == {'palm': 10, 'near': 0, 'far': 0, 'body': 0}


def test_lost_hand_is_kept_and_then_ends() -> None:
    """Stale for tracking.timeout under its name, then gone; it comes back under a new one."""
    scene = Scene([Thing(320, 150, 100)], [Thing(200, 300, 90)])
    stage = Stage(scene)
    name = stage.look(3)[0].hands[0].hand_id
    hand = scene.hands.pop()
    kept = stage.look()[0].hands[0]
    assert (kept.hand_id, kept.fresh) == (name, False)
    assert stage.look(9)[0].hands == ()
    scene.hands.append(hand)
    again = stage.look(12)[0].hands[0]
    assert again.fresh
    assert again.hand_id != name


def test_hand_that_returns_in_time_keeps_its_name() -> None:
    """A short loss is no loss."""
    scene = Scene([Thing(320, 150, 100)], [Thing(200, 300, 90)])
    stage = Stage(scene)
    name = stage.look(3)[0].hands[0].hand_id
    hand = scene.hands.pop()
    stage.look(3)
    scene.hands.append(hand)
    seen = stage.look(2)[0].hands
    assert [(h.hand_id, h.fresh) for h in seen] == [(name, True)]


def test_cut_ends_all_tracks_and_searches_at_once() -> None:
    """The new scene is seen in its first frame, under new names."""
    scene = Scene([Thing(320, 150, 100)], [Thing(200, 300, 90)])
    stage = Stage(scene)
    assert stage.look(3)[0].person_id == 'a0000'
    scene.faces[:] = [Thing(100, 300, 150)]
    scene.hands[:] = [Thing(300, 300, 120)]
    seen = stage.look(1, np.full_like(PIXELS, 250))
    assert [p.person_id for p in seen] == ['a0002']
    assert seen[0].face is not None
    assert len(seen[0].hands) == 1


def test_two_tracks_never_share_a_hand() -> None:
    """When two hands merge, one track ends at once."""
    scene = Scene([Thing(320, 150, 100)], [Thing(200, 330, 90), Thing(420, 330, 90)])
    stage = Stage(scene)
    assert len(stage.look(3)[0].hands) == 2
    while scene.hands[1].x > 205:
        scene.hands[1].x -= 15
        stage.look()
    scene.hands.pop()
    assert len([hand for hand in stage.look(2)[0].hands if hand.fresh]) == 1


def test_two_tracks_never_share_a_face() -> None:
    """When two faces merge, one person ends at once."""
    scene = Scene([Thing(200, 150, 100), Thing(400, 150, 100)])
    stage = Stage(scene, detection__max_persons=2)
    assert len(stage.look(2)) == 2
    while scene.faces[1].x > 210:
        scene.faces[1].x -= 20
        stage.look()
    scene.faces.pop()
    assert len(stage.look()) == 1


def test_who_hides_another_keeps_the_name() -> None:
    """A lost face and its lost hand do not come back as those of the one who walks in front."""
    scene = Scene([Thing(250, 150, 100), Thing(500, 150, 100)],
                  [Thing(240, 300, 110), Thing(490, 300, 110, right=0.03)])
    stage = Stage(scene, detection__max_persons=2)
    hidden, front = stage.look(2)
    del scene.faces[0], scene.hands[0]
    while scene.faces[0].x > 100:
        scene.faces[0].x -= 20
        scene.hands[0].x -= 20
        for person in stage.look():
            if person.face is not None and person.face_fresh:
                assert person.person_id == front.person_id != hidden.person_id
            assert [hand.hand_id for hand in person.hands if hand.fresh] in (
                [], [front.hands[0].hand_id])


def test_hands_go_to_the_nearest_face() -> None:
    """Two people, a hand each."""
    scene = Scene([Thing(150, 150, 100), Thing(480, 150, 90)],
                  [Thing(120, 300, 90), Thing(500, 300, 90)])
    seen = Stage(scene, detection__max_persons=2).look()
    assert len(seen) == 2
    for person in seen:
        assert person.face is not None
        assert len(person.hands) == 1
        assert abs(person.face.roi.cx_px - person.hands[0].observation.roi.cx_px) < 100


def test_a_hand_belongs_to_a_face_of_its_size() -> None:
    """A man in front holds a hand beside the face of one behind him."""
    scene = Scene([Thing(330, 200, 160), Thing(180, 240, 60)], [Thing(210, 330, 150)])
    seen = Stage(scene, detection__max_persons=2).look()
    owner = next(person for person in seen if person.hands)
    assert owner.face is not None
    assert owner.face.roi.cx_px == pytest.approx(330)


@pytest.mark.parametrize(('size', 'palm', 'found'), [
    (165.0, 0.3, True), (105.0, 0.3, False), (105.0, 0.9, True), (90.0, 0.9, False)])
def test_small_hands_at_a_face_need_a_sure_palm(size: float, palm: float, found: bool) -> None:
    """What looks like a hand far behind the face that it covers is a beard or a collar."""
    scene = Scene([Thing(320, 200, 150)], [Thing(380, 290, size, detected=palm)])
    assert bool(Stage(scene).look()[0].hands) == found


def test_largest_face_wins() -> None:
    """With one person allowed, it is the nearest one; hands far from it are not hers."""
    scene = Scene([Thing(60, 60, 40), Thing(400, 150, 120)], [Thing(60, 150, 40)])
    seen = Stage(scene).look()
    assert len(seen) == 1
    assert seen[0].face is not None
    assert seen[0].face.roi.cx_px == pytest.approx(400, abs=5)


def test_hands_without_a_face_are_one_person() -> None:
    """Two hands alone, and then a face that joins them."""
    scene = Scene([], [Thing(200, 300, 90), Thing(400, 300, 90, right=0.02)])
    stage = Stage(scene)
    seen = stage.look()
    assert [len(p.hands) for p in seen] == [2]
    assert seen[0].face is None
    scene.faces.append(Thing(300, 150, 100))
    joined = stage.look(12)
    assert [p.person_id for p in joined] == [seen[0].person_id]
    assert joined[0].face is not None


def test_new_find_in_a_stream_must_prove_itself() -> None:
    """A face that shows up for a single frame is never reported."""
    scene = Scene()
    stage = Stage(scene)
    stage.look(3)
    scene.faces.append(Thing(320, 150, 100))
    for _ in range(4):
        assert stage.look() == ()
        if stage.tracker._crowd.persons:
            break
    scene.faces.clear()
    assert stage.look(5) == ()


def test_nose_is_no_hand() -> None:
    """A find that lies inside of the face's outline, or is tiny beside it, is refused."""
    inside = Scene([Thing(320, 240, 200)], [Thing(320, 240, 90)])
    assert Stage(inside).look(30)[0].hands == ()
    tiny = Scene([Thing(320, 240, 200)], [Thing(450, 240, 40)])
    assert Stage(tiny).look(30)[0].hands == ()


@pytest.mark.parametrize(('size', 'found'), [(60.0, False), (230.0, True)])
def test_a_palm_is_no_face(size: float, found: bool) -> None:
    """What looks like a small face far behind the hand that it lies in is the hand itself."""
    scene = Scene([Thing(310, 260, size)], [Thing(320, 240, 200)])
    stage = Stage(scene)
    assert [person.face is not None for person in stage.look()] == [found]
    assert [person.face is not None for person in stage.look(20)] == [found]


def test_a_followed_face_stays_behind_a_hand() -> None:
    """A hand that comes before a face and hides it does not end it."""
    scene = Scene([Thing(310, 260, 60)])
    stage = Stage(scene)
    name = stage.look(3)[0].person_id
    scene.hands.append(Thing(320, 240, 200))
    seen = stage.look(10)
    assert [person.person_id for person in seen] == [name]
    assert seen[0].face is not None
    assert len(seen[0].hands) == 1


@pytest.mark.parametrize(('hands', 'expected'), [
    ('both', [Handedness.RIGHT, Handedness.LEFT]), ('left', [Handedness.LEFT]),
    ('right', [Handedness.RIGHT])])
def test_wanted_sides(hands: str, expected: list[Handedness]) -> None:
    """Only the sides that are asked for are reported."""
    scene = Scene([Thing(320, 150, 100)], [Thing(200, 300, 90), Thing(440, 300, 90, right=0.03)])
    seen = Stage(scene, detection__hands=hands).look(3)
    assert [hand.handedness for hand in seen[0].hands] == expected


def test_two_hands_of_a_person_are_not_on_one_side() -> None:
    """An unsettled vote gives way to a settled one."""
    scene = Scene([Thing(320, 150, 100)], [Thing(200, 300, 90), Thing(440, 300, 90, right=0.55)])
    seen = Stage(scene).look(3)
    assert {hand.handedness for hand in seen[0].hands} == {Handedness.LEFT, Handedness.RIGHT}


def test_stamps_that_go_back_or_stand_still() -> None:
    """Lost tracks end all the same."""
    for step_ns in (0, -10**9):
        scene = Scene([Thing(320, 150, 100)], [Thing(200, 300, 90)])
        stage = Stage(scene)
        stage.look(3)
        scene.hands.clear()
        seen = stage.look()
        for i in range(20):
            seen = stage.tracker.observe(Frame(PIXELS, stamp_ns=10**10 + i * step_ns))
        assert seen[0].hands == ()


def test_reset_is_a_cold_start_with_the_same_names() -> None:
    """The same frames give the same results after a reset."""
    scene = Scene([Thing(320, 150, 100)], [Thing(200, 300, 90)])
    stage = Stage(scene)
    first = stage.look()
    stage.tracker.reset()
    second = stage.look()
    assert [p.person_id for p in first] == [p.person_id for p in second]
    np.testing.assert_array_equal(first[0].hands[0].observation.points_px,
                                  second[0].hands[0].observation.points_px)


def test_tracking_off_finds_everybody_anew() -> None:
    """Each frame stands alone; names are new."""
    scene = Scene([Thing(320, 150, 100)], [Thing(200, 300, 90)])
    stage = Stage(scene, tracking__enabled=False)
    names = {stage.look()[0].person_id for _ in range(3)}
    assert len(names) == 3


def test_stage_times_and_close() -> None:
    """Times of the last frame are there; close reaches every network."""
    stage = Stage(Scene([Thing(320, 150, 100)]))
    stage.look()
    assert set(stage.tracker.stage_times_s) == {'face_landmarks', 'hand_landmarks', 'detection'}
    assert stage.tracker.engine == 'fake-fp32'
    stage.tracker.close()
    assert stage.scene.calls['close'] == 6


def test_followed_faces_are_shown_before_the_hands() -> None:
    """With where the hands should be by now; a first sight is shown to nobody."""
    scene = Scene([Thing(320, 150, 100)], [Thing(200, 300, 90)])
    stage = Stage(scene)
    shown: list[FaceSight] = []
    people = stage.tracker.observe(Frame(PIXELS, stamp_ns=0), shown.extend)
    assert shown == []
    for number in range(1, 6):
        scene.hands[0].x += 5
        shown.clear()
        scene.calls.clear()
        people = stage.tracker.observe(
            Frame(PIXELS, stamp_ns=number * 33_000_000),
            lambda faces: shown.extend(faces if 'hand' not in scene.calls else ()))
        assert [sight.person_id for sight in shown] == [people[0].person_id]
        assert shown[0].face is people[0].face
    np.testing.assert_allclose(shown[0].hands_px[0], people[0].hands[0].observation.points_px,
                               atol=1.0)
