"""What becomes of pictures from outside: of every mode and format, of broken, huge and hostile ones."""

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from heliograph.delivery.pillow_intake import read_notes, read_picture
from heliograph.domain.intake import IntakeLimits, PictureRole, ReadPicture, UnreadablePicture
from tests.intakes import LIMITS, a_file


def taken(data: bytes, *, role: PictureRole = PictureRole.IMAGE, limits: IntakeLimits = LIMITS) -> ReadPicture:
    read = read_picture(data, role=role, param="image", limits=limits)
    assert isinstance(read, ReadPicture), read
    return read


def refused(data: bytes, *, role: PictureRole = PictureRole.IMAGE, limits: IntakeLimits = LIMITS) -> UnreadablePicture:
    read = read_picture(data, role=role, param="image", limits=limits)
    assert isinstance(read, UnreadablePicture)
    return read


def picture(read: ReadPicture) -> Image.Image:
    image = Image.open(io.BytesIO(read.png))
    image.load()
    return image


def file_of(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


MODES = [
    ("1", 1, "PNG", (255, 255, 255)),
    ("L", 90, "PNG", (90, 90, 90)),
    ("L", 90, "JPEG", (90, 90, 90)),
    ("LA", (90, 255), "PNG", (90, 90, 90)),
    ("P", 0, "PNG", (0, 0, 0)),
    ("P", 0, "GIF", (0, 0, 0)),
    ("RGB", (10, 20, 30), "PNG", (10, 20, 30)),
    ("RGB", (10, 20, 30), "WEBP", (10, 20, 30)),
    ("RGB", (200, 20, 30), "AVIF", (200, 20, 30)),
    ("RGBA", (10, 20, 30, 255), "PNG", (10, 20, 30)),
    ("I;16", 90 << 8, "PNG", (90, 90, 90)),
    ("CMYK", (0, 255, 255, 0), "JPEG", (255, 0, 0)),
]


@pytest.mark.parametrize(("mode", "colour", "kind", "becomes"), MODES)
def test_every_mode_becomes_rgb_of_eight_bits(mode: str, colour: object, kind: str, becomes: tuple[int, ...]) -> None:
    read = taken(
        a_file((16, 16), mode=mode, colour=colour, kind=kind, **({"lossless": True} if kind == "WEBP" else {}))
    )
    image = picture(read)
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (16, 16))
    assert np.abs(np.array(image.getpixel((8, 8))) - becomes).max() <= 6
    assert read.changes == ()


def test_what_is_transparent_lies_on_white_and_that_is_said() -> None:
    half = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    half.paste((0, 0, 0, 0), (0, 0, 4, 8))
    with_key = Image.new("RGB", (8, 8), (0, 255, 0))
    for data in (file_of(half), file_of(half, "WEBP", lossless=True), file_of(with_key, transparency=(0, 255, 0))):
        read = taken(data)
        assert picture(read).getpixel((1, 1)) == (255, 255, 255)
        assert [change.requested for change in read.changes] == ["partly transparent"]
    assert picture(taken(file_of(half))).getpixel((6, 1)) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright(orientation: int) -> None:
    upright = Image.new("RGB", (30, 20), "white")
    upright.paste("red", (0, 0, 10, 10))
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(back[orientation]) if orientation in back else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    read = taken(file_of(stored, exif=exif))
    assert read.came_px == (read.width_px, read.height_px) == (30, 20)
    assert picture(read).getpixel((2, 2)) == (255, 0, 0)
    assert picture(read).getpixel((20, 15)) == (255, 255, 255)


def test_nothing_of_the_senders_file_stays_in_ours() -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("parameters", "where I live")
    notes.add_itxt("XML:com.adobe.xmp", "<gps>where I live</gps>")
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("RGB", (20, 20), "red")
    for data in (
        file_of(image, pnginfo=notes, exif=exif, icc_profile=profile, dpi=(300, 300)),
        file_of(image, "JPEG", exif=exif, comment=b"where I live", icc_profile=profile, dpi=(300, 300)),
        file_of(image, "WEBP", exif=exif, xmp=b"where I live"),
    ):
        png = taken(data).png
        assert _chunks(png) == ["IHDR", "IDAT", "IEND"]
        assert b"where" not in png


def _chunks(png: bytes) -> list[str]:
    names, at = [], 8
    while at < len(png):
        (length,) = struct.unpack_from("!I", png, at)
        names.append(png[at + 4 : at + 8].decode())
        at += 12 + length
    return list(dict.fromkeys(names))


def test_colours_of_another_profile_are_brought_to_srgb() -> None:
    lab = Image.new("RGB", (8, 8), (128, 128, 128))
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    swapped_red = file_of(Image.new("RGB", (8, 8), (255, 0, 0)), icc_profile=bytes(swapped))
    assert picture(taken(swapped_red)).getpixel((4, 4)) == pytest.approx((0, 255, 0), abs=3)
    for broken in (b"", b"no profile", bytes(swapped[:200])):
        assert picture(taken(file_of(lab, icc_profile=broken))).getpixel((4, 4)) == (128, 128, 128)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_large_picture_is_kept_smaller_in_the_same_shape_and_that_is_said(kind: str) -> None:
    read = taken(a_file((1500, 1000), colour=(0, 0, 255), kind=kind))
    assert (read.width_px, read.height_px, read.came_px) == (612, 408, (1500, 1000))
    assert read.width_px * read.height_px <= LIMITS.stored_pixels_max
    assert [(change.requested, change.used) for change in read.changes] == [("1500x1000", "612x408")]
    assert picture(read).size == (612, 408)


def animated(frames: int, kind: str) -> bytes:
    images = [Image.new("RGB", (16, 16), (40 * index, 0, 0)) for index in range(frames)]
    return file_of(images[0], kind, save_all=True, append_images=images[1:])


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_is_refused_or_its_first_frame_is_taken_as_the_limit_says(kind: str) -> None:
    assert refused(animated(3, kind)) == UnreadablePicture(
        problem="has 3 frames, and stills are taken", code="picture_too_large"
    )
    three = replace(LIMITS, frames_max=3)
    assert picture(taken(animated(3, kind), limits=three)).getpixel((8, 8))[0] < 10
    assert "3 are the most" in refused(animated(4, kind), limits=three).problem


def a_png_that_claims(width: int, height: int, *, pixels: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + name + data + struct.pack("!I", zlib.crc32(name + data))

    header = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


TOO_LARGE = [
    (a_png_that_claims(100_000, 100_000), "pixels"),
    (a_png_that_claims(2**31 - 1, 2**31 - 1), "pixels"),
    (a_png_that_claims(2_001, 2_000), "2001 x 2000 pixels"),
    (a_file((2_500, 2_500), kind="JPEG"), "2500 x 2500 pixels"),
    (a_file((2_500, 2_500), kind="WEBP"), "2500 x 2500 pixels"),
    (bytes(LIMITS.bytes_max + 1), "2,000,001 bytes"),
]


@pytest.mark.parametrize(("data", "says"), TOO_LARGE)
def test_what_is_too_large_is_refused_before_it_is_decoded(data: bytes, says: str) -> None:
    problem = refused(data)
    assert says in problem.problem
    assert problem.code == "picture_too_large"


BROKEN = [
    (b"", "empty"),
    (b"hello", "is no picture"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no picture"),
    (a_file(kind="BMP"), "is no picture"),
    (a_file(kind="TIFF"), "is no picture"),
    (a_file(kind="PDF"), "is no picture"),
    (a_png_that_claims(0, 10), "is no picture"),
    (a_png_that_claims(20, 20, pixels=b"few"), "damaged"),
    (a_file()[:-30], "damaged"),
    (a_file((200, 200), kind="JPEG")[:-300], "damaged"),
]


@pytest.mark.parametrize(("data", "says"), BROKEN)
def test_what_is_no_whole_picture_is_refused(data: bytes, says: str) -> None:
    assert says in refused(data).problem


def test_text_that_unfolds_into_megabytes_is_refused() -> None:
    bomb = PngImagePlugin.PngInfo()
    bomb.add(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(50_000_000)))
    assert "damaged" in refused(file_of(Image.new("RGB", (8, 8)), pnginfo=bomb)).problem


SAMPLES = [a_file(kind=kind) for kind in ("PNG", "JPEG", "WEBP", "GIF")] + [animated(2, "PNG")]


@given(st.sampled_from(SAMPLES), st.data())
def test_a_file_changed_anywhere_is_read_or_refused(sample: bytes, data: st.DataObject) -> None:
    changed = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    cut = changed[: data.draw(st.integers(0, len(changed)))] if data.draw(st.booleans()) else changed
    for role in PictureRole:
        read = read_picture(bytes(cut), role=role, param="image", limits=LIMITS)
        if isinstance(read, ReadPicture):
            assert read.width_px * read.height_px <= LIMITS.stored_pixels_max


def test_a_mask_is_white_where_it_was_transparent_or_else_white() -> None:
    holes = Image.new("RGBA", (8, 8), (255, 255, 255, 255))
    holes.paste((255, 255, 255, 0), (0, 0, 4, 8))
    white = Image.new("RGB", (8, 8), "black")
    white.paste("white", (0, 0, 4, 8))
    opaque = white.convert("RGBA")
    for mask in (holes, white, opaque, white.convert("L"), white.convert("1"), white.convert("P")):
        read = taken(file_of(mask), role=PictureRole.MASK)
        image = picture(read)
        assert image.mode == "L"
        assert (image.getpixel((1, 1)), image.getpixel((6, 1))) == (255, 0)


def test_a_mask_that_keeps_everything_is_refused() -> None:
    for mask in (Image.new("L", (8, 8), 0), Image.new("RGB", (8, 8), "black")):
        assert refused(file_of(mask), role=PictureRole.MASK).code == "invalid_mask"


# --- what is written into a file -------------------------------------------------------------------------------------


def notes_of(data: bytes) -> dict[str, str]:
    notes = read_notes(data, limits=LIMITS)
    assert isinstance(notes, dict)
    return notes


def exif_of(tags: dict[int, object], comment: bytes | None = None) -> Image.Exif:
    exif = Image.Exif()
    for tag, value in tags.items():
        exif[tag] = value
    if comment is not None:
        exif.get_ifd(0x8769)[0x9286] = comment
    return exif


def test_notes_are_read_from_chunks_exif_and_comments() -> None:
    image = Image.new("RGB", (8, 8))
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a red boat ß")
    text.add_text("prompt", "x" * 3_000, zip=True)
    text.add_itxt("invokeai_metadata", "ein Schloß 🏰")
    assert notes_of(file_of(image, pnginfo=text)) == {
        "parameters": "a red boat ß", "prompt": "x" * 3_000, "invokeai_metadata": "ein Schloß 🏰",
    }  # fmt: skip
    for order in ("utf-16-be", "utf-16-le"):
        comment = exif_of({}, b"UNICODE\0" + "a red boat ß".encode(order))
        for kind in ("JPEG", "WEBP"):
            assert notes_of(file_of(image, kind, exif=comment))["parameters"] == "a red boat ß"
    plain = exif_of({}, b"ASCII\0\0\0a red boat")
    assert notes_of(file_of(image, "JPEG", exif=plain))["parameters"] == "a red boat"
    graph = exif_of({0x0110: 'prompt:{"1": {}}', 0x010F: "Workflow:{}", 0x010E: "a boat"})
    assert notes_of(file_of(image, "WEBP", exif=graph)) == {
        "prompt": '{"1": {}}',
        "workflow": "{}",
        "exif 270": "a boat",
    }
    assert notes_of(file_of(image, "JPEG", comment=b"a red boat"))["comment"] == "a red boat"
    assert "a red boat" in notes_of(file_of(image.convert("P"), "GIF", comment=b"a red boat"))["comment"]


@pytest.mark.parametrize(("data", "says"), [*BROKEN[1:], *TOO_LARGE])
def test_notes_of_what_is_no_picture_are_refused(data: bytes, says: str) -> None:
    read = read_notes(data, limits=LIMITS)
    assert isinstance(read, UnreadablePicture) or not read or "damaged" in says


@given(st.sampled_from(SAMPLES), st.data())
def test_notes_of_a_file_changed_anywhere_are_read_or_refused(sample: bytes, data: st.DataObject) -> None:
    changed = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(read_notes(bytes(changed), limits=LIMITS), dict | UnreadablePicture)
