# SPDX-License-Identifier: Apache-2.0
"""
Run every labelled clip through the estimator, paced, and hold the result against the bars.

    python tools/measure_clips.py [--material DIR] [--json FILE] [--only NAME]

Bars: in frames with a certain touch, and in frames 60 to 194 of the clip with the thumb, a hand is
reported in at least 90 %; in clips of scenes without people, in at most 2 %.
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from ros2_dice.estimator import create_estimator
from ros2_dice.evaluation.clips import clip_frames
from ros2_dice.evaluation.material import LabelledClip, load_material
from ros2_dice.evaluation.timing import Spread
from ros2_dice.evaluation.touch import Seen
from ros2_dice.parameters import Settings
from ros2_dice.types import Frame

THUMB_CLIP, THUMB_FRAMES = 'v_thumb_in_front_of_face', range(60, 195)
LEAST_WITH_HAND, MOST_INVENTED = 0.9, 0.02


def bars(clip: LabelledClip, seen: list[Seen]) -> list[tuple[str, float, bool]]:
    """Return (what, share, passed) of the bars that apply to a clip."""
    found = []
    wanted = clip.touch_frames()
    if THUMB_CLIP in clip.name:
        wanted |= set(THUMB_FRAMES)
    wanted &= set(range(len(seen)))
    if wanted:
        share = sum(seen[n].hands > 0 for n in wanted) / len(wanted)
        found.append((f'hand in {len(wanted)} frames', share, share >= LEAST_WITH_HAND))
    if clip.scene == 'none':
        share = sum(s.hands > 0 for s in seen) / len(seen)
        found.append(('invented hand', share, share <= MOST_INVENTED))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='Hold clips against the bars.')
    parser.add_argument('--material', default='')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--only', default='', help='clips whose name contains this')
    options = parser.parse_args()
    clips = [c for c in load_material(options.material).clips if options.only in c.name]
    record = {}
    print(f'{"clip":34} frames  face  hand touch  p50/p95/max ms')
    for clip in clips:
        persons = max(1, clip.faces)
        estimator = create_estimator(Settings({'detection.max_persons': persons,
                                               'tracking.deterministic_ids': True}))
        seen, times_s = [], []
        for number, pixels in enumerate(clip_frames(clip.path)):
            start_s = time.perf_counter()
            estimates = estimator.estimate(Frame(pixels, round(number * 1e9 / clip.rate_hz)))
            times_s.append(time.perf_counter() - start_s)
            seen.append(Seen.of(estimates))
        estimator.close()
        spread = Spread.of(times_s)
        counts = [sum(s.faces > 0 for s in seen), sum(s.hands > 0 for s in seen),
                  sum(s.says_touch() for s in seen)]
        print(f'{clip.name:34} {len(seen):6} ' + ' '.join(f'{c:5}' for c in counts)
              + f'  {spread.median_ms:.1f}/{spread.p95_ms:.1f}/{spread.max_ms:.1f}')
        results = bars(clip, seen)
        for what, share, passed in results:
            print(f'    {what}: {100 * share:.1f} %  {"pass" if passed else "FAIL"}')
        record[clip.name] = {
            'frames': len(seen), 'with_face': counts[0], 'with_hand': counts[1],
            'with_contact': counts[2], **spread.as_json(),
            'bars': [{'what': w, 'share': s, 'passed': p} for w, s, p in results],
            'without_hand': [n for n, s in enumerate(seen) if not s.hands]}
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
