"""Output guards, one file each; the corpus of each is the `.toml` file with its name."""
