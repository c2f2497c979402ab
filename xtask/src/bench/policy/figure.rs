//! The runs over time, as figures 10 and 11 of the CBUFs paper show them: in each column one run,
//! with the web server's throughput, the time that each lost, and their pools below.

use super::trace::Trace;
use std::fmt::Write as _;
use std::path::Path;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 150.0;
const LEFT: f64 = 52.0;
const GAP: f64 = 24.0;
const TOP: f64 = 64.0;
const BETWEEN: f64 = 34.0;
const WEB: &str = "#2b7a78";
const INTERFERENCE: &str = "#c0504d";
/// Seconds that a point stands for.
const STRETCH: f64 = 0.5;

pub struct Panel<'a> {
    pub title: String,
    pub trace: &'a Trace,
    pub web: &'a [u32],
    pub interference: &'a [u32],
}

type Points = Vec<(f64, f64)>;

/// One strip of a column: what it shows, and its curves with their colours.
struct Strip {
    title: &'static str,
    curves: Vec<(&'static str, Points)>,
}

impl Panel<'_> {
    fn strips(&self, length: f64) -> [Strip; 3] {
        let steps = (length / STRETCH) as usize;
        let each = |value: &dyn Fn(f64, f64) -> f64| -> Points {
            let from = |n: usize| n as f64 * STRETCH;
            (1..steps)
                .map(|n| (from(n + 1), value(from(n), from(n + 1))))
                .filter(|(_, value)| value.is_finite())
                .collect()
        };
        let pages = |of: &[u32]| self.trace.pages(of, 0.0, length);
        let lost = |of: &[u32]| each(&|from, to| self.trace.share(of, from, to));
        [
            Strip {
                title: "web server, requests a second",
                curves: vec![(WEB, each(&|from, to| self.trace.rate(from, to)))],
            },
            Strip {
                title: "blocked or collecting, % of the time",
                curves: vec![
                    (WEB, lost(self.web)),
                    (INTERFERENCE, lost(self.interference)),
                ],
            },
            Strip {
                title: "pools, pages",
                curves: vec![
                    (WEB, pages(self.web)),
                    (INTERFERENCE, pages(self.interference)),
                ],
            },
        ]
    }
}

/// Draws the columns over `length` seconds; strips beside each other have one scale.
pub fn draw(path: &Path, panels: &[Panel<'_>], length: f64, limit: f64) -> Result<(), String> {
    std::fs::write(path, svg(panels, length, limit)).map_err(|e| format!("{}: {e}", path.display()))
}

fn svg(panels: &[Panel<'_>], length: f64, limit: f64) -> String {
    let columns: Vec<[Strip; 3]> = panels.iter().map(|p| p.strips(length)).collect();
    let highest = |row: usize| {
        let strips = columns.iter().map(|c| &c[row]);
        let points = strips.flat_map(|s| s.curves.iter().flat_map(|c| &c.1));
        round(points.map(|p| p.1).fold(1.0, f64::max))
    };
    // More than everything lost is possible where several wait; it is drawn as everything.
    let tops = [highest(0), 100.0, highest(2)];
    let width = LEFT + panels.len() as f64 * (WIDTH + GAP);
    let height = TOP + 3.0 * (HEIGHT + BETWEEN) + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"20\"><tspan fill=\"{WEB}\">web server</tspan>, <tspan fill=\"{INTERFERENCE}\">interference</tspan>; the limit is {limit} pages; seconds below</text>\n"
    );
    for (at, (panel, strips)) in panels.iter().zip(&columns).enumerate() {
        let left = LEFT + at as f64 * (WIDTH + GAP);
        let _ = writeln!(
            svg,
            "<text x=\"{left}\" y=\"42\" font-size=\"15\">{}</text>",
            panel.title
        );
        for (row, (strip, top)) in strips.iter().zip(tops).enumerate() {
            let y = TOP + row as f64 * (HEIGHT + BETWEEN);
            let scale = if at == 0 { Some(top) } else { None };
            frame(&mut svg, strip.title, (left, y), length, scale);
            for (colour, points) in &strip.curves {
                let place = |(x, value): &(f64, f64)| {
                    format!(
                        "{:.1},{:.1}",
                        left + WIDTH * x / length,
                        y + HEIGHT * (1.0 - value.clamp(0.0, top) / top)
                    )
                };
                let places: Vec<String> = points.iter().map(place).collect();
                let _ = writeln!(
                    svg,
                    "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
                    places.join(" ")
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn frame(svg: &mut String, title: &str, (left, y): (f64, f64), length: f64, scale: Option<f64>) {
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{}\" fill=\"#666\">{title}</text>\n<rect x=\"{left}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#ccc\"/>",
        y - 5.0
    );
    let label = |value: f64| super::report::number((value * 10.0).round() / 10.0);
    for part in [0.0, 0.5, 1.0] {
        if let Some(top) = scale {
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#666\">{}</text>",
                left - 5.0,
                y + HEIGHT * (1.0 - part) + 4.0,
                label(top * part)
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666\">{}</text>",
            left + WIDTH * part,
            y + HEIGHT + 14.0,
            label(length * part)
        );
    }
}

/// The next number above that is easy to read.
fn round(value: f64) -> f64 {
    let unit = 10f64.powf(value.log10().floor()) / 2.0;
    (value / unit).ceil() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_is_a_column_with_both_in_it() {
        let mut trace = Trace::default();
        for ms in [0, 1000, 2000] {
            trace.take(&format!(
                "[sampler] sample {ms} 4:40,38,0,{ms},2,3,4,0 9:{},0,0,0,0,0,0,0",
                ms / 20
            ));
        }
        trace.answered = vec![(0.0, 0.0), (2.0, 900.0)];
        let panel = |title: &str| Panel {
            title: title.into(),
            trace: &trace,
            web: &[4],
            interference: &[9],
        };
        let text = svg(&[panel("one"), panel("two")], 2.0, 300.0);
        assert_eq!(text.matches("<polyline").count(), 2 * 5);
        assert!(text.contains(">one<") && text.contains(">two<"));
        // The highest pool is at the top of its strip; the last moment is no longer shown.
        let top = TOP + 2.0 * (HEIGHT + BETWEEN);
        let place = format!("{:.1},{top:.1}", LEFT + WIDTH / 2.0);
        assert!(text.contains(&place), "{place} in {text}");
    }

    #[test]
    fn scales_end_above_the_highest() {
        assert_eq!(
            (round(2.3), round(100.0), round(4210.0)),
            (2.5, 100.0, 4500.0)
        );
    }
}
