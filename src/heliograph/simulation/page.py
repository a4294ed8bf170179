"""The report as one self-contained page: no requests, no library, light and dark, readable on paper."""

from collections.abc import Sequence
from html import escape

from heliograph.simulation.charts import Cell, Line, distribution, duration_words, over_time, stacked, strips
from heliograph.simulation.report import GroupReport, Report, Strip

ROWS_MAX = 96
TIER_COLOURS = {"pro": "var(--pro)", "standard": "var(--standard)", "free": "var(--free)"}
_PARTS = (
    ("busy", "var(--busy)", "making pictures"),
    ("lost", "var(--lost)", "runs that came to nothing"),
    ("loading", "var(--loading)", "loading models"),
    ("idle", "var(--idle)", "a model is warm, nobody asks for it"),
    ("empty", "var(--empty)", "no model loaded"),
)


def render(report: Report) -> str:
    """The page."""
    return frame(
        report.scenario,
        [
            _head(report),
            _cards(report),
            _queue(report),
            _occupancy(report),
            '<div class="two">',
            _latency(report),
            _money(report),
            "</div>",
            _groups(report),
            _small_print(report),
        ],
    )


def frame(title: str, sections: Sequence[str]) -> str:
    """A whole page in this look, around sections of HTML."""
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f"<title>{escape(title)} · Heliograph</title>"
            f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head>',
            "<body><main>",
            *sections,
            f"</main><div id=tip></div><script>{_SCRIPT}</script></body></html>\n",
        ]
    )


def heading(brand: str, title: str, facts: str) -> str:
    """The page's head, with the button for light and dark."""
    return (
        f'<header><div><p class="brand">{escape(brand)}</p><h1>{escape(title)}</h1>'
        f"<p class=facts>{escape(facts)}</p></div>"
        '<button id="theme" title="light or dark" aria-label="light or dark">◐</button></header>'
    )


def cards_of(cards: Sequence[tuple[str, str, str]]) -> str:
    """Figures to read first: label, value, note."""
    return (
        '<section class="cards">'
        + "".join(
            f'<div class="card"><div class="label">{escape(label)}</div><div class="value">{escape(value)}</div>'
            f'<div class="note">{escape(note)}</div></div>'
            for label, value, note in cards
        )
        + "</section>"
    )


def _head(report: Report) -> str:
    facts = (
        f"{duration_words(report.duration_s)} of traffic · {report.jobs:,} requests · {report.gpus} GPUs · "
        f"policy {report.policy} · seed {report.seed}"
    )
    about = f"<p>{escape(report.description)}</p>" if report.description else ""
    return (
        '<header><div><p class="brand">Heliograph simulation</p>'
        f"<h1>{escape(report.scenario)}</h1>{about}<p class=facts>{escape(facts)}</p></div>"
        '<button id="theme" title="light or dark" aria-label="light or dark">◐</button></header>'
    )


def _cards(report: Report) -> str:
    overall, hours = report.overall, report.gpu_hours
    first = report.groups[1] if len(report.groups) > 1 else overall
    per_1000 = report.cost_usd_per_1000_on_time
    cards = [
        ("on time", _percent(overall.attainment), f"{overall.on_time:,} of {overall.asked:,} requests"),
        (
            "per 1,000 on-time pictures",
            "–" if per_1000 is None else f"${per_1000:,.2f}",
            f"${report.cost_usd:,.0f} of GPU time in all",
        ),
        ("P95 latency", _seconds(overall.latency_s.p95), f"{_name(first)}: {_seconds(first.latency_s.p95)}"),
        ("goodput", f"{report.goodput_per_hour:,.0f}/h", f"{report.pictures_on_time:,} pictures on time"),
        ("GPUs busy", _percent(hours.busy / hours.paid if hours.paid else None), f"{hours.paid:,.0f} GPU-hours paid"),
        ("cold starts", _percent(report.cold_start_share), f"{report.loads:,} loads"),
        ("longest wait", _seconds(report.longest_wait_s), f"fairness (Jain) {_plain(report.jain)}"),
        ("refused", _percent(report.refused_share), ", ".join(report.refused) or "nobody"),
    ]
    return cards_of(cards)


def _queue(report: Report) -> str:
    series = report.series
    depth = over_time(
        [
            Line(name="longest", colour="var(--muted)", values=series.queue_depth_max, is_thin=True),
            Line(name="waiting", colour="var(--accent)", values=series.queue_depth, is_filled=True),
            Line(name="running", colour="var(--busy)", values=series.running),
        ],
        duration_s=report.duration_s,
        unit="jobs",
    )
    rates = over_time(
        [
            Line(name="asked per minute", colour="var(--muted)", values=series.arrivals_per_min, is_filled=True),
            Line(name="pictures on time per minute", colour="var(--good)", values=series.on_time_per_min),
        ],
        duration_s=report.duration_s,
        unit="per minute",
        height=150,
    )
    names = legend(
        [("waiting", "var(--accent)"), ("longest line in the interval", "var(--muted)"), ("on GPUs", "var(--busy)")]
    )
    below = legend([("requests per minute", "var(--muted)"), ("pictures delivered on time per minute", "var(--good)")])
    return f"<section><h2>The line</h2>{names}{depth}{below}{rates}</section>"


def _occupancy(report: Report) -> str:
    shown = report.strips[:ROWS_MAX]
    hours: dict[str, float] = {}
    for strip in report.strips:
        for cell in strip.cells:
            state, _, model = cell.partition(":")
            if model:
                hours[model] = hours.get(model, 0.0) + (1.0 if state == "busy" else 0.001)
    models = sorted(hours, key=lambda model: (-hours[model], model))
    hues = {model: round(211 + index * 137.508) % 360 for index, model in enumerate(models)}
    rows = [(_short(strip), _cells(strip, hues, report.series.bucket_s)) for strip in shown]
    names = legend(
        [(model, f"hsl({hues[model]} 62% 52%)") for model in models[:12]]
        + [("loading", "var(--loading)"), ("no model", "var(--empty)")]
    )
    more = "" if len(shown) == len(report.strips) else f" The first {len(shown)} of {len(report.strips)} GPUs."
    note = f'<p class="note">Full colour: busy with that model. Pale: the model is warm and idle.{more}</p>'
    hours_bar = stacked(
        [(name, colour, float(getattr(report.gpu_hours, name))) for name, colour, _ in _PARTS], unit="GPU-hours"
    )
    parts = legend(
        [
            (f"{name} {float(getattr(report.gpu_hours, name)):,.1f} h: {what}", colour)
            for name, colour, what in _PARTS
            if getattr(report.gpu_hours, name) > 0
        ]
    )
    strip_svg = strips(rows, duration_s=report.duration_s)
    return f"<section><h2>What the GPUs did</h2>{hours_bar}{parts}{names}{note}{strip_svg}</section>"


def _cells(strip: Strip, hues: dict[str, int], bucket_s: float) -> list[Cell]:
    """Equal neighbours as one piece; a GPU that is off leaves the background."""
    found: list[Cell] = []
    count = len(strip.cells)
    begin = 0
    for index in range(1, count + 1):
        if index < count and strip.cells[index] == strip.cells[begin]:
            continue
        state, _, model = strip.cells[begin].partition(":")
        if state != "off":
            span = f"{duration_words(begin * bucket_s)} to {duration_words(index * bucket_s)}"
            title = f"{strip.gpu_class}: {state} {model} · {span}"
            found.append(
                Cell(begin=begin / count, end=index / count, style=_cell_style(state, hues.get(model)), title=title)
            )
        begin = index
    return found


def _cell_style(state: str, hue: int | None) -> str:
    match state:
        case "busy":
            return f"fill:hsl({hue} 62% 52%)"
        case "idle":
            return f"fill:hsl({hue} 45% 55% / .28)"
        case "loading":
            return "fill:var(--loading)"
        case _:
            return "fill:var(--empty)"


def _latency(report: Report) -> str:
    targets = {group.tier: group.target_s for group in report.groups if group.kind == "all"}
    curves = [
        (tier, TIER_COLOURS.get(tier, "var(--accent)"), points, targets.get(tier))
        for tier, points in report.latency_curves.items()
    ]
    names = legend([(name, colour) for name, colour, _, _ in curves])
    note = '<p class="note">From submission to delivery; dashed: the tier’s target.</p>'
    return f"<section><h2>Latency</h2>{names}{note}{distribution(curves)}</section>"


def _money(report: Report) -> str:
    series = report.series
    cost = over_time(
        [Line(name="spent", colour="var(--accent)", values=series.cost_usd, is_filled=True)],
        duration_s=report.duration_s,
        unit="$",
        height=210,
    )
    share = over_time(
        [Line(name="busy", colour="var(--busy)", values=series.busy_share, is_filled=True)],
        duration_s=report.duration_s,
        unit="%",
        height=190,
    )
    return (
        f"<section><h2>Money</h2>{legend([('spent on GPUs so far', 'var(--accent)')])}{cost}"
        f"{legend([('share of paid GPU time that makes pictures', 'var(--busy)')])}{share}</section>"
    )


def _groups(report: Report) -> str:
    head = "<tr><th>who</th><th>target</th><th>asked</th><th>on time</th><th></th><th>late</th><th>refused</th>"
    head += "<th>failed</th><th>expired</th><th>P50</th><th>P95</th><th>P99</th><th>P95 wait</th></tr>"
    rows = [
        f"<tr><td>{_name(group)}</td><td>{_seconds(group.target_s)}</td><td>{group.asked:,}</td>"
        f"<td>{_percent(group.attainment)}</td><td>{_meter(group.attainment)}</td><td>{group.late:,}</td>"
        f"<td>{group.refused:,}</td><td>{group.failed:,}</td><td>{group.expired + group.unfinished:,}</td>"
        f"<td>{_seconds(group.latency_s.p50)}</td><td>{_seconds(group.latency_s.p95)}</td>"
        f"<td>{_seconds(group.latency_s.p99)}</td><td>{_seconds(group.wait_s.p95)}</td></tr>"
        for group in report.groups
    ]
    stages = [
        f"<tr><td>{escape(name)}</td><td>{_seconds(found.mean)}</td><td>{_seconds(found.p50)}</td>"
        f"<td>{_seconds(found.p95)}</td><td>{_seconds(found.p99)}</td><td>{_seconds(found.largest)}</td></tr>"
        for name, found in report.stages_s.items()
    ]
    return (
        f'<section><h2>Who got what</h2><div class="scroll"><table>{head}{"".join(rows)}</table></div></section>'
        '<section><h2>By stage</h2><div class="scroll"><table><tr><th>stage</th><th>mean</th><th>P50</th><th>P95</th>'
        f"<th>P99</th><th>longest</th></tr>{''.join(stages)}</table></div></section>"
    )


def _small_print(report: Report) -> str:
    eta, decisions = report.eta, report.decision_us
    sentences = [
        f"Attempts: {', '.join(f'{count:,} {name}' for name, count in report.attempts.items()) or 'none'}.",
        f"Metered ${report.metered_usd:,.2f}, charged ${report.charged_usd:,.2f}.",
    ]
    if eta.count:
        sentences.append(
            f"Promised delivery times were off by {_percent(eta.median_error)} in the median and within 20% for "
            f"{_percent(eta.within_20_percent)} of {eta.count:,} sampled requests; the stated interval held the truth "
            f"for {_percent(eta.interval_holds)}."
        )
    if decisions.count:
        sentences.append(f"A decision took {decisions.p50:.0f} µs (P50), {decisions.p99:.0f} µs (P99) of this machine.")
    sentences.append("Cost counts every GPU-hour that was paid for, used or not, within the simulated time.")
    return f"<footer><p>{escape(' '.join(sentences))}</p></footer>"


def _name(group: GroupReport) -> str:
    if group.tier == "all":
        return "everybody" if group.kind == "all" else f"every {group.kind}"
    return group.tier if group.kind == "all" else f"{group.tier} · {group.kind}"


def _short(strip: Strip) -> str:
    term = {"reserved": "", "on_demand": "od", "spot": "spot"}[strip.term]
    return f"{strip.zone[:4]} {term} {int(strip.gpu.rpartition('-')[2])}".replace("  ", " ")


def _meter(share: float | None) -> str:
    if share is None:
        return ""
    return f'<div class="meter"><i style="width:{share * 100:.1f}%"></i></div>'


def legend(items: Sequence[tuple[str, str]]) -> str:
    """Names with their colours."""
    return (
        '<p class="legend">'
        + "".join(f'<span><i style="background:{colour}"></i>{escape(name)}</span>' for name, colour in items)
        + "</p>"
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else duration_words(seconds)


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


_STYLE = """
:root{color-scheme:light dark;--bg:#f6f5f2;--panel:#fff;--ink:#1d2430;--muted:#8b94a3;--line:#e3e1db;--accent:#d9642b;
--busy:#2f6fb2;--good:#2e9b6b;--lost:#c4304b;--loading:#e3a92c;--idle:#a9c3dd;--empty:#dcdad4;--pro:#7a4fc0;
--standard:#2f6fb2;--free:#2e9b6b}
@media(prefers-color-scheme:dark){:root:not([data-theme=light]){--bg:#12161d;--panel:#1a2029;--ink:#e6e9ee;
--muted:#7f8a9b;--line:#2b3340;--accent:#f08a4b;--busy:#5b9be0;--good:#4fc38d;--lost:#ea5f78;--loading:#e9bd55;
--idle:#3d5470;--empty:#262d38;--pro:#b08cf0;--standard:#5b9be0;--free:#4fc38d}}
:root[data-theme=dark]{color-scheme:dark;--bg:#12161d;--panel:#1a2029;--ink:#e6e9ee;--muted:#7f8a9b;--line:#2b3340;
--accent:#f08a4b;--busy:#5b9be0;--good:#4fc38d;--lost:#ea5f78;--loading:#e9bd55;--idle:#3d5470;--empty:#262d38;
--pro:#b08cf0;--standard:#5b9be0;--free:#4fc38d}
:root[data-theme=light]{color-scheme:light}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 ui-sans-serif,system-ui,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 48px}
header{display:flex;justify-content:space-between;align-items:flex-start;gap:20px}
h1{font-size:30px;line-height:1.2;margin:2px 0 6px;letter-spacing:-.02em}h2{font-size:17px;margin:0 0 8px}
p{margin:0 0 6px;max-width:75ch}.brand{color:var(--accent);font-weight:600;letter-spacing:.04em;margin:0}
.facts,.note{color:var(--muted)}.note{font-size:13px}
button{font-size:19px;width:38px;height:38px;border-radius:50%;border:1px solid var(--line);background:var(--panel);
color:var(--ink);cursor:pointer}
.cards{display:grid;grid-template-columns:repeat(4,1fr);gap:12px;background:none;border:0;padding:0}
.card,section{background:var(--panel);border:1px solid var(--line);border-radius:12px;padding:16px 18px}
section{margin-top:16px}.cards{margin-top:20px}.label{font-size:13px;color:var(--muted)}
.value{font-size:27px;font-weight:650;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.card .note{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.two{display:grid;grid-template-columns:1fr 1fr;gap:16px}.two svg{font-size:1.4em}
svg{display:block;width:100%;height:auto}.bar{height:22px;border-radius:6px;margin:4px 0 10px}
.grid{stroke:var(--line);stroke-width:1}.tick{fill:var(--muted);font-size:12px;font-variant-numeric:tabular-nums}
.two .tick{font-size:19px}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;max-width:none;margin:2px 0 8px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;vertical-align:-1px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th{font-weight:500;color:var(--muted);text-align:right}td{text-align:right;border-top:1px solid var(--line)}
th,td{padding:6px 8px;white-space:nowrap}th:first-child,td:first-child{text-align:left}.scroll{overflow-x:auto}
.words th,.words td{text-align:left;white-space:normal}
.meter{width:90px;height:7px;border-radius:4px;background:var(--empty);overflow:hidden}
.meter i{display:block;height:100%;background:var(--good)}
footer{margin-top:18px;color:var(--muted);font-size:13px}footer p{max-width:none}.none{color:var(--muted)}
#tip{position:fixed;pointer-events:none;opacity:0;background:var(--ink);color:var(--bg);padding:6px 10px;
border-radius:8px;font-size:13px;white-space:pre;z-index:2;transition:opacity .1s}
@media(max-width:820px){.cards{grid-template-columns:1fr 1fr}.two{grid-template-columns:1fr}.two .tick{font-size:12px}}
@media print{button{display:none}section,.card{break-inside:avoid}}
"""

_SCRIPT = """
const root=document.documentElement,dark=matchMedia('(prefers-color-scheme:dark)'),tip=document.getElementById('tip');
document.getElementById('theme').onclick=()=>{const now=root.dataset.theme||(dark.matches?'dark':'light');
root.dataset.theme=now==='dark'?'light':'dark'};
const words=s=>s<100?s.toFixed(0)+' s':s<3600?(s/60).toFixed(1)+' min':(s/3600).toFixed(2)+' h';
for(const svg of document.querySelectorAll('svg[data-duration]')){
const mark=document.createElementNS('http://www.w3.org/2000/svg','line');mark.setAttribute('class','grid');
mark.setAttribute('y1',12);mark.setAttribute('y2',svg.viewBox.baseVal.height-26);mark.style.stroke='var(--muted)';
mark.style.display='none';svg.append(mark);
svg.onmousemove=e=>{const box=svg.getBoundingClientRect(),x=(e.clientX-box.left)*1000/box.width;
const share=Math.min(Math.max((x-58)/928,0),1),lines=[words(share*svg.dataset.duration)];
for(const c of svg.querySelectorAll('.curve')){const v=c.dataset.values.split(','),u=c.dataset.unit;
let n=+v[Math.round(share*(v.length-1))];n=u==='%'?(n*100).toFixed(1)+'%':u==='$'?'$'+n.toFixed(2):n.toLocaleString();
lines.push(c.dataset.name+': '+n)}
mark.setAttribute('x1',58+share*928);mark.setAttribute('x2',58+share*928);mark.style.display='';
tip.textContent=lines.join('\\n');tip.style.opacity=.95;
tip.style.left=Math.min(e.clientX+14,innerWidth-tip.offsetWidth-8)+'px';tip.style.top=e.clientY+14+'px'};
svg.onmouseleave=()=>{tip.style.opacity=0;mark.style.display='none'}}
"""
