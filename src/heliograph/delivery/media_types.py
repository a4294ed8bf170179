"""Kinds of files that can be signed: by their suffix, and by how their bytes begin."""

MIME_TYPE_OF_SUFFIX = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
    "mp4": "video/mp4",
}


def mime_type_of(data: bytes) -> str | None:
    """What kind of picture or film the bytes are, by how they begin; None for everything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "image/avif"
    if data[4:12] in (b"ftypisom", b"ftypiso2", b"ftypmp41", b"ftypmp42", b"ftypavc1"):
        return "video/mp4"
    return None
