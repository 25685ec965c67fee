"""Bytes somebody uploaded -> pixels that are safe to work with.

Pillow is the only decoder (others turn a small file into gigabytes without a word). What is accepted is a short list,
size and number of frames are read from the header before any pixel is decoded, and whatever goes wrong becomes one
exception with a sentence for the person who chose the file.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

MAX_BYTES = 20_000_000
MAX_PIXELS = 24_500_000  # what is sold as 24 megapixels has up to 24.4 million
MAX_PIXELS_COSTLY = 16_000_000  # WebP and progressive JPEG: their decoders hold the whole photo two to four times more
MAX_SIDE = 16_384  # the filters that follow count pixels of a side in 16 bits
MIN_SIDE = 32
STRIP_ROWS = 256  # conversion works through the photo in strips, so that no second full copy exists

ONE_AT_A_TIME = threading.Lock()
"""Held around work on whole photos where a process has several threads: one photo takes up to 250 MB, four a gigabyte."""

_ORIENTATION = 0x0112
_MEGA = 1_000_000


class UnusablePhoto(Exception):
    """The file cannot be used as a photo. `code` for programs and the log, `sentence` for the person who chose it."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True, eq=False)
class Photo:
    """One decoded photo, upright, without metadata.

    rgb: (height, width, 3) uint8, read-only. format: "JPEG", "PNG" or "WEBP", of the original.
    sha256: 64 hex digits over the original bytes, before anything was changed.
    """

    rgb: NDArray[np.uint8]
    width: int
    height: int
    format: str
    sha256: str


def decode(data: bytes, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a JPEG, PNG or WebP photo.

    The EXIF orientation is applied and all metadata dropped; the first image of a multi-picture JPEG (as phones write
    them) is taken; transparency is laid over white; 16-bit samples are cut to 8; CMYK becomes RGB without a colour
    profile. Raises UnusablePhoto, and nothing else, for everything that is not such a photo.
    """
    if not data:
        raise UnusablePhoto("empty", "The file is empty. Choose the photo again.")
    if len(data) > max_bytes:
        raise UnusablePhoto(
            "too_many_bytes",
            f"The file has {len(data) / _MEGA:.1f} MB; at most {max_bytes / _MEGA:.0f} MB are accepted. "
            "Save the photo smaller or with more compression.",
        )
    kind = _sniff(data)
    image = _open(data, kind)
    _check_header(image, kind, max_pixels)
    try:
        # A Pillow decoder can raise almost anything on hostile bytes; all of it means the same to the person waiting.
        image.load()
        orientation = _orientation(image)
        rgb = _upright(_to_rgb(image), orientation)
    except Exception as error:
        raise UnusablePhoto(
            "damaged", "The photo is damaged or incomplete. Export it again from its source, or choose another one."
        ) from error
    finally:
        image.close()
    rgb.flags.writeable = False
    height, width = rgb.shape[:2]
    return Photo(rgb=rgb, width=width, height=height, format=kind, sha256=hashlib.sha256(data).hexdigest())


def encode_clean(photo: Photo, *, format: Literal["JPEG", "PNG"] = "JPEG") -> bytes:  # noqa: A002 (Pillow's word)
    """The photo as a new file that holds its pixels and nothing else: PNG, or JPEG at quality 95 with full colour."""
    return encode_pixels(photo.rgb, format=format)


def encode_pixels(rgb: NDArray[np.uint8], *, format: Literal["JPEG", "PNG"] = "JPEG") -> bytes:  # noqa: A002
    """(height, width, 3) uint8 as the bytes of an image file without metadata."""
    out = io.BytesIO()
    image = Image.fromarray(rgb, "RGB")
    if format == "JPEG":
        image.save(out, "JPEG", quality=95, subsampling=0)
    else:
        # The quickest level: a tenth larger in a quarter of the time, which an enrolment spends on every crop.
        image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _sniff(data: bytes) -> str:
    """The format by its first bytes: the name of a file says nothing."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    advice = "Save it as JPEG, PNG or WebP."
    if data[:6] in (b"GIF87a", b"GIF89a"):
        raise UnusablePhoto("format_not_accepted", f"GIF images are not accepted. {advice}")
    if data[4:8] == b"ftyp":
        brand = {b"avif": "AVIF", b"avis": "AVIF"}.get(data[8:12], "HEIC and other film-type")
        raise UnusablePhoto("format_not_accepted", f"{brand} images are not accepted. {advice}")
    if data[:4] in (b"II*\0", b"MM\0*") or data[:2] == b"BM":
        raise UnusablePhoto("format_not_accepted", f"TIFF and BMP images are not accepted. {advice}")
    raise UnusablePhoto(
        "not_a_photo", "The file is not a photo, whatever its name says. Choose a JPEG, PNG or WebP photo."
    )


def _open(data: bytes, kind: str) -> ImageFile:
    """The plugin of this one format, header only.

    Not Image.open: it warns (and so writes to the log) about large images before our own limit can refuse them, and
    makes a several-frame image of the multi-picture JPEGs that phones write.
    """
    openers: dict[str, type[ImageFile]] = {"JPEG": JpegImageFile, "PNG": PngImageFile, "WEBP": WebPImageFile}
    try:
        return openers[kind](io.BytesIO(data))
    except Image.DecompressionBombError as error:  # raised by the WebP plugin, which allocates as it opens
        raise UnusablePhoto("too_many_pixels", "The photo has far too many pixels. Save it smaller.") from error
    except Exception as error:  # as in decode: hostile bytes, any exception
        raise UnusablePhoto(
            "damaged", f"The file begins like a {kind} photo but cannot be read. Choose another one."
        ) from error


def _check_header(image: ImageFile, kind: str, max_pixels: int) -> None:
    width, height = image.size
    size = f"The photo has {width:,} × {height:,} pixels"
    name = {"JPEG": "JPEG", "PNG": "PNG", "WEBP": "WebP"}[kind]
    if "progressive" in image.info:
        name = "progressive JPEG"
    if name in ("WebP", "progressive JPEG"):
        max_pixels = min(max_pixels, MAX_PIXELS_COSTLY)
    if width * height > max_pixels:
        raise UnusablePhoto(
            "too_many_pixels",
            f"{size}; at most {max_pixels / _MEGA:.3g} megapixels are accepted for {name}. Save it smaller.",
        )
    if max(width, height) > MAX_SIDE:
        raise UnusablePhoto("too_many_pixels", f"{size}; no side may be longer than {MAX_SIDE:,}. Cut it to the face.")
    if min(width, height) < MIN_SIDE:
        raise UnusablePhoto("too_few_pixels", f"{size}; each side needs at least {MIN_SIDE}. Choose a larger photo.")
    if getattr(image, "n_frames", 1) > 1:
        raise UnusablePhoto("animated", "The image is animated. Save the one frame you need as a photo.")


def _orientation(image: ImageFile) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # unreadable EXIF is no reason to refuse readable pixels
        return 1


def _strips(image: ImageFile) -> Iterator[tuple[int, Image.Image]]:
    width, height = image.size
    for top in range(0, height, STRIP_ROWS):
        yield top, image.crop((0, top, width, min(top + STRIP_ROWS, height)))


def _to_rgb(image: ImageFile) -> NDArray[np.uint8]:
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    transparent = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    for top, strip in _strips(image):
        rows = slice(top, top + strip.height)
        if image.mode.startswith("I") or image.mode == "F":  # 16-bit grey: keep the upper byte
            rgb[rows] = (np.asarray(strip).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)[..., None]
        elif transparent:
            rgba = strip.convert("RGBA")
            white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
            rgb[rows] = np.asarray(Image.alpha_composite(white, rgba))[..., :3]
        else:
            rgb[rows] = np.asarray(strip.convert("RGB"))
    image.im = None  # type: ignore[assignment]  # the decoder's copy: gone before a rotation makes another
    return rgb


def _upright(rgb: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo the EXIF orientation 1..8 (values outside mean upright). EXIF 2.32, tag 0x0112."""
    if orientation in (2, 4, 5, 7):
        rgb = rgb[:, ::-1]
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(rgb, turns))
