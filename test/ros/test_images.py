# SPDX-License-Identifier: Apache-2.0
"""Each encoding, made from a known picture and read back."""
import array

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import Image

from ros2_dice.errors import ImageError
from ros2_dice.parameters import ENCODINGS
from ros2_dice.ros.images import compressed_pixels, message_pixels

HEIGHT, WIDTH = 24, 32
# Smooth, so that chroma subsampling and demosaicing lose little.
BGR = cv2.resize(np.random.default_rng(3).integers(0, 255, (3, 4, 3), np.uint8), (WIDTH, HEIGHT),
                 interpolation=cv2.INTER_CUBIC)
GREY = cv2.cvtColor(BGR, cv2.COLOR_BGR2GRAY)


def message(samples, encoding, padding=0, big=False, width=WIDTH, height=HEIGHT):
    """An image whose rows have `padding` bytes of rubbish behind them."""
    rows = np.ascontiguousarray(samples).view(np.uint8).reshape(len(samples), -1)
    if padding:
        rows = np.hstack([rows, np.full((len(rows), padding), 171, np.uint8)])
    return Image(width=width, height=height, encoding=encoding, step=rows.shape[1],
                 is_bigendian=int(big), data=array.array('B', rows.tobytes()))


def yuv(order):
    """Interleaved 4:2:2 samples (H, W, 2) after BT.601; `order` says where luma is."""
    b, g, r = np.moveaxis(BGR.astype(float), -1, 0)
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    chroma = np.empty_like(y)
    chroma[:, 0::2], chroma[:, 1::2] = u[:, 0::2], v[:, 0::2]
    parts = (y, chroma) if order == 'yuyv' else (chroma, y)
    return np.stack(parts, axis=-1).round().clip(0, 255).astype(np.uint8)


def nv(order):
    """Luma, then interleaved chroma of half size."""
    i420 = cv2.cvtColor(BGR, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    luma, quarter = HEIGHT * WIDTH, HEIGHT * WIDTH // 4
    u, v = i420[luma:luma + quarter], i420[luma + quarter:]
    pair = (u, v) if order == 'nv12' else (v, u)
    return np.concatenate([i420[:luma], np.stack(pair, -1).reshape(-1)]).reshape(-1, WIDTH)


def bayer(pattern):
    """A mosaic whose first pixels are named by the pattern."""
    planes = dict(zip('bgr', np.moveaxis(BGR, -1, 0)))
    mosaic = np.empty((HEIGHT, WIDTH), np.uint8)
    for place, colour in enumerate(pattern):
        rows, columns = slice(place // 2, None, 2), slice(place % 2, None, 2)
        mosaic[rows, columns] = planes[colour][rows, columns]
    return mosaic


def wide(picture, big):
    """16-bit samples whose low byte is rubbish."""
    return (picture.astype(np.uint16) * 256 + 91).astype('>u2' if big else '<u2')


EXACT = {
    'bgr8': BGR, 'rgb8': BGR[..., ::-1], '8UC3': BGR, 'mono8': GREY, '8UC1': GREY,
    'bgra8': np.dstack([BGR, GREY]), '8UC4': np.dstack([BGR, GREY]),
    'rgba8': np.dstack([BGR[..., ::-1], GREY])}
WIDE = {'bgr16': BGR, 'rgb16': BGR[..., ::-1], '16UC3': BGR, 'mono16': GREY, '16UC1': GREY,
        'bgra16': EXACT['bgra8'], 'rgba16': EXACT['rgba8'], '16UC4': EXACT['bgra8']}
CLOSE = {'yuv422': yuv('uyvy'), 'uyvy': yuv('uyvy'), 'yuyv': yuv('yuyv'),
         'yuv422_yuy2': yuv('yuyv'), 'nv12': nv('nv12'), 'nv21': nv('nv21')}
PATTERNS = ('rggb', 'bggr', 'gbrg', 'grbg')


def as_bgr(pixels, order):
    return pixels if order == 'bgr' else pixels[..., ::-1]


def expected(encoding):
    grey = encoding in ('mono8', '8UC1', 'mono16', '16UC1')
    return np.repeat(GREY[..., None], 3, axis=2) if grey else BGR


@pytest.mark.parametrize('padding', [0, 13])
@pytest.mark.parametrize('encoding', EXACT)
def test_eight_bits(encoding, padding):
    pixels, order = message_pixels(message(EXACT[encoding], encoding, padding))
    np.testing.assert_array_equal(as_bgr(pixels, order), expected(encoding))


@pytest.mark.parametrize('padding', [0, 7])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('encoding', WIDE)
def test_sixteen_bits_of_either_byte_order(encoding, big, padding):
    pixels, order = message_pixels(message(wide(WIDE[encoding], big), encoding, padding, big))
    np.testing.assert_array_equal(as_bgr(pixels, order), expected(encoding))


@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize(('encoding', 'bits'), [
    ('mono16', 8), ('mono16', 10), ('mono16', 12), ('16UC1', 15), ('bgr16', 12), ('bgra16', 12)])
def test_cameras_that_use_the_lower_bits(encoding, bits, big):
    samples = (WIDE[encoding].astype(np.uint16) << (bits - 8)).astype('>u2' if big else '<u2')
    image = message(samples, encoding, 7, big)
    pixels, order = message_pixels(image, sample_bits=bits)
    np.testing.assert_array_equal(as_bgr(pixels, order), expected(encoding))
    assert message_pixels(image)[0].max() < 256 >> (15 - bits), 'dark without it'


def test_a_sample_of_more_bits_than_expected_is_white():
    samples = np.full((HEIGHT, WIDTH), 1 << 12, '<u2')
    assert (message_pixels(message(samples, 'mono16'), sample_bits=12)[0] == 255).all()


@pytest.mark.parametrize('pattern', PATTERNS)
def test_bayer_of_twelve_bits(pattern):
    mosaic = np.full((HEIGHT, WIDTH), 100 << 4, '<u2')
    pixels, _ = message_pixels(message(mosaic, f'bayer_{pattern}16'), sample_bits=12)
    assert (pixels == 100).all()


@pytest.mark.parametrize('padding', [0, 10])
@pytest.mark.parametrize('encoding', CLOSE)
def test_yuv(encoding, padding):
    pixels, order = message_pixels(message(CLOSE[encoding], encoding, padding))
    assert np.abs(as_bgr(pixels, order).astype(int) - BGR).mean() < 8


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('pattern', PATTERNS)
def test_bayer(pattern, bits):
    mosaic = bayer(pattern) if bits == 8 else wide(bayer(pattern), False)
    pixels, order = message_pixels(message(mosaic, f'bayer_{pattern}{bits}', 5))
    inner = (slice(2, -2), slice(2, -2))
    assert np.abs(as_bgr(pixels, order)[inner].astype(int) - BGR[inner]).mean() < 8


def test_every_encoding_of_the_parameter_table_is_tested():
    tested = {*EXACT, *WIDE, *CLOSE,
              *(f'bayer_{p}{bits}' for p in PATTERNS for bits in (8, 16))}
    assert set(ENCODINGS) - {'auto'} <= tested


@pytest.mark.parametrize('encoding', ['bgr8', 'rgb8'])
def test_colour_is_not_copied(encoding):
    image = message(BGR, encoding, padding=16)
    pixels, order = message_pixels(image)
    assert order == encoding[:3]
    assert np.shares_memory(pixels, np.frombuffer(image.data, np.uint8))


def test_the_parameter_overrides_the_message():
    pixels, order = message_pixels(message(BGR[..., ::-1], 'bgr8'), encoding='rgb8')
    np.testing.assert_array_equal(as_bgr(pixels, order), BGR)


def test_padding_of_the_last_row_may_be_missing():
    image = message(BGR, 'bgr8', padding=16)
    image.data = image.data[:-16]
    np.testing.assert_array_equal(message_pixels(image)[0], BGR)


@pytest.mark.parametrize(('change', 'word'), [
    ({'width': 0}, 'image size'), ({'height': 0}, 'image size'), ({'step': 0}, 'image step'),
    ({'step': 3 * WIDTH - 1}, 'image step'), ({'data': array.array('B')}, '0 bytes'),
    ({'height': 2**31}, 'image data'), ({'width': 2**30}, 'image step'),
    ({'encoding': ''}, 'image encoding'), ({'encoding': '32FC1'}, 'image encoding'),
    ({'encoding': 'nv12', 'width': 31}, 'image size of nv12'),
    ({'encoding': 'yuyv', 'width': 31}, 'image width of yuyv'),
])
def test_messages_that_contradict_themselves_are_refused(change, word):
    image = message(BGR, 'bgr8')
    for name, value in change.items():
        setattr(image, name, value)
    with pytest.raises(ImageError, match=word):
        message_pixels(image)


def test_compressed_pictures():
    data = cv2.imencode('.png', BGR)[1].tobytes()
    pixels, order = compressed_pixels(array.array('B', data))
    np.testing.assert_array_equal(as_bgr(pixels, order), BGR)
    with pytest.raises(ImageError, match='compressed image'):
        compressed_pixels(data[:100])
