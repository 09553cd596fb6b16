"""
How a report looks: light and dark, wide and on a phone, on paper.

Law of this file: the page has this one sheet, whose hash stands in its policy; no element has a style
of its own. What a colour tells is told by a word or a dash as well.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import Final

SHEET: Final = """
:root { color-scheme: light dark;
  --page: #f6f6f3; --card: #ffffff; --ink: #14140f; --soft: #55544d; --line: #e2e1da; --axis: #b4b3a9;
  --use: #2a6fc4; --limit: #35342f; --refused: #c9501c; --queued: #5a48b5; --flight: #12805a;
  --well: #12734f; --warn: #8f5a00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root {
  --page: #111110; --card: #1b1b19; --ink: #f4f3ee; --soft: #b5b4aa; --line: #33332f; --axis: #5d5c55;
  --use: #5a9bea; --limit: #dddcd3; --refused: #f08352; --queued: #a598f0; --flight: #3dbb8a;
  --well: #4fc795; --warn: #e0a84a; --bad: #f2837b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); overflow-wrap: anywhere;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 832px; margin: 0 auto; padding: 28px 16px 40px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; font-weight: 650; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 0 0 2px; font-weight: 650; }
p { margin: 0 0 8px; }
.soft, footer { color: var(--soft); }
.verdict { font-size: 17px; margin: 0 0 2px; }
.verdict b { font-weight: 650; }
.well b { color: var(--well); } .warn b { color: var(--warn); } .bad b { color: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 12px; margin: 20px 0; }
.tiles div, section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tiles div { padding: 12px 14px; display: flex; flex-direction: column; }
.tiles dt { color: var(--soft); font-size: 13px; }
.tiles dd { margin: 0; }
.tiles .figure { font-size: 24px; line-height: 1.25; font-weight: 600; white-space: nowrap; letter-spacing: -0.01em; }
.tiles .about { color: var(--soft); font-size: 13px; line-height: 1.35; }
section { padding: 18px 20px; margin: 0 0 16px; }
figure { margin: 10px 0 0; }
svg { display: block; width: 100%; height: auto; font-size: 12px; }
svg.narrow { display: none; }
svg text { fill: var(--soft); font-family: inherit; font-variant-numeric: tabular-nums; }
svg path.mark { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 3; }
svg text.mark { fill: var(--ink); font-weight: 600; paint-order: stroke; stroke: var(--card); stroke-width: 5px; }
.grid { stroke: var(--line); } .axis { stroke: var(--axis); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.area { stroke: none; fill-opacity: 0.16; }
path.area.use, rect.use { fill: var(--use); } path.line.use { stroke: var(--use); }
path.line.limit { stroke: var(--limit); stroke-width: 1.5; stroke-dasharray: 6 4; }
path.area.refused { fill: var(--refused); fill-opacity: 0.3; } path.line.refused { stroke: var(--refused); }
path.area.queued, rect.queued { fill: var(--queued); } path.line.queued { stroke: var(--queued); }
rect.flight { fill: var(--flight); } path.line.flight { stroke: var(--flight); stroke-dasharray: 2 3; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; padding: 0; margin: 0 0 6px; list-style: none;
  font-size: 13px; }
.legend svg { display: inline-block; width: 26px; height: 10px; margin-right: 7px; }
details { margin-top: 10px; }
summary { cursor: pointer; color: var(--soft); font-size: 13px; padding: 2px 0; }
:focus-visible { outline: 2px solid var(--use); outline-offset: 2px; border-radius: 3px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 10px 0 4px; font-size: 14px;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 4px 0; }
th, td { text-align: left; padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: normal; }
td.name, th.name { overflow-wrap: anywhere; min-width: 7em; }
thead th { color: var(--soft); font-weight: 500; font-size: 13px; }
tbody th { font-weight: 400; }
th.n, td.n { text-align: right; padding-right: 0; padding-left: 14px; white-space: nowrap; }
thead th.n { white-space: normal; }
code { font: 13px/1.45 ui-monospace, "SFMono-Regular", Menlo, "DejaVu Sans Mono", monospace; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 28px; }
footer { font-size: 13px; padding: 4px 2px; }
@media (max-width: 640px) {
  main { padding: 18px 10px 28px; } h1 { font-size: 22px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 8px; } .tiles .figure { font-size: 21px; }
  section { padding: 14px 12px; } .pair { grid-template-columns: 1fr; }
  svg.wide { display: none; } svg.narrow { display: block; } }
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc; --axis: #888;
    --use: #2a6fc4; --limit: #222; --refused: #c9501c; --queued: #5a48b5; --flight: #12805a;
    --well: #12734f; --warn: #8f5a00; --bad: #b3261e; }
  main { max-width: none; padding: 0; } .tiles div, section { break-inside: avoid; }
  section { border: 0; padding: 8px 0; }
  .tiles { grid-template-columns: repeat(4, 1fr); } svg.wide { display: block; } svg.narrow { display: none; }
  details { display: none; } }
"""

POLICY: Final = (
    "default-src 'none'; "
    f"style-src 'sha256-{b64encode(sha256(SHEET.encode()).digest()).decode()}'; base-uri 'none'; form-action 'none'"
)
"""What a browser lets the page do: have its one sheet, and nothing else."""
