"""The metrics of a server as a table for docs/metrics.md, from their declarations."""

from __future__ import annotations


def metrics_table() -> str:
    from voxfleet.observe.metric_declarations import DECLARATIONS

    rows = ["| metric | kind | labels | what it tells |", "|---|---|---|---|"]
    for declared in DECLARATIONS:
        labels = ", ".join(f"`{label}`" for label in declared.labels) or "–"
        about = declared.about.replace("|", "\\|")
        rows.append(f"| `{declared.name}` | {declared.kind} | {labels} | {about} |")
    return "\n".join(rows)
