"""Delivering a picture: time beside the bare codecs, bytes beside JPEG, signatures that hold."""
