# SPDX-License-Identifier: Apache-2.0
"""
MediaPipe's face mesh and hands on frames from a file, timed; run by a Python of its own.

This script is started by path (`peer.py`) in an environment that has mediapipe and an older numpy,
so it imports nothing of this package. It maps the frames, then answers each line on stdin
(`{"frames": [indices]}`) with a line on stdout (`{"times_s": [...], "face": [...], "hands":
[...]}`). Only the two `process` calls are inside the measured time.
"""
from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time


def main() -> None:
    """Answer requests until stdin closes."""
    parser = argparse.ArgumentParser()
    parser.add_argument('frames')
    parser.add_argument('shape', type=int, nargs=4)
    parser.add_argument('--max-hands', type=int, default=1)
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)  # MediaPipe's own prints must not mix with the answers
    np = importlib.import_module('numpy')
    mediapipe = importlib.import_module('mediapipe')
    frames = np.memmap(options.frames, np.uint8, 'r', shape=tuple(options.shape))
    settings = {'static_image_mode': False, 'min_detection_confidence': 0.5,
                'min_tracking_confidence': 0.5}
    face_mesh = mediapipe.solutions.face_mesh.FaceMesh(
        max_num_faces=1, refine_landmarks=False, **settings)
    hands = mediapipe.solutions.hands.Hands(
        max_num_hands=options.max_hands, model_complexity=1, **settings)
    print(json.dumps({'ready': True, 'mediapipe': mediapipe.__version__,
                      'numpy': np.__version__, 'max_hands': options.max_hands}), file=answers)
    for line in sys.stdin:
        times_s, face, hand_counts = [], [], []
        for number in json.loads(line)['frames']:
            picture = np.array(frames[number])  # touched outside the measured time
            start_s = time.perf_counter()
            found_face = face_mesh.process(picture)
            found_hands = hands.process(picture)
            times_s.append(time.perf_counter() - start_s)
            face.append(bool(found_face.multi_face_landmarks))
            hand_counts.append(len(found_hands.multi_hand_landmarks or ()))
        print(json.dumps({'times_s': times_s, 'face': face, 'hands': hand_counts}), file=answers)


if __name__ == '__main__':
    main()
