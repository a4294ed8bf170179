"""Names of blobs: what they look like, and nothing else is one, so that no name can lead out of the store."""

import re

_NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}", re.ASCII)


def blob_name(sha256_hex: str, suffix: str) -> str:
    """The name of the content with that digest; `suffix` comes without its dot, for example `png`."""
    name = f"{sha256_hex}.{suffix}"
    assert is_blob_name(name), f"{suffix!r} is no suffix: 1 to 8 of a-z and 0-9"
    return name


def is_blob_name(name: str) -> bool:
    """The text has the form of a blob's name; whether there is one is another question."""
    return _NAME.fullmatch(name) is not None
