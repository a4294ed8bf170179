"""From pixels to files people can fetch: variants, metadata, content-addressed storage."""
