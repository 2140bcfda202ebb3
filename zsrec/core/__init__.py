"""What every other package uses: errors, settings, types, files, privacy."""
