//! The SVG plot of a bench: each compared figure as a bar of ours to the peer's, on a log axis.

use std::path::Path;

use super::report::{Row, ratio_text};
use std::fmt::Write as _;

const LEFT: f64 = 330.0;
const WIDTH: f64 = 900.0;
const BAR: f64 = 22.0;
const TOP: f64 = 60.0;

/// Bars right of the middle line: ours is larger. Rows without a peer are left out.
pub fn ratios(path: &Path, title: &str, rows: &[Row]) -> Result<(), String> {
    let bars: Vec<(&Row, f64)> = rows
        .iter()
        .filter_map(|row| Some((row, row.ratio.filter(|r| r.is_finite() && *r > 0.0)?)))
        .collect();
    let reach = bars
        .iter()
        .map(|(_, r)| r.log2().abs())
        .fold(1.0, f64::max)
        .ceil();
    let height = TOP + BAR * bars.len() as f64 + 40.0;
    let span = (WIDTH - LEFT - 70.0) / 2.0;
    let middle = LEFT + span;
    let x = |ratio: f64| middle + span * ratio.log2() / reach;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"17\">{}</text>\n\
         <text x=\"16\" y=\"45\" fill=\"#666\">Cistern divided by the peer, in one run; right of the line Cistern's figure is larger</text>\n",
        escape(title)
    );
    for step in -(reach as i32)..=reach as i32 {
        let at = x(2f64.powi(step));
        let label = if step < 0 {
            format!("1/{}", 1 << -step)
        } else {
            format!("{}", 1 << step)
        };
        let stroke = if step == 0 { "#333" } else { "#ddd" };
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{:.1}\" stroke=\"{stroke}\"/>\n<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666\">{label}</text>",
            height - 30.0,
            height - 14.0
        );
    }
    for (i, (row, ratio)) in bars.iter().enumerate() {
        let y = TOP + BAR * i as f64;
        let (from, to) = (middle.min(x(*ratio)), middle.max(x(*ratio)));
        let colour = match row.met() {
            Some(false) => "#c0504d",
            _ => "#2b7a78",
        };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\n<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT - 8.0,
            y + 15.0,
            escape(&format!("{}, {}", row.name, row.unit)),
            y + 3.0,
            (to - from).max(1.0),
            BAR - 6.0,
            to + 6.0,
            y + 15.0,
            ratio_text(*ratio)
        );
    }
    svg.push_str("</svg>\n");
    std::fs::write(path, svg).map_err(|e| format!("{}: {e}", path.display()))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
