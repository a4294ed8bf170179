"""Raw input becomes a checked GenerationRequest, or a clear error."""
