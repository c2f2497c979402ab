//! Draws the runs as the paper's figures 10 and 11 do (throughput of the web server, and the share
//! of time that the interference loses, over 65 seconds), with the pools' sizes below, and prints
//! the table of docs/policies.md: `cargo run -p cbuf-policy-simulator --example figures [FOLDER]`.

use cbuf_policy::Policy;
use cbuf_policy_simulator::profile::{
    END_MS, FALL_MS, INTERFERENCE, LENGTH_MS, PEAK_MS, PER_REQUEST, START_MS, WEB,
};
use cbuf_policy_simulator::scene::{EQUAL, PROPORTIONAL, Rule, run};
use cbuf_policy_simulator::{Period, Trace};
use plotters::prelude::*;
use std::error::Error;
use std::path::{Path, PathBuf};

const WEB_COLOUR: RGBColor = RGBColor(43, 122, 120);
const INTERFERENCE_COLOUR: RGBColor = RGBColor(192, 80, 77);
const PANEL: (u32, u32) = (420, 620);

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args()
        .nth(1)
        .map_or("target/bench".into(), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let policies = [
        ("enough memory", Rule::Ours(Policy::Throughput)),
        ("limited, 300 pages", Rule::Ours(Policy::Limited)),
        ("priority, 300 pages", Rule::Ours(Policy::Priority)),
        ("QoS 25%, 300 pages", Rule::Target(25)),
        ("limited, the paper's rule", Rule::PaperLimited),
    ];
    let targets = [
        ("QoS 1%", Rule::Target(1)),
        ("QoS 5%", Rule::Target(5)),
        ("QoS 10%", Rule::Target(10)),
        ("QoS 25%", Rule::Target(25)),
        ("QoS 10%, the paper's rule", Rule::PaperTarget(10)),
    ];
    draw(&folder.join("policy-simulated.svg"), &policies)?;
    draw(&folder.join("policy-simulated-qos.svg"), &targets)?;
    table(&policies, &targets);
    Ok(())
}

fn draw(path: &Path, rules: &[(&str, Rule)]) -> Result<(), Box<dyn Error>> {
    let size = (PANEL.0 * rules.len() as u32, PANEL.1);
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE)?;
    for ((name, rule), panel) in rules.iter().zip(root.split_evenly((1, rules.len()))) {
        let trace = run(*rule);
        let parts = panel.split_evenly((3, 1));
        let percent = |p: &Period| p.lost() * 100.0;
        let requests = |p: &Period| p.rate / PER_REQUEST as f64 / 1000.0;
        let pages = |p: &Period| p.limit as f64;
        let web = (WEB, WEB_COLOUR);
        let other = (INTERFERENCE, INTERFERENCE_COLOUR);
        let title = format!("{name}: web server, 1000 requests/s");
        chart(&parts[0], &title, 7.0, &trace, &[web], requests)?;
        let title = "% of time blocked or collecting";
        chart(&parts[1], title, 105.0, &trace, &[web, other], percent)?;
        let title = "pools, pages (web green, interference red)";
        chart(&parts[2], title, 320.0, &trace, &[web, other], pages)?;
    }
    root.present()?;
    println!("drew {}", path.display());
    Ok(())
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    top: f64,
    trace: &Trace,
    lanes: &[(u32, RGBColor)],
    value: impl Fn(&Period) -> f64,
) -> Result<(), Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 14))
        .margin(8)
        .x_label_area_size(22)
        .y_label_area_size(36)
        .build_cartesian_2d(0.0..LENGTH_MS as f64 / 1000.0, 0.0..top)?;
    chart.configure_mesh().light_line_style(WHITE).draw()?;
    for (component, colour) in lanes {
        let points = trace.lane(*component).iter();
        let points = points.map(|p| (p.time_ms as f64 / 1000.0, value(p)));
        chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
    }
    Ok(())
}

/// Steady: while the interference wants most. Lost: by both, from its start to its end.
fn table(policies: &[(&str, Rule)], targets: &[(&str, Rule)]) {
    let more = [
        ("equal static split", EQUAL),
        ("proportional static split", PROPORTIONAL),
        ("QoS 25%, the paper's rule", Rule::PaperTarget(25)),
    ];
    println!(
        "| | requests/s before | steady | variation | web server loses | interference loses | lost in all | pages of the web server before, steady, 2 s after | requests/s after |\n|---|---|---|---|---|---|---|---|---|"
    );
    let mut shown = Vec::new();
    for (name, rule) in policies.iter().chain(targets).chain(&more) {
        if shown.contains(rule) {
            continue;
        }
        shown.push(*rule);
        let trace = run(*rule);
        let (from, to) = (PEAK_MS + 2_000, FALL_MS);
        let web = |from, to, f| trace.mean(WEB, from, to, f);
        let requests = |from, to| web(from, to, |p: &Period| p.rate) / PER_REQUEST as f64;
        let pages = |from, to| web(from, to, |p: &Period| p.limit as f64);
        println!(
            "| {name} | {:.0} | {:.0} | {:.1}% | {:.1}% | {:.1}% | {:.1} s | {:.0}, {:.0}, {:.0} | {:.0} |",
            requests(START_MS - 6_000, START_MS),
            requests(from, to),
            100.0 * trace.variation(WEB, from, to),
            100.0 * web(from, to, Period::lost),
            100.0 * trace.mean(INTERFERENCE, from, to, Period::lost),
            trace.lost_seconds(START_MS, END_MS),
            pages(START_MS - 6_000, START_MS),
            pages(from, to),
            pages(END_MS + 1_750, END_MS + 2_000),
            requests(END_MS + 2_000, LENGTH_MS),
        );
    }
}
