"""Pictures for pages: the probe with its numbered face boxes, and one face cut out. Drawn here, so that no script is needed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from core.faces.decode import ONE_AT_A_TIME

LONGEST_SIDE: Final = 1400
FACE_SIDE: Final = 320
_BOX: Final = (31, 78, 121)
_CHOSEN: Final = (179, 89, 0)
_WHITE: Final = (255, 255, 255)

Box = tuple[int, int, int, int]


def numbered(photo: bytes, boxes: Sequence[tuple[int, Box]], *, chosen: int | None = None) -> bytes:
    """JPEG of the photo, at most LONGEST_SIDE pixels wide and high, with a numbered box for each (number, box in pixels
    of the photo). The chosen one has a heavier frame, so that it is told apart without its colour."""
    with ONE_AT_A_TIME, Image.open(io.BytesIO(photo), formats=["JPEG"]) as opened:
        width, height = opened.size
        opened.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
        image = opened.convert("RGB")
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    scale = image.width / width
    del height
    draw = ImageDraw.Draw(image)
    line = max(2, round(max(image.size) / 350))
    size = max(14, round(max(image.size) / 36))
    font = ImageFont.load_default(size)
    for number, box in boxes:
        colour = _CHOSEN if number == chosen else _BOX
        x0, y0, x1, y1 = (round(edge * scale) for edge in box)
        frame = line * 2 if number == chosen else line
        draw.rectangle((x0 - frame, y0 - frame, x1 + frame, y1 + frame), outline=_WHITE, width=frame + 2)
        draw.rectangle((x0 - frame + 1, y0 - frame + 1, x1 + frame - 1, y1 + frame - 1), outline=colour, width=frame)
        label = str(number)
        wide, high = round(size * (0.6 * len(label) + 0.7)), round(size * 1.3)
        left, top = max(0, x0 - frame), max(0, y0 - frame - high)
        draw.rectangle((left, top, left + wide, top + high), fill=colour, outline=_WHITE)
        draw.text((left + wide / 2, top + high / 2), label, fill=_WHITE, font=font, anchor="mm")
    return _jpeg(image)


def cut_out(photo: bytes, box: Box, *, margin: float = 0.25) -> bytes:
    """JPEG of one face, a square of at most FACE_SIDE pixels, with some of what is around it."""
    x0, y0, x1, y1 = box
    half = max(x1 - x0, y1 - y0) * (0.5 + margin)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    around = round(x - half), round(y - half), round(x + half), round(y + half)
    with ONE_AT_A_TIME, Image.open(io.BytesIO(photo), formats=["JPEG"]) as opened:
        part = opened.crop(around).convert("RGB")
    part.thumbnail((FACE_SIDE, FACE_SIDE), Image.Resampling.LANCZOS)
    return _jpeg(part)


def _jpeg(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "JPEG", quality=88)
    return written.getvalue()
