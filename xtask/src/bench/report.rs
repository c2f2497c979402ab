//! What every bench prints: one row a figure, as a table, as JSON and as an SVG plot.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

/// How a figure is judged. The numbers are those that were set as targets, never looser.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Our figure is at most this.
    AtMost(f64),
    /// Our figure is at least this.
    AtLeast(f64),
    /// Ours divided by the peer's is at least this.
    RatioAtLeast(f64),
    /// Ours divided by the peer's is at most this.
    RatioAtMost(f64),
    /// Ours divided by the peer's is less than this.
    RatioBelow(f64),
    /// Our figure is exactly this.
    Exactly(f64),
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub unit: &'static str,
    pub ours: f64,
    /// Who it is compared with, and their figure.
    pub peer: Option<(String, f64)>,
    /// The median of ratios of paired runs, where runs were paired; else computed.
    pub ratio: Option<f64>,
    pub goal: Option<Goal>,
}

impl Row {
    pub fn new(name: impl Into<String>, unit: &'static str, ours: f64) -> Self {
        Self {
            name: name.into(),
            unit,
            ours,
            peer: None,
            ratio: None,
            goal: None,
        }
    }
    pub fn against(mut self, peer: &str, theirs: f64, ratio: Option<f64>) -> Self {
        self.ratio = ratio.or((theirs != 0.0).then(|| self.ours / theirs));
        self.peer = Some((peer.to_string(), theirs));
        self
    }
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }
    /// `None` where no goal was set.
    pub fn met(&self) -> Option<bool> {
        Some(match self.goal? {
            Goal::AtMost(most) => self.ours <= most,
            Goal::AtLeast(least) => self.ours >= least,
            Goal::RatioAtLeast(least) => self.ratio.is_some_and(|ratio| ratio >= least),
            Goal::RatioAtMost(most) => self.ratio.is_some_and(|ratio| ratio <= most),
            Goal::RatioBelow(bound) => self.ratio.is_some_and(|ratio| ratio < bound),
            Goal::Exactly(value) => self.ours == value,
        })
    }
    fn goal_text(&self) -> String {
        match self.goal {
            None => String::new(),
            Some(Goal::AtMost(most)) => format!("<= {}", number(most)),
            Some(Goal::AtLeast(least)) => format!(">= {}", number(least)),
            Some(Goal::RatioAtLeast(least)) => format!("ratio >= {least}"),
            Some(Goal::RatioAtMost(most)) => format!("ratio <= {}", ratio_text(most)),
            Some(Goal::RatioBelow(bound)) => format!("ratio < {bound}"),
            Some(Goal::Exactly(value)) => format!("= {}", number(value)),
        }
    }
    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "peer": self.peer.as_ref().map(|(name, _)| name),
            "theirs": self.peer.as_ref().map(|(_, value)| value),
            "ratio": self.ratio,
            "goal": self.goal.map(|_| self.goal_text()),
            "met": self.met(),
        })
    }
}

/// Thousands separated, as many decimals as a figure of its size deserves.
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 || v == v.trunc() => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut out = String::from(sign);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// Two decimals, or as many as show two digits.
pub fn ratio_text(ratio: f64) -> String {
    if ratio > 0.0 && ratio < 0.1 {
        let decimals = 1 + (-ratio.log10()).ceil().min(9.0) as usize;
        format!("{ratio:.decimals$}")
    } else {
        format!("{ratio:.2}")
    }
}

/// The rows as a Markdown table, columns aligned.
pub fn table(rows: &[Row]) -> String {
    let mut cells = vec![
        [
            "figure", "unit", "Cistern", "peer", "theirs", "ratio", "goal", "met",
        ]
        .map(String::from),
    ];
    for row in rows {
        let (peer, theirs) = match &row.peer {
            Some((name, value)) => (name.clone(), number(*value)),
            None => Default::default(),
        };
        cells.push([
            row.name.clone(),
            row.unit.to_string(),
            number(row.ours),
            peer,
            theirs,
            row.ratio.map(ratio_text).unwrap_or_default(),
            row.goal_text(),
            match row.met() {
                None => "",
                Some(true) => "yes",
                Some(false) => "NO",
            }
            .to_string(),
        ]);
    }
    let widths: [usize; 8] = std::array::from_fn(|c| {
        cells
            .iter()
            .map(|row| row[c].chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut out = String::new();
    for (i, row) in cells.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(out, "| {cell:width$} ");
        }
        out.push_str("|\n");
        if i == 0 {
            for width in widths {
                let _ = write!(out, "|{}", "-".repeat(width + 2));
            }
            out.push_str("|\n");
        }
    }
    out
}

/// Writes `NAME.json` and `NAME.svg` below `folder` and prints the table.
pub fn publish(folder: &Path, name: &str, title: &str, rows: &[Row]) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let json_path = folder.join(format!("{name}.json"));
    let text = serde_json::to_string_pretty(&rows.iter().map(Row::json).collect::<Vec<_>>())
        .map_err(|e| e.to_string())?;
    std::fs::write(&json_path, text + "\n").map_err(|e| format!("{}: {e}", json_path.display()))?;
    let svg_path = folder.join(format!("{name}.svg"));
    super::plot::ratios(&svg_path, title, rows)?;
    println!("\n{}", table(rows));
    println!("{}\n{}", json_path.display(), svg_path.display());
    Ok(())
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(number(1234567.0), "1,234,567");
        assert_eq!(number(999.4), "999");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(0.5), "0.50");
        assert_eq!(number(-1234.0), "-1,234");
        assert_eq!(ratio_text(1.236), "1.24");
        assert_eq!(ratio_text(0.0156), "0.016");
        assert_eq!(ratio_text(0.00064), "0.00064");
        assert_eq!(ratio_text(0.0), "0.00");
    }

    #[test]
    fn goals_are_judged_as_stated() {
        assert_eq!(
            Row::new("a", "x", 8.0).goal(Goal::AtMost(8.0)).met(),
            Some(true)
        );
        assert_eq!(
            Row::new("a", "x", 8.1).goal(Goal::AtMost(8.0)).met(),
            Some(false)
        );
        let decibels = |n| Row::new("a", "x", n).goal(Goal::AtLeast(30.0)).met();
        assert_eq!((decibels(30.0), decibels(29.9)), (Some(true), Some(false)));
        let row = Row::new("a", "x", 5.0).against("peer", 2.0, None);
        assert_eq!(row.clone().goal(Goal::RatioAtLeast(2.5)).met(), Some(true));
        assert_eq!(row.clone().goal(Goal::RatioAtMost(2.5)).met(), Some(true));
        assert_eq!(row.clone().goal(Goal::RatioAtMost(2.4)).met(), Some(false));
        assert_eq!(row.met(), None);
        assert_eq!(
            Row::new("a", "x", 1.0).goal(Goal::RatioAtLeast(0.1)).met(),
            Some(false)
        );
        assert_eq!(
            Row::new("a", "x", 0.0).goal(Goal::Exactly(0.0)).met(),
            Some(true)
        );
    }

    #[test]
    fn median_of_even_and_odd() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
