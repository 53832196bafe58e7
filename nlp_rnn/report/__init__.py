"""The report of a comparison: a self-contained HTML page, figures and their data.

`report` writes it from the section functions of the `section_*` modules, each of which receives a
`context.ReportContext` and returns a `page.Section`. `report_data` loads what the sections show
beyond the comparison. `probe_report` writes a page about probes alone.
"""
