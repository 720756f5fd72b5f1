# SPDX-License-Identifier: Apache-2.0
"""
What labels call fingers and parts of the face, as names of regions; and scores by these words.

People's words are fewer and vaguer than the bodies' regions: a temple is where forehead, brow and
cheek meet, and the chin's region goes on along the jaw. A word stands for every region that may be
meant. A region that is said without being meant counts against the word that it is named after.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ros2_dice.evaluation.metrics import Score

FACE_WORDS: Mapping[str, tuple[str, ...]] = {
    'forehead': ('forehead', 'brow'),
    'brow': ('brow', 'forehead'),
    'temple': ('forehead', 'brow', 'cheek'),
    'eye': ('eye', 'brow'),
    'nose': ('nose',),
    'cheek': ('cheek', 'jaw'),
    'mouth': ('lips', 'mouth_area'),
    'lips': ('lips', 'mouth_area'),
    'moustache': ('mouth_area', 'lips'),
    'chin': ('chin', 'mouth_area'),
    'beard': ('chin', 'jaw', 'cheek', 'mouth_area'),
    'jaw': ('jaw', 'chin', 'cheek'),
    'ear': ('ear',),
    'hair': ('scalp',),
    'hairline': ('forehead', 'scalp', 'brow'),
    'head': ('scalp',),
    'neck': ('neck',),
}
"""Word to names of face regions without their side."""
_FACE_SYNONYMS = {
    'eyebrow': 'brow', 'eyelid': 'eye', 'nostril': 'nose', 'cheekbone': 'cheek', 'lip': 'lips',
    'teeth': 'mouth', 'mustache': 'moustache', 'throat': 'neck', 'scalp': 'hair',
}
_SURFACES = ('base', 'middle', 'pad', 'nail_side')
_FINGERS = ('thumb', 'index', 'middle', 'ring', 'little')
HAND_WORDS: Mapping[str, tuple[str, ...]] = {
    **{finger: tuple(f'{finger}_{part}' for part in _SURFACES) for finger in _FINGERS},
    'palm': ('palm', *(f'{finger}_base' for finger in _FINGERS)),
    'back': ('back',),
    'knuckles': ('back', *(f'{finger}_{part}' for finger in _FINGERS[1:]
                           for part in ('base', 'middle', 'nail_side'))),
    'fingers': tuple(f'{finger}_{part}' for finger in _FINGERS[1:] for part in _SURFACES),
}
"""Word to names of hand regions."""
_HAND_SYNONYMS = {
    'back_of_hand': 'back', 'knuckle': 'knuckles', 'fist': 'knuckles', 'pinky': 'little',
    'little_finger': 'little', 'index_finger': 'index', 'middle_finger': 'middle',
    'ring_finger': 'ring', 'fingertips': 'fingers', 'finger': 'fingers',
}
SIDES = ('left', 'right')


def face_regions(word: str) -> tuple[str, ...] | None:
    """Return the face regions that a word may mean, on the side that it names; None = unknown."""
    parts = _parts(word)
    sides = [part for part in parts if part in SIDES] or list(SIDES)
    name = _known('_'.join(part for part in parts if part not in SIDES), FACE_WORDS,
                  _FACE_SYNONYMS)
    if name is None:
        return None
    paired = ('eye', 'cheek', 'jaw', 'ear')
    return tuple(found for region in FACE_WORDS[name]
                 for found in ([f'{region}_{side}' for side in sides] if region in paired
                               else [region]))


def hand_regions(word: str) -> tuple[str, ...] | None:
    """Return the hand regions that a word may mean; None = unknown word."""
    name = _known('_'.join(part for part in _parts(word) if part not in SIDES), HAND_WORDS,
                  _HAND_SYNONYMS)
    return None if name is None else HAND_WORDS[name]


def unknown_words(face_words: Iterable[str], hand_words: Iterable[str]) -> list[str]:
    """Return the words that no table has, each once."""
    return sorted({word for word in face_words if face_regions(word) is None}
                  | {word for word in hand_words if hand_regions(word) is None})


class WordScores:
    """
    Precision and recall by word, over many answers.

    Args:
        part: `face` or `hand`.
    """

    def __init__(self, part: str) -> None:
        self._regions = face_regions if part == 'face' else hand_regions
        self._is_face = part == 'face'
        self.scores: dict[str, Score] = {}

    def add(self, words: Sequence[str], said: Iterable[str]) -> None:
        """
        Count one answer.

        Args:
            words: labelled; those that no table has make the answer useless, and it is left out.
            said: names of the regions.
        """
        meant = {word: self._regions(word) for word in words}
        if any(regions is None for regions in meant.values()):
            return
        spoken = set(said)
        allowed: set[str] = set()
        for word, regions in meant.items():
            allowed |= set(regions or ())
            hit = bool(spoken & set(regions or ()))
            self._count(self._name(word), Score(true_positive=int(hit),
                                                false_negative=int(not hit)))
        for word in {self._class(region) for region in spoken - allowed}:
            self._count(word, Score(false_positive=1))

    def _count(self, word: str, score: Score) -> None:
        self.scores[word] = self.scores.get(word, Score()) + score

    def _name(self, word: str) -> str:
        table, synonyms = (FACE_WORDS, _FACE_SYNONYMS) if self._is_face \
            else (HAND_WORDS, _HAND_SYNONYMS)
        plain = '_'.join(part for part in _parts(word) if part not in SIDES)
        return _known(plain, table, synonyms) or plain

    def _class(self, region: str) -> str:
        """Return the word that a region is named after."""
        plain = '_'.join(part for part in region.split('_') if part not in SIDES)
        if self._is_face:
            return {'lips': 'mouth', 'mouth_area': 'mouth', 'scalp': 'hair'}.get(plain, plain)
        return plain.split('_')[0]


def _parts(word: str) -> list[str]:
    return word.lower().replace(' ', '_').replace('-', '_').split('_')


def _known(word: str, table: Mapping[str, object], synonyms: Mapping[str, str]) -> str | None:
    for name in (word, word.removesuffix('s')):
        found = synonyms.get(name, name)
        if found in table:
            return found
    return None
