"""Names of blobs: what they look like, and nothing else is one, so that no name can lead out of the store.

`<sha256 hex>.<suffix>`, or `<sha256 hex>.e.<suffix>` for an object that is encrypted: there, too, the digest is of the
bytes as they are stored, so that whoever looks after them needs no key.
"""

import re

_NAME = re.compile(r"[0-9a-f]{64}(?:\.e)?\.[a-z0-9]{1,8}", re.ASCII)
SEALED = "e"


def blob_name(sha256_hex: str, suffix: str) -> str:
    """The name of the content with that digest; `suffix` comes without its dot, for example `png` or `e.png`."""
    name = f"{sha256_hex}.{suffix}"
    assert is_blob_name(name), f"{suffix!r} is no suffix: 1 to 8 of a-z and 0-9"
    return name


def is_blob_name(name: str) -> bool:
    """The text has the form of a blob's name; whether there is one is another question."""
    return _NAME.fullmatch(name) is not None


def is_sealed(name: str) -> bool:
    """The object of this name is encrypted."""
    return name[64:67] == f".{SEALED}."
