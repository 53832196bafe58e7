"""Inspection of one text: token attributions, gate activations, half-lives of the memory.

Modules in order: `text_tokens`, `gates`, `attribution`, `inspection` (all three for one text),
`memory_horizon` (averages over many texts), `figures` and `page` (the HTML page).
"""
