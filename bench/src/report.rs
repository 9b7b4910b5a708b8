//! Rounds in turns, what they came to, and how it is shown: min, median and max of every figure, and the ratio of the medians.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::systems::Kind;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Rates.
    More,
    /// Times and costs.
    Less,
}

/// One figure of one round.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it says, such as `p50`.
    pub name: &'static str,
    /// Its unit, such as `ms`.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// The value.
    pub value: f64,
}

/// A figure of which more is better.
pub fn more(name: &'static str, unit: &'static str, value: f64) -> Figure {
    Figure { name, unit, better: Better::More, value }
}

/// A figure of which less is better.
pub fn less(name: &'static str, unit: &'static str, value: f64) -> Figure {
    Figure { name, unit, better: Better::Less, value }
}

/// All rounds of all scenarios, in the order in which they were measured.
#[derive(Default)]
pub struct Report {
    scenarios: Vec<(String, Vec<Row>)>,
}

struct Row {
    name: &'static str,
    unit: &'static str,
    better: Better,
    values: BTreeMap<u8, Vec<f64>>,
}

fn place(kind: Kind) -> u8 {
    u8::from(kind == Kind::Peer)
}

impl Report {
    /// Adds what a round of a scenario came to.
    pub fn add(&mut self, scenario: &str, kind: Kind, figures: Vec<Figure>) {
        let at = self.scenarios.iter().position(|(name, _)| name == scenario).unwrap_or_else(|| {
            self.scenarios.push((scenario.to_owned(), Vec::new()));
            self.scenarios.len() - 1
        });
        let rows = &mut self.scenarios[at].1;
        for Figure { name, unit, better, value } in figures {
            let at = rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
                rows.push(Row { name, unit, better, values: BTreeMap::new() });
                rows.len() - 1
            });
            rows[at].values.entry(place(kind)).or_default().push(value);
        }
    }

    /// The table, in Markdown. A ratio over 1 says that Backstitch is better by that factor.
    pub fn table(&self) -> String {
        let peer = self.scenarios.iter().flat_map(|(_, rows)| rows).any(|row| row.values.contains_key(&1));
        let mut text = String::from("| scenario | figure | Backstitch |");
        text += if peer { " Restate | ratio |\n| --- | --- | --- | --- | --- |\n" } else { "\n| --- | --- | --- |\n" };
        for (scenario, rows) in &self.scenarios {
            for (nth, row) in rows.iter().enumerate() {
                let name = if nth == 0 { scenario.as_str() } else { "" };
                let ours = row.values.get(&0).map_or_else(String::new, |values| spread(values));
                // Writing to a string cannot fail.
                let _ = write!(text, "| {name} | {}, {} | {ours} |", row.name, row.unit);
                if peer {
                    let theirs = row.values.get(&1).map_or_else(String::new, |values| spread(values));
                    let _ = write!(
                        text,
                        " {theirs} | {} |",
                        row.ratio().map_or_else(String::new, |ratio| format!("{ratio:.1} ×"))
                    );
                }
                text.push('\n');
            }
        }
        text
    }
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        let (ours, theirs) = (median(self.values.get(&0)?), median(self.values.get(&1)?));
        Some(match self.better {
            Better::More => ours / theirs,
            Better::Less => theirs / ours,
        })
    }
}

/// The middle one; of an even number the lower of the two.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len().max(1) - 1) / 2).copied().unwrap_or(f64::NAN)
}

fn spread(values: &[f64]) -> String {
    let (least, most) =
        values.iter().fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(*value), most.max(*value)));
    match values.len() {
        1 => shown(values[0]),
        _ => format!("{} ({} … {})", shown(median(values)), shown(least), shown(most)),
    }
}

/// Three digits that count.
fn shown(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_say_by_how_much_ours_is_better() {
        let mut report = Report::default();
        for (kind, rates) in [(Kind::Ours, [900.0, 1_000.0, 1_200.0]), (Kind::Peer, [100.0, 200.0, 250.0])] {
            for rate in rates {
                report.add("noop", kind, vec![more("rate", "calls/s", rate), less("p50", "ms", 1_000.0 / rate)]);
            }
        }
        let table = report.table();
        assert!(table.contains("| noop | rate, calls/s | 1000 (900 … 1200) | 200 (100 … 250) | 5.0 × |"), "{table}");
        assert!(table.contains("|  | p50, ms | 1.00 (0.83 … 1.11) | 5.00 (4.00 … 10.0) | 5.0 × |"), "{table}");
    }
}
