# SPDX-License-Identifier: Apache-2.0
"""Reading pictures: every kind that should work, every kind that must be refused with a reason."""
import json
import struct
import zlib

import cv2
import numpy as np
import pytest

from ros2_dice.errors import ImageError
from ros2_dice.pictures import decode_picture, read_picture

PICTURE = np.random.default_rng(1).integers(0, 255, (24, 32, 3), np.uint8)
SMOOTH = cv2.resize(PICTURE[:4, :4], (32, 24), interpolation=cv2.INTER_LINEAR)


def encoded(kind, picture=PICTURE, *flags):
    return cv2.imencode(kind, picture, flags)[1].tobytes()


@pytest.mark.parametrize('kind', ['.png', '.bmp'])
def test_lossless_kinds_give_the_same_pixels(kind):
    np.testing.assert_array_equal(decode_picture(encoded(kind)), PICTURE)


@pytest.mark.parametrize('kind', ['.jpg', '.webp'])
def test_lossy_kinds_are_close(kind):
    assert np.abs(decode_picture(encoded(kind, SMOOTH)).astype(int) - SMOOTH).mean() < 8


def test_sixteen_bits_alpha_and_grey_become_colour():
    np.testing.assert_array_equal(
        decode_picture(encoded('.png', PICTURE.astype(np.uint16) * 257)), PICTURE)
    bgra = np.dstack([PICTURE, np.full((24, 32), 7, np.uint8)])
    np.testing.assert_array_equal(decode_picture(encoded('.png', bgra)), PICTURE)
    grey = decode_picture(encoded('.png', PICTURE[:, :, 0]))
    np.testing.assert_array_equal(grey, np.repeat(PICTURE[:, :, :1], 3, axis=2))


@pytest.mark.parametrize('size', [(1, 1), (4000, 2), (2, 4000)])
def test_odd_shapes(size):
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    assert decode_picture(encoded('.png', picture)).shape == picture.shape


@pytest.mark.parametrize(('data', 'word'), [
    (b'', 'empty'), (b'\n', 'is no picture but text; expected a JPEG'),
    (b'\0\1\2', 'is no picture; expected a JPEG'),
    (b'\0\0\0\x18ftypheic', 'is a HEIC picture'), (b'\0\0\0\x18ftypavif', 'is an AVIF'),
    (b'\0\0\0\x18ftypisom', 'is a clip'), (b'II*\0', 'is a TIFF picture'),
    (b'\xff\xd8\xff', 'names no size'), (b'\x89PNG\r\n\x1a\n', 'names no size'),
    (b'RIFF\0\0\0\0WEBP', 'names no size'), (b'GIF89a', 'names no size'),
    (encoded('.jpg')[:400], 'cut off'), (encoded('.jpg')[:-2], 'cut off'),
    (encoded('.png')[:400], 'cut off'), (encoded('.png')[:-1], 'cut off'),
])
def test_damage_is_named(data, word):
    with pytest.raises(ImageError, match=word):
        decode_picture(data)


def test_a_damaged_png_chunk_is_named():
    data = bytearray(encoded('.png'))
    data[data.index(b'IDAT') + 10] ^= 255
    with pytest.raises(ImageError, match='damaged'):
        decode_picture(bytes(data))


@pytest.mark.parametrize('pixels', [(200_000, 200_000), (2**31, 1), (16_000, 16_000)])
def test_claims_of_giant_size_are_refused_before_decoding(pixels):
    header = b'IHDR' + struct.pack('>IIBBBBB', *pixels, 8, 2, 0, 0, 0)
    data = b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + header + struct.pack(
        '>I', zlib.crc32(header)) + bytes(40)
    with pytest.raises(ImageError, match='size'):
        decode_picture(data)


def test_a_jpeg_with_padding_behind_its_end_is_fine():
    assert decode_picture(encoded('.jpg') + bytes(5000)).shape == PICTURE.shape


def exif(orientation):
    """An APP1 segment with nothing but an orientation."""
    tiff = b'MM\0*\0\0\0\x08\0\x01' + struct.pack('>HHIHH', 0x112, 3, 1, orientation, 0) + bytes(4)
    body = b'Exif\0\0' + tiff
    return b'\xff\xe1' + struct.pack('>H', len(body) + 2) + body


def test_exif_turns_files_but_not_messages():
    data = encoded('.jpg')
    data = data[:2] + exif(6) + data[2:]
    assert decode_picture(data).shape == (32, 24, 3)
    assert decode_picture(data, turn_by_exif=False).shape == (24, 32, 3)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match='none.png'):
        read_picture(tmp_path / 'none.png')
    with pytest.raises(ImageError, match='picture'):
        read_picture(tmp_path)


# Size of what must be readable; the others of the folder must be refused.
READABLE = {
    'png_named_jpg.jpg': (320, 320), 'jpg_named_png.png': (320, 320), 'cmyk.jpg': (320, 320),
    'grey.jpg': (320, 320), 'grey16.png': (320, 320), 'rgb16.png': (320, 320),
    'alpha.png': (320, 320), 'palette.gif': (320, 320), 'exif_rotated_90.jpg': (320, 320),
    'animated.gif': (160, 160), 'picture.webp': (320, 320), 'one_pixel.png': (1, 1),
    'very_wide.png': (4000, 2), 'progressive.jpg': (320, 320),
    'fx_invalid_quantization.jpg': (300, 400)}


def test_broken_files_of_the_material(material):
    rows = json.loads((material / 'labels.json').read_text())['broken']
    names = set()
    for row in rows:
        path = material / row['file']
        if path.suffix == '.mp4':
            continue  # clips are another reader's
        names.add(path.name)
        if path.name in READABLE:
            frame = read_picture(path)
            assert (frame.width_px, frame.height_px) == READABLE[path.name], path.name
            if frame.width_px == 320:  # all made of the same picture
                assert 30 < frame.pixels.mean() < 40, path.name
        else:
            with pytest.raises(ImageError, match=path.name):
                read_picture(path)
    assert set(READABLE) <= names


def test_exif_and_plain_pictures_of_the_material_agree(material):
    folder = material / 's' / 'broken'
    upright = read_picture(folder / 'progressive.jpg').pixels.astype(int)
    turned = read_picture(folder / 'exif_rotated_90.jpg').pixels.astype(int)
    assert np.abs(upright - turned).mean() < 3
