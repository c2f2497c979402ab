//! An SVG plot of curves on two logarithmic axes, in panels beside each other.

use std::fmt::Write as _;
use std::path::Path;

const PANEL: f64 = 300.0;
const HEIGHT: f64 = 300.0;
const TOP: f64 = 80.0;
const LEFT: f64 = 70.0;
const GAP: f64 = 36.0;
const BELOW: f64 = 60.0;
/// Of the legend: the width of a letter, about, and the height of a line.
const LETTER: f64 = 6.5;
const LINE: f64 = 18.0;
const COLOURS: [&str; 6] = [
    "#2b7a78", "#7fc6a4", "#c0504d", "#e8a33d", "#7a5195", "#4f81bd",
];
/// An axis of so few powers of ten has lines between them too.
const FEW: f64 = 2.0;

pub struct Curve {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Curves over the same marked places.
pub struct Panel {
    pub title: String,
    pub ticks: Vec<(f64, String)>,
    pub curves: Vec<Curve>,
}

/// Draws panels with one vertical axis for all. Curves of the same place in their panels share a
/// colour, and the name that they have in the first panel. Values must be positive.
pub fn draw(path: &Path, title: &str, panels: &[Panel]) -> Result<(), String> {
    std::fs::write(path, svg(title, panels)).map_err(|e| format!("{}: {e}", path.display()))
}

fn svg(title: &str, panels: &[Panel]) -> String {
    let values = panels
        .iter()
        .flat_map(|panel| &panel.curves)
        .flat_map(|curve| curve.points.iter().map(|(_, y)| y.log10()));
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), y| {
        (low.min(y.floor()), high.max(y.ceil()))
    });
    let width = LEFT + panels.len() as f64 * (PANEL + GAP) + GAP;
    let names: &[Curve] = panels.first().map_or(&[], |panel| &panel.curves);
    let longest = names.iter().map(|curve| curve.name.chars().count()).max();
    let column = 40.0 + LETTER * longest.unwrap_or(0) as f64;
    let columns = ((width - 16.0) / column).floor().max(1.0) as usize;
    let top = TOP + LINE * (names.len().div_ceil(columns).saturating_sub(1)) as f64;
    let height = top + HEIGHT + BELOW;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"16\" y=\"26\" font-size=\"17\">{title}</text>\n"
    );
    let y = |value: f64| top + HEIGHT * (high - value.log10()) / (high - low).max(1.0);
    for (at, curve) in names.iter().enumerate() {
        let x = 16.0 + column * (at % columns) as f64;
        let y = 46.0 + LINE * (at / columns) as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{}\"/>\n<text x=\"{}\" y=\"{y}\">{}</text>",
            y - 7.0,
            colour(at),
            x + 20.0,
            curve.name
        );
    }
    for (at, panel) in panels.iter().enumerate() {
        let left = LEFT + at as f64 * (PANEL + GAP);
        let places = || panel.ticks.iter().map(|(x, _)| x.log10());
        let (first, last) = places().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
        let x = |value: f64| left + PANEL * (value.log10() - first) / (last - first).max(0.1);
        let _ = writeln!(
            svg,
            "<text x=\"{left}\" y=\"{}\" font-size=\"14\">{}</text>",
            top - 10.0,
            panel.title
        );
        for value in lines(low, high) {
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" y1=\"{0:.1}\" x2=\"{1}\" y2=\"{0:.1}\" stroke=\"#ddd\"/>",
                y(value),
                left + PANEL
            );
            if at == 0 {
                let _ = writeln!(
                    svg,
                    "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#666\">{}</text>",
                    left - 6.0,
                    y(value) + 4.0,
                    super::report::number(value)
                );
            }
        }
        for (place, name) in &panel.ticks {
            let _ = writeln!(
                svg,
                "<text transform=\"translate({:.1} {:.1}) rotate(-45)\" text-anchor=\"end\" fill=\"#666\">{name}</text>",
                x(*place) + 4.0,
                top + HEIGHT + 14.0
            );
        }
        for (n, curve) in panel.curves.iter().enumerate() {
            let points: Vec<String> = curve
                .points
                .iter()
                .map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py)))
                .collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
                points.join(" "),
                colour(n)
            );
            for point in &points {
                let (px, py) = point.split_once(',').unwrap_or_default();
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{px}\" cy=\"{py}\" r=\"3\" fill=\"{}\"/>",
                    colour(n)
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where the vertical axis has lines, between two powers of ten.
fn lines(low: f64, high: f64) -> impl Iterator<Item = f64> {
    let between: &[f64] = match high - low <= FEW {
        true => &[1.0, 2.0, 5.0],
        false => &[1.0],
    };
    let values = (low as i32..=high as i32)
        .flat_map(|power| between.iter().map(move |n| n * 10f64.powi(power)));
    values.filter(move |value| *value <= 10f64.powf(high))
}

fn colour(at: usize) -> &'static str {
    COLOURS[at % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_values_are_drawn_higher() {
        let panel = Panel {
            title: "map".into(),
            ticks: vec![(1.0, "1".into()), (100.0, "100".into())],
            curves: vec![Curve {
                name: "ours".into(),
                points: vec![(1.0, 1000.0), (10.0, 10.0)],
            }],
        };
        let text = svg("title", &[panel]);
        let (x0, x1) = (LEFT, LEFT + PANEL / 2.0);
        let (y0, y1) = (TOP, TOP + HEIGHT);
        assert!(
            text.contains(&format!("points=\"{x0:.1},{y0:.1} {x1:.1},{y1:.1}\"")),
            "{text}"
        );
    }

    #[test]
    fn a_short_axis_has_more_lines() {
        let all = |low, high| lines(low, high).collect::<Vec<f64>>();
        assert_eq!(all(2.0, 3.0), [100.0, 200.0, 500.0, 1000.0]);
        assert_eq!(all(0.0, 3.0), [1.0, 10.0, 100.0, 1000.0]);
    }

    #[test]
    fn the_legend_stays_inside() {
        let curve = |name: &str| Curve {
            name: name.into(),
            points: vec![(1.0, 1.0), (10.0, 10.0)],
        };
        let panel = Panel {
            title: "one".into(),
            ticks: vec![(1.0, "1".into()), (10.0, "10".into())],
            curves: [
                "an operation with a long name",
                "another",
                "third",
                "fourth",
            ]
            .map(curve)
            .into(),
        };
        let text = svg("title", &[panel]);
        let width = LEFT + PANEL + 2.0 * GAP;
        let lines: Vec<&str> = text
            .lines()
            .filter(|l| l.contains("width=\"14\""))
            .collect();
        assert_eq!(lines.len(), 4);
        for line in lines {
            let x: f64 = line.split('"').nth(1).unwrap().parse().unwrap();
            assert!(x + 20.0 + 29.0 * LETTER <= width, "{line}");
        }
    }
}
