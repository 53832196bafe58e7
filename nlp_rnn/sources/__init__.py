"""Sources of data: files, folders, the Hugging Face hub and built-in corpora, read as splits.

`source.read_source` is the entry. It reads files and folders with `files` (formats: `formats`), the
hub with `hub`, and generates the built-in corpora with `stories` and `probe_tasks`.
"""
