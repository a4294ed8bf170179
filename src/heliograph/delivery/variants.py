"""Which files a picture or clip becomes, and how each is encoded.

The picture itself in the requested format, and a small WebP for lists (of a clip, its first frame). Effort follows
size: the codecs' slow settings cost little on a small picture and would hold up the pool on a large one.
"""

from dataclasses import dataclass

from heliograph.domain.request import GenerationRequest, OutputFormat

THUMBNAIL_SIDE_PX = 256
DEFAULT_QUALITY = 90
_FULL_CHROMA_QUALITY = 90
_MEDIUM_PIXELS = 512 * 512


@dataclass(frozen=True, slots=True, kw_only=True)
class PngEncoding:
    """Lossless."""

    @property
    def mime_type(self) -> str:
        """For example `image/png`."""
        return "image/png"


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegEncoding:
    """Progressive JPEG of `quality` 1-100. With `has_full_chroma` colour is kept at full resolution (4:4:4)."""

    quality: int
    has_full_chroma: bool

    @property
    def mime_type(self) -> str:
        """For example `image/png`."""
        return "image/jpeg"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebpEncoding:
    """Lossy WebP of `quality` 1-100. `effort` is libwebp's method, 0 (fast) to 6 (small)."""

    quality: int
    effort: int

    @property
    def mime_type(self) -> str:
        """For example `image/png`."""
        return "image/webp"


@dataclass(frozen=True, slots=True, kw_only=True)
class AvifEncoding:
    """AVIF of `quality` 1-100. `speed` is the encoder's, 0 (small) to 10 (fast)."""

    quality: int
    speed: int
    has_full_chroma: bool

    @property
    def mime_type(self) -> str:
        """For example `image/png`."""
        return "image/avif"


@dataclass(frozen=True, slots=True, kw_only=True)
class GifEncoding:
    """256 colours, the same in every frame."""

    @property
    def mime_type(self) -> str:
        """For example `image/png`."""
        return "image/gif"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmEncoding:
    """A film of `quality` 1-100: H.264 in MP4, or with `is_webm` VP9 in WebM."""

    quality: int
    is_webm: bool

    @property
    def mime_type(self) -> str:
        """For example `image/png`."""
        return "video/webm" if self.is_webm else "video/mp4"


Encoding = PngEncoding | JpegEncoding | WebpEncoding | AvifEncoding | GifEncoding | FilmEncoding


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPlan:
    """The files to make. `thumbnail_size_px` is (width, height), never larger than the picture."""

    main: Encoding
    thumbnail: WebpEncoding
    thumbnail_size_px: tuple[int, int]


def plan_variants(request: GenerationRequest, *, width_px: int, height_px: int) -> VariantPlan:
    """The plan for one picture of `request` that came out `width_px` x `height_px`."""
    return VariantPlan(
        main=_encoding(
            request.output_format, request.output_quality or DEFAULT_QUALITY, width_px * height_px * request.frames
        ),
        thumbnail=WebpEncoding(quality=80, effort=1),
        thumbnail_size_px=size_within(width_px, height_px, THUMBNAIL_SIDE_PX),
    )


def _encoding(output_format: OutputFormat, quality: int, pixels: int) -> Encoding:
    match output_format:
        case OutputFormat.PNG:
            return PngEncoding()
        case OutputFormat.JPEG:
            return JpegEncoding(quality=quality, has_full_chroma=quality >= _FULL_CHROMA_QUALITY)
        case OutputFormat.WEBP:
            return WebpEncoding(quality=quality, effort=4 if pixels <= _MEDIUM_PIXELS else 2)
        case OutputFormat.GIF:
            return GifEncoding()
        case OutputFormat.MP4 | OutputFormat.WEBM:
            return FilmEncoding(quality=quality, is_webm=output_format is OutputFormat.WEBM)


def size_within(width_px: int, height_px: int, side_px: int) -> tuple[int, int]:
    """The size scaled down, never up, so that its longest side is at most `side_px`; no side becomes 0."""
    longest = max(width_px, height_px)
    if longest <= side_px:
        return width_px, height_px
    return max(1, round(width_px * side_px / longest)), max(1, round(height_px * side_px / longest))
