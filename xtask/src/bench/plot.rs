//! The SVG plot of a bench: each compared figure as a bar of ours to the peer's, on a log axis.

use std::path::Path;

use super::report::{Row, ratio_text};
use std::fmt::Write as _;

const SPAN: f64 = 500.0;
/// Room right of the axis for the figure of the longest bar.
const RIGHT: f64 = 70.0;
const BAR: f64 = 22.0;
const TOP: f64 = 60.0;
/// The width of a letter, about.
const LETTER: f64 = 7.0;
/// The axis has at most so many labels.
const LABELS: i32 = 10;

/// Bars right of the line at 1: ours is larger. Rows without a peer are left out.
pub fn ratios(path: &Path, title: &str, rows: &[Row]) -> Result<(), String> {
    std::fs::write(path, svg(title, rows)).map_err(|e| format!("{}: {e}", path.display()))
}

fn svg(title: &str, rows: &[Row]) -> String {
    let bars: Vec<(&Row, f64)> = rows
        .iter()
        .filter_map(|row| Some((row, row.ratio.filter(|r| r.is_finite() && *r > 0.0)?)))
        .collect();
    let (low, high) = bars.iter().fold((-1.0, 1.0), |(low, high), (_, ratio)| {
        let at = ratio.log2();
        (f64::min(low, at.floor()), f64::max(high, at.ceil()))
    });
    let peers = bars.iter().filter_map(|(row, _)| row.peer.as_ref());
    let several = peers
        .clone()
        .any(|(name, _)| Some(name) != peers.clone().next().map(|p| &p.0));
    let labels: Vec<String> = bars.iter().map(|(row, _)| label(row, several)).collect();
    let longest = labels.iter().map(|text| text.chars().count()).max();
    let left = 24.0 + LETTER * longest.unwrap_or(0) as f64;
    let width = left + SPAN + RIGHT;
    let height = TOP + BAR * bars.len() as f64 + 40.0;
    let x = |ratio: f64| left + SPAN * (ratio.log2() - low) / (high - low);
    let middle = x(1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"17\">{}</text>\n\
         <text x=\"16\" y=\"45\" fill=\"#666\">Cistern's figure divided by {}; right of the line Cistern's is larger</text>\n",
        escape(title),
        match peers.clone().next() {
            Some((name, _)) if !several => format!("that of {}", escape(name)),
            _ => "the peer's".into(),
        }
    );
    let every = (high - low) as i32 / LABELS + 1;
    for step in (low as i32..=high as i32).filter(|step| step % every == 0) {
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
    for (i, ((row, ratio), label)) in bars.iter().zip(&labels).enumerate() {
        let y = TOP + BAR * i as f64;
        let (from, to) = (middle.min(x(*ratio)), middle.max(x(*ratio)));
        let colour = match row.met() {
            Some(false) => "#c0504d",
            _ => "#2b7a78",
        };
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\n<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left - 8.0,
            y + 15.0,
            escape(label),
            y + 3.0,
            (to - from).max(1.0),
            BAR - 6.0,
            to + 6.0,
            y + 15.0,
            ratio_text(*ratio)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// What a bar is called: with the peer, where bars have several and the name does not say which.
fn label(row: &Row, several: bool) -> String {
    let label = format!("{}, {}", row.name, row.unit);
    match &row.peer {
        Some((peer, _)) if several && !row.name.contains(peer.as_str()) => {
            format!("{label} / {peer}")
        }
        _ => label,
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, peer: &str, ratio: f64) -> Row {
        Row::new(name, "instr.", ratio).against(peer, 1.0, None)
    }

    #[test]
    fn bars_say_what_they_are_compared_with() {
        let one = svg("t", &[row("a", "Linux", 0.5), row("b", "Linux", 2.0)]);
        assert!(
            one.contains(">a, instr.<") && one.contains("that of Linux"),
            "{one}"
        );
        let rows = [
            row("a", "seL4", 0.5),
            row("a", "Composite", 0.4),
            row("c (seL4)", "seL4", 2.0),
        ];
        let two = svg("t", &rows);
        for label in [
            ">a, instr. / seL4<",
            ">a, instr. / Composite<",
            ">c (seL4), instr.<",
        ] {
            assert!(two.contains(label), "{label} in {two}");
        }
    }

    #[test]
    fn labels_of_a_long_axis_stand_apart() {
        let text = svg(
            "t",
            &[row("a", "list", 1.0 / 4096.0), row("b", "list", 8.0)],
        );
        let labels = text.matches("text-anchor=\"middle\"").count();
        assert!((4..=LABELS as usize + 1).contains(&labels), "{labels}");
        assert!(text.contains(">1<"));
    }
}
