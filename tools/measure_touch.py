# SPDX-License-Identifier: Apache-2.0
"""
Score touch on the labelled pictures and clips, beside a naive rule.

    python tools/measure_touch.py [--material DIR] [--json FILE] [--pictures | --clips]

Pictures are estimated one by one, from a cold start. Clips run paced, the past kept. Only certain
labels count; near a contact's ends the labels' tolerance is left out. The naive rule says touch
where a fingertip lies within 5 % of the face's width of a face landmark, in the picture.
"""
from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from ros2_dice.estimator import Estimator, create_estimator
from ros2_dice.evaluation.clips import clip_frames
from ros2_dice.evaluation.material import LabelledClip, LabelledPicture, load_material
from ros2_dice.evaluation.metrics import Score, area_under_curve
from ros2_dice.evaluation.touch import Seen, score_clip, score_pictures
from ros2_dice.parameters import Settings
from ros2_dice.pictures import read_picture
from ros2_dice.types import Frame


def look_at_pictures(estimator: Estimator, pictures: tuple[LabelledPicture, ...]) -> list[Seen]:
    """Return the answer for each picture, without memory between them."""
    answers = []
    for picture in pictures:
        estimator.reset()
        answers.append(Seen.of(estimator.estimate(read_picture(picture.path))))
    return answers


def look_at_clip(estimator: Estimator, clip: LabelledClip) -> list[Seen]:
    """Return the answer for each frame of a clip, one after the other."""
    estimator.reset()
    return [Seen.of(estimator.estimate(Frame(pixels, round(number * 1e9 / clip.rate_hz))))
            for number, pixels in enumerate(clip_frames(clip.path))]


def show(name: str, scores: dict[str, Score]) -> None:
    """Print one row for each rule."""
    for rule, score in scores.items():
        print(f'{name:34} {rule:9} TP {score.true_positive:4} FP {score.false_positive:4} '
              f'FN {score.false_negative:4} TN {score.true_negative:4} '
              f'P {score.precision:.2f} R {score.recall:.2f}')


def show_found(pictures: tuple[LabelledPicture, ...], seen: list[Seen]) -> None:
    """Print in how many pictures with a touch somebody is found, and who is invented."""
    wanted = [s for p, s in zip(pictures, seen) if p.contact in ('yes', 'likely')]
    print(f'{len(wanted)} pictures with a certain or likely touch: face in '
          f'{sum(s.faces > 0 for s in wanted)}, hand in {sum(s.hands > 0 for s in wanted)}')
    for what in ('faces', 'hands'):
        names = [p.name for p, s in zip(pictures, seen)
                 if not getattr(p, what) and getattr(s, what)]
        print(f'invented {what}: {len(names)} {" ".join(names)}')


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Score touch on labelled material.')
    parser.add_argument('--material', default='')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--persons', type=int, default=4, help='detection.max_persons')
    only = parser.add_mutually_exclusive_group()
    only.add_argument('--pictures', action='store_true')
    only.add_argument('--clips', action='store_true')
    options = parser.parse_args()
    material = load_material(options.material)
    estimator = create_estimator(Settings({'detection.max_persons': options.persons,
                                           'tracking.deterministic_ids': True}))
    record: dict[str, object] = {}
    if not options.clips:
        seen = look_at_pictures(estimator, material.pictures)
        scores = score_pictures(material.pictures, seen)
        for picture, answer in zip(material.pictures, seen):
            if picture.is_touch is not None and answer.says_touch() != picture.is_touch:
                error = 'missed' if picture.is_touch else 'false'
                print(f'  {error:7} p {answer.probability:.2f} faces {answer.faces} '
                      f'hands {answer.hands} {picture.name}')
        show_found(material.pictures, seen)
        show('pictures', scores)
        sure = {side: [s.probability for p, s in zip(material.pictures, seen)
                       if p.is_touch is side] for side in (True, False)}
        print(f'AUC of the probability {area_under_curve(sure[True], sure[False]):.2f}')
        record['pictures'] = {p.name: {**asdict(s), 'touch': p.is_touch}
                              for p, s in zip(material.pictures, seen)}
    if not options.pictures:
        total = {'estimate': Score(), 'naive': Score()}
        for clip in material.clips:
            seen = look_at_clip(estimator, clip)
            scores = score_clip(clip, seen)
            show(clip.name, scores)
            total = {rule: total[rule] + score for rule, score in scores.items()}
            record[clip.name] = [asdict(s) for s in seen]
        show('all clips', total)
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
