"""Draw the histogram of idle time as an inline SVG, styled by the page. Pure."""

from __future__ import annotations

from html import escape

from airflow_provider_toloka.reporting.histogram import Bar, Histogram, idle_time
from airflow_provider_toloka.reporting.report import Report
from airflow_provider_toloka.reporting.words import age, counted, date

_WIDTH, _HEIGHT = 960, 225
_LEFT, _RIGHT, _TOP, _BOTTOM = 10, 10, 44, 46
_GAP = 3.0
#: A bar of one project is visible next to one of thousands.
_LOWEST = 2.0


#: Bars of selected projects are distinguishable without colour.
_HATCHED = (
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="chosen" width="6" height="6"/><rect class="stripe" width="2" height="6"/></pattern></defs>'
)


def chart(report: Report) -> str:
    """Return the picture with its description.

    :param report: the report.
    """
    histogram = idle_time(report)
    if not histogram.highest:
        return "<p>No active project with a known activity.</p>\n"
    step = (_WIDTH - _LEFT - _RIGHT) / len(histogram.bars)
    base = _HEIGHT - _BOTTOM
    parts = [_HATCHED]
    for place, bar in enumerate(histogram.bars):
        parts.append(_bar(bar, _LEFT + place * step, step, base, histogram.highest))
    parts.append(f'<line class="axis" x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _RIGHT}" y2="{base}"/>')
    parts.append(f'<text x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 6}" class="title">days without activity</text>')
    parts += _threshold(report, histogram, step, base)
    told = _words(report, histogram)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(told)}">{"".join(parts)}</svg>\n'
        '<p class="legend"><svg viewBox="0 0 14 14" aria-hidden="true"><rect class="chosen" width="14" height="14"/>'
        '<rect fill="url(#hatch)" width="14" height="14"/></svg> selected for archiving '
        '<svg viewBox="0 0 14 14" aria-hidden="true"><rect class="alone" width="14" height="14"/></svg> left alone'
        f"{_unknown(histogram)}</p>\n"
    )


def _bar(bar: Bar, left: float, step: float, base: float, highest: int) -> str:
    scale = (base - _TOP) / highest
    told, top = [], base
    for count, attribute in ((bar.selected, 'fill="url(#hatch)"'), (bar.left_alone, 'class="alone"')):
        if count:
            height = max(count * scale, _LOWEST)
            top -= height
            x, width = left + _GAP / 2, step - _GAP
            told.append(f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" {attribute}/>')
    middle = left + step / 2
    if bar.count:
        told.append(f'<text x="{middle:.1f}" y="{top - 4:.1f}">{bar.count:,}</text>')
    plus = "+" if bar.end is None else ""
    told.append(f'<text x="{left:.1f}" y="{base + 16}" class="tick">{bar.start:,.4g}{plus}</text>')
    return f"<g><title>{bar.label} days: {counted(bar.count, 'project')}</title>{''.join(told)}</g>"


def _threshold(report: Report, histogram: Histogram, step: float, base: float) -> list[str]:
    if histogram.threshold is None or report.before is None or report.inactive_for is None:
        return []
    x = _LEFT + histogram.threshold * step
    is_right = x > _WIDTH / 2
    label = f"stale: idle for {age(report.inactive_for)} or more, since before {date(report.before)}"
    anchor = ' text-anchor="end"' if is_right else ""
    return [
        f'<line class="threshold" x1="{x:.1f}" y1="6" x2="{x:.1f}" y2="{base + 4}"/>',
        f'<text class="threshold" x="{x - 6 if is_right else x + 6:.1f}" y="16"{anchor}>{label}</text>',
    ]


def _words(report: Report, histogram: Histogram) -> str:
    bars = "; ".join(f"{bar.label} days: {bar.count:,}" for bar in histogram.bars if bar.count)
    threshold = f" The threshold is {age(report.inactive_for)}." if report.inactive_for else ""
    return f"Active projects by days without activity. {bars}.{threshold}"


def _unknown(histogram: Histogram) -> str:
    if not histogram.unknown:
        return ""
    return f". Not drawn: {counted(histogram.unknown, 'project')} without a known activity"
