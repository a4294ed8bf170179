"""Admission, priority, dispatch, retry: events in, commands out."""
