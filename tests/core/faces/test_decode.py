from __future__ import annotations

import contextlib
import hashlib
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.faces import decode as module
from core.faces.decode import UnusablePhoto, decode, encode_clean

ROOT = Path(__file__).resolve().parents[3]


def picture(width: int = 64, height: int = 48, mode: str = "RGB") -> Image.Image:
    """Left half red, right half blue, the upper left corner green."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2] = (200, 30, 30)
    rgb[:, width // 2 :] = (30, 30, 200)
    rgb[: height // 3, : width // 3] = (20, 180, 20)
    return Image.fromarray(rgb).convert(mode)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def refused(data: bytes, **limits: int) -> UnusablePhoto:
    with pytest.raises(UnusablePhoto) as caught:
        decode(data, **limits)
    assert caught.value.sentence.endswith(".")
    return caught.value


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_an_accepted_photo_has_pixels_size_format_and_the_hash_of_its_original_bytes(form: str) -> None:
    data = saved(picture(), form, quality=95)
    photo = decode(data)
    assert photo.rgb.shape == (48, 64, 3)
    assert photo.rgb.dtype == np.uint8
    assert (photo.width, photo.height, photo.format) == (64, 48, form)
    assert photo.sha256 == hashlib.sha256(data).hexdigest()
    assert np.abs(photo.rgb[40, 10].astype(int) - (200, 30, 30)).max() < 25
    with pytest.raises(ValueError, match="read-only"):
        photo.rgb[0, 0] = 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_applied_and_no_metadata_survives(orientation: int) -> None:
    upright = picture()
    # The inverse of each orientation: what a camera held that way would have stored.
    stored = {
        1: upright,
        2: upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: upright.transpose(Image.Transpose.ROTATE_180),
        4: upright.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: upright.transpose(Image.Transpose.TRANSPOSE),
        6: upright.transpose(Image.Transpose.ROTATE_90),
        7: upright.transpose(Image.Transpose.TRANSVERSE),
        8: upright.transpose(Image.Transpose.ROTATE_270),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "A camera with a serial number"
    photo = decode(saved(stored, "PNG", exif=exif))
    assert np.array_equal(photo.rgb, np.asarray(upright))
    for form in ("JPEG", "PNG"):
        clean = encode_clean(photo, format=form)
        assert b"serial" not in clean
        with Image.open(io.BytesIO(clean)) as again:
            assert len(again.getexif()) == 0
            assert again.size == (64, 48)


def test_a_png_copy_keeps_every_pixel_and_a_jpeg_copy_nearly() -> None:
    photo = decode(saved(picture(), "PNG"))
    assert np.array_equal(decode(encode_clean(photo, format="PNG")).rgb, photo.rgb)
    assert np.abs(decode(encode_clean(photo)).rgb.astype(int) - photo.rgb).mean() < 4


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "PA", "RGBA"])
def test_every_kind_of_png_becomes_rgb(mode: str) -> None:
    image = picture(mode="P").convert("PA") if mode == "PA" else picture(mode=mode)
    form = "PNG" if mode != "PA" else "WEBP"
    photo = decode(
        saved(image.convert("RGBA") if mode == "PA" else image, form, **({"lossless": True} if mode == "PA" else {}))
    )
    assert photo.rgb.shape == (48, 64, 3)
    assert photo.rgb.std() > 10


def test_a_grey_png_of_16_bits_keeps_its_upper_byte() -> None:
    levels = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    photo = decode(saved(Image.fromarray(levels), "PNG"))
    assert np.array_equal(photo.rgb[..., 1], (levels >> 8).astype(np.uint8))


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    photo = decode(saved(picture(mode="CMYK"), "JPEG", quality=95))
    assert photo.rgb[40, 10, 0] > 150 > photo.rgb[40, 10, 2]


def test_transparency_is_laid_over_white() -> None:
    image = picture(mode="RGBA")
    image.putalpha(Image.new("L", image.size, 0))
    assert (decode(saved(image, "PNG")).rgb == 255).all()
    indexed = picture(mode="P")
    data = saved(indexed, "PNG", transparency=indexed.getpixel((60, 40)))
    assert (decode(data).rgb[40, 60] == 255).all()


def test_a_multi_picture_jpeg_of_a_phone_gives_its_first_picture() -> None:
    other = Image.new("RGB", (64, 48), (0, 0, 0))
    data = saved(picture(), "MPO", save_all=True, append_images=[other], quality=95)
    with Image.open(io.BytesIO(data)) as both:
        assert getattr(both, "n_frames", 1) == 2
    photo = decode(data)
    assert photo.format == "JPEG"
    assert photo.rgb[40, 10, 0] > 150


def test_a_photo_taller_than_one_strip_is_put_together_again() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (module.STRIP_ROWS * 2 + 7, 40, 3), np.uint8))
    assert np.array_equal(decode(saved(image, "PNG")).rgb, np.asarray(image))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("empty", b""),
        ("not_a_photo", b"Dear sir, please find attached ...\n" * 20),
        ("not_a_photo", b"\x00" * 4000),
        ("too_few_pixels", saved(picture(1, 1), "PNG")),
        ("too_few_pixels", saved(picture(31, 400), "JPEG")),
        ("too_many_pixels", png_header(50_000, 50_000)),
        ("too_many_pixels", png_header(10_000, 10_000)),
        ("too_many_pixels", png_header(20_000, 400)),
        ("animated", saved(picture(), "PNG", save_all=True, append_images=[Image.new("RGB", (64, 48))])),
        ("animated", saved(picture(), "WEBP", save_all=True, append_images=[Image.new("RGB", (64, 48))])),
        ("format_not_accepted", saved(picture(), "AVIF")),
        ("format_not_accepted", saved(picture(), "GIF")),
        ("format_not_accepted", saved(picture(), "GIF", save_all=True, append_images=[Image.new("RGB", (64, 48))])),
        ("format_not_accepted", saved(picture(), "TIFF")),
        ("format_not_accepted", saved(picture(), "BMP")),
        ("damaged", b"\xff\xd8\xff" + b"nothing of the kind" * 30),
        ("damaged", b"\x89PNG\r\n\x1a\n" + b"nothing of the kind" * 30),
        ("damaged", b"RIFF\x10\x00\x00\x00WEBPVP8 " + b"nothing of the kind" * 30),
        ("damaged", png_header(64, 48)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_a_usable_photo_is_refused_with_a_sentence(code: str, data: bytes) -> None:
    assert refused(data).code == code


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_photo_is_refused(form: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))
    data = saved(noise, form)
    assert refused(data[: int(len(data) * share)]).code == "damaged"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_broken_bytes_never_raise_anything_else(form: str) -> None:
    rng = np.random.default_rng(7)
    whole = saved(picture(), form)
    for _ in range(150):
        data = bytearray(whole)
        for position in rng.integers(0, len(data), 8):
            data[position] = rng.integers(0, 256)
        with contextlib.suppress(UnusablePhoto):  # and nothing else
            assert decode(bytes(data)).rgb.shape[2] == 3


def test_the_byte_cap_names_both_numbers() -> None:
    error = refused(b"\xff\xd8\xff" + bytes(30_000_000))
    assert error.code == "too_many_bytes"
    assert "30.0 MB" in error.sentence
    assert "20 MB" in error.sentence
    assert refused(saved(picture(), "PNG"), max_bytes=50).code == "too_many_bytes"


def test_the_pixel_cap_is_checked_before_decoding_and_names_the_size() -> None:
    error = refused(png_header(5000, 5000))
    assert error.code == "too_many_pixels"
    assert "5,000 × 5,000" in error.sentence
    assert refused(saved(picture(), "PNG"), max_pixels=1000).code == "too_many_pixels"


def test_formats_whose_decoders_are_costly_have_a_lower_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIXELS_COSTLY", 2000)
    assert refused(saved(picture(), "WEBP")).code == "too_many_pixels"
    assert "progressive JPEG" in refused(saved(picture(), "JPEG", progressive=True)).sentence
    assert decode(saved(picture(), "JPEG")).width == 64
    assert decode(saved(picture(), "PNG")).width == 64


_PEAK = """
import pathlib, sys
from core.faces.decode import decode, encode_clean
photo = decode(sys.stdin.buffer.read())
if sys.argv[1] == "encode":
    encode_clean(photo)
status = pathlib.Path("/proc/self/status").read_text().splitlines()
print(photo.width, photo.height, next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def peak_megabytes(data: bytes, then: str = "stop") -> float:
    """Peak resident memory of a process that decodes these bytes.

    VmHWM and not getrusage: the latter starts from the peak of the process that spawned this one.
    """
    script = ["-W", "error", "-c", _PEAK, then]
    result = subprocess.run([sys.executable, *script], input=data, capture_output=True, cwd=ROOT, check=True)
    return int(result.stdout.split()[2]) / 1024


def large(width: int, height: int) -> Image.Image:
    small = np.random.default_rng(0).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_a_photo_of_24_megapixels_that_must_be_turned_stays_far_below_400_megabytes() -> None:
    data = saved(large(6000, 4000), "JPEG", quality=80, subsampling=0, exif=turned())
    assert peak_megabytes(data, "encode") < 320


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cmyk", "progressive", "transparent", "webp", "lossless webp"])
def test_the_worst_photos_that_are_accepted_stay_far_below_400_megabytes(kind: str) -> None:
    image = large(6000, 4080) if kind in ("cmyk", "transparent") else large(5000, 3200)
    if kind == "cmyk":
        data = saved(image.convert("CMYK"), "JPEG", quality=80, subsampling=0, exif=turned())
    elif kind == "progressive":
        data = saved(image.convert("CMYK"), "JPEG", quality=80, subsampling=0, progressive=True, exif=turned())
    elif kind == "transparent":
        # Few colours, so that the file stays below the byte cap.
        image = image.quantize(4).convert("RGBA")
        image.putalpha(128)
        data = saved(image, "PNG", compress_level=1, exif=turned())
    else:
        image = image.quantize(16).convert("RGBA") if kind == "lossless webp" else image
        data = saved(image, "WEBP", quality=60, method=0, lossless=kind == "lossless webp", exif=turned())
    assert peak_megabytes(data) < 330
