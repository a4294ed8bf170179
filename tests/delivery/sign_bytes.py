"""Signs standard input with a PEM key, as a program in front of a key management service would."""

import sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

data = sys.stdin.buffer.read()
match load_pem_private_key(Path(sys.argv[1]).read_bytes(), None):
    case ed25519.Ed25519PrivateKey() as key:
        signature = key.sign(data)
    case ec.EllipticCurvePrivateKey() as key:
        digest = hashes.SHA256() if key.curve.key_size == 256 else hashes.SHA384()
        signature = key.sign(data, ec.ECDSA(digest))
    case key:
        sys.exit(f"a key of an unknown kind: {key}")
sys.stdout.buffer.write(signature)
