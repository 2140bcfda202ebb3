"""Shared vocabulary: errors, settings, types, files, privacy, untrusted text."""
