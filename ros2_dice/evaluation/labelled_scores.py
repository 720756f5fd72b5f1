# SPDX-License-Identifier: Apache-2.0
"""Figures of an estimator's answers about labelled pictures and clips."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ros2_dice.evaluation.calibration import calibration
from ros2_dice.evaluation.events import NO_EVENTS, EventScore, score_events
from ros2_dice.evaluation.labelled import Answers, ClipAnswer, PictureAnswer
from ros2_dice.evaluation.metrics import Score, area_under_curve, number
from ros2_dice.evaluation.timing import Spread
from ros2_dice.evaluation.touch import Seen
from ros2_dice.evaluation.words import WordScores, face_regions, unknown_words

Rule = Callable[[Seen], bool]


def labelled_scores(answers: Answers, threshold: float) -> dict[str, Any]:
    """
    Return everything as a document for JSON.

    `pictures`, `clips` and `naive` each hold precision, recall, f1, false_alarm_rate and n, and
    the same by scene class. `naive` is the naive rule on the pictures; `naive.clips` on the clips.

    Args:
        threshold: probability from which an answer says touch.
    """
    def ours(seen: Seen) -> bool:
        return seen.says_touch(threshold)

    pictures = [a for a in answers.pictures if a.seen is not None]
    scored = [a for a in pictures if a.picture.is_touch is not None]
    clips = [a for a in answers.clips if a.seen]
    scored_clips = [a for a in clips if a.clip.is_scored]
    return {
        'threshold': threshold,
        'pictures': {
            **_picture_score(scored, ours),
            **_picture_details(scored, threshold),
            'found': _found(pictures),
        },
        'clips': {
            **_clip_score(scored_clips, ours),
            **_clip_details(scored_clips, clips, threshold),
        },
        'naive': {
            'rule': 'a fingertip within 5 % of the face width of a face landmark',
            **_picture_score(scored, Seen.naive_touch),
            'clips': _clip_score(scored_clips, Seen.naive_touch),
        },
        'listed': [
            {'file': a.picture.name, 'scene': a.picture.scene, 'contact': a.picture.contact,
             **_said(a.seen, threshold)}
            for a in pictures if a.picture.is_touch is None and a.seen is not None
        ] + [{'file': a.clip.name, 'scene': a.clip.scene, 'contact': 'unknown',
              'frames': len(a.seen), 'frames_said': sum(map(ours, a.seen))}
             for a in clips if not a.clip.is_scored],
        'problems': [a.problem for a in (*answers.pictures, *answers.clips) if a.problem],
    }


def _picture_score(rows: list[PictureAnswer], rule: Rule) -> dict[str, Any]:
    pairs = [(a.picture.scene, rule(a.seen), bool(a.picture.is_touch))
             for a in rows if a.seen is not None]
    return _by_scene(pairs)


def _clip_score(rows: list[ClipAnswer], rule: Rule) -> dict[str, Any]:
    return _by_scene((a.clip.scene, said, true) for a in rows
                     for said, true in _settled(a, rule))


def _settled(answer: ClipAnswer, rule: Rule) -> list[tuple[bool, bool]]:
    """Return (said, true) of the frames that the labels settle."""
    touch = answer.clip.touch_frames()
    return [(rule(answer.seen[n]), n in touch) for n in answer.settled_frames()]


def _by_scene(rows: Iterable[tuple[str, bool, bool]]) -> dict[str, Any]:
    """Return the score of (scene, said, true), over all and by scene."""
    scores: dict[str, Score] = {}
    for scene, said, true in rows:
        scores[scene] = scores.get(scene, Score()) + Score.of([said], [true])
    return {**sum(scores.values(), Score()).as_json(),
            'by_scene': {scene: score.as_json() for scene, score in sorted(scores.items())}}


def _picture_details(rows: list[PictureAnswer], threshold: float) -> dict[str, Any]:
    seen = [(a.picture, a.seen) for a in rows if a.seen is not None]
    by_side = {side: [s.probability for p, s in seen if p.is_touch is side]
               for side in (True, False)}
    face, hand = WordScores('face'), WordScores('hand')
    for picture, answer in seen:
        said = answer.says_touch(threshold)
        for scores, words, regions in (
                (face, picture.face_words, answer.face_regions(threshold)),
                (hand, picture.hand_words, answer.hand_regions(threshold))):
            if words or not picture.is_touch:
                scores.add(words if picture.is_touch else (), regions if said else ())
    words = [unknown_words(p.face_words, p.hand_words) for p, _ in seen]
    return {
        'auc': number(area_under_curve(by_side[True], by_side[False])),
        'cannot_tell': sum(s.cannot_tell for _, s in seen),
        'calibration': calibration([_chance(s) for _, s in seen],
                                   [bool(p.is_touch) for p, _ in seen]).as_json(),
        'by_face_part': _words_json(face), 'by_hand_part': _words_json(hand),
        'unknown_words': sorted({word for row in words for word in row}),
        'answers': [{'file': p.name, 'scene': p.scene, 'touch': p.is_touch, 'faces': s.faces,
                     'hands': s.hands, **_said(s, threshold)} for p, s in seen],
    }


def _clip_details(scored: list[ClipAnswer], rows: list[ClipAnswer],
                  threshold: float) -> dict[str, Any]:
    def ours(seen: Seen) -> bool:
        return seen.says_touch(threshold)

    chances, truth = [], []
    named = right = 0
    for answer in scored:
        touch = answer.clip.touch_frames()
        for n in answer.settled_frames():
            chances.append(_chance(answer.seen[n]))
            truth.append(n in touch)
        for span in answer.clip.touches:
            meant = {r for word in span.words for r in face_regions(word) or ()}
            if not (span.certain and meant):
                continue
            said = [answer.seen[n].face_regions(threshold)
                    for n in range(span.first, min(span.last + 1, len(answer.seen)))
                    if ours(answer.seen[n])]
            named += len(said)
            right += sum(bool(regions & meant) for regions in said)
    events = sum((_events(a, ours) for a in scored), NO_EVENTS)
    return {
        'calibration': calibration(chances, truth).as_json(),
        'events': events.as_json(),
        'frames_with_right_face_part': {'n': named, 'share': number(right / named)
                                        if named else None},
        'by_clip': {a.clip.name: _clip_row(a, threshold) for a in rows},
    }


def _clip_row(answer: ClipAnswer, threshold: float) -> dict[str, Any]:
    """Return one clip's figures: who is seen in how many frames, both rules' scores, times."""
    def ours(seen: Seen) -> bool:
        return seen.says_touch(threshold)

    touch = sorted(n for n in answer.clip.touch_frames() if n < len(answer.seen))
    seen = answer.seen
    row: dict[str, Any] = {
        'scene': answer.clip.scene, 'frames': len(seen),
        'frames_with_face': sum(s.faces > 0 for s in seen),
        'frames_with_hand': sum(s.hands > 0 for s in seen),
        'frames_said': sum(map(ours, seen)),
        'touch_frames_with_hand': number(
            sum(seen[n].hands > 0 for n in touch) / len(touch)) if touch else None,
        'frames_without_hand': [n for n, s in enumerate(seen) if not s.hands],
        'probabilities': [None if s.cannot_tell else round(s.probability, 3) for s in seen],
        'time': Spread.of(list(answer.times_s)).as_json(),
    }
    if answer.clip.is_scored:
        row['estimate'] = Score.of(*_columns(_settled(answer, ours))).as_json()
        row['naive'] = Score.of(*_columns(_settled(answer, Seen.naive_touch))).as_json()
        row['events'] = _events(answer, ours).as_json()
    return row


def _columns(pairs: list[tuple[bool, bool]]) -> tuple[list[bool], list[bool]]:
    return [said for said, _ in pairs], [true for _, true in pairs]


def _events(answer: ClipAnswer, rule: Rule) -> EventScore:
    """Compare begins and ends, beyond the label tolerance; uncertain spans count as touches."""
    count = len(answer.seen)
    touch = {n for span in answer.clip.touches for n in range(span.first, span.last + 1)}
    return score_events([n / answer.rate_hz for n in range(count)],
                        [n in touch for n in range(count)], [rule(s) for s in answer.seen],
                        tolerance_s=answer.clip.tolerance / answer.rate_hz)


def _found(rows: list[PictureAnswer]) -> dict[str, Any]:
    """Return in how many pictures with a touch somebody is found, and who is invented."""
    wanted = [a.seen for a in rows if a.picture.contact in ('yes', 'likely')
              and a.seen is not None]
    return {
        'pictures_with_touch': len(wanted),
        'with_face': sum(s.faces > 0 for s in wanted),
        'with_hand': sum(s.hands > 0 for s in wanted),
        'invented_faces': [a.picture.name for a in rows if a.picture.faces == 0
                           and a.seen is not None and a.seen.faces],
        'invented_hands': [a.picture.name for a in rows if a.picture.hands == 0
                           and a.seen is not None and a.seen.hands],
    }


def _said(seen: Seen, threshold: float) -> dict[str, Any]:
    return {'said': seen.says_touch(threshold), 'naive': seen.naive_touch(),
            'probability': None if seen.cannot_tell else round(seen.probability, 4),
            'tip_distance': number(seen.tip_distance),
            'face_regions': sorted(seen.face_regions(threshold)),
            'hand_regions': sorted(seen.hand_regions(threshold))}


def _chance(seen: Seen) -> float:
    return float('nan') if seen.cannot_tell else seen.probability


def _words_json(words: WordScores) -> dict[str, Any]:
    """Return what matters by word: "right no" is not counted."""
    keys = ('precision', 'recall', 'f1', 'true_positive', 'false_positive', 'false_negative')
    return {word: {key: score.as_json()[key] for key in keys}
            for word, score in sorted(words.scores.items())}
