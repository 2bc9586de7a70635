//! Tables, as Markdown.

use std::fmt::Write as _;
use std::time::Duration;

/// Rows of cells below a header; the first columns name a row, the others are figures.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<T: Into<String>>(header: impl IntoIterator<Item = T>) -> Self {
        Self {
            header: header.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.header.len(), "a cell for each column");
        self.rows.push(cells);
    }

    pub(crate) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        // Figures stand below one another.
        let figure = |column: usize| {
            let starts = |row: &Vec<String>| {
                row[column].starts_with(|c: char| "+-".contains(c) || c.is_ascii_digit())
            };
            column > 0 && self.rows.iter().all(starts)
        };
        let rule = (0..self.header.len()).map(|c| if figure(c) { "---:" } else { "---" });
        let mut text = line(&self.header);
        let rule: Vec<_> = rule.map(str::to_owned).collect();
        text += &line(&rule);
        for row in &self.rows {
            text += &line(row);
        }
        text
    }
}

/// Milliseconds, three digits that count.
pub(crate) fn ms(time: Duration) -> String {
    three(time.as_secs_f64() * 1e3)
}

/// Nanoseconds.
pub(crate) fn ns(nanoseconds: f64) -> String {
    three(nanoseconds)
}

/// How many times one is the other.
pub(crate) fn ratio(times: f64) -> String {
    format!("{} ×", three(times))
}

/// A figure with three digits that count.
pub(crate) fn three(figure: f64) -> String {
    let digits = match figure.abs() {
        x if x < 1.0 => 3,
        x if x < 10.0 => 2,
        x if x < 100.0 => 1,
        _ => 0,
    };
    format!("{figure:.digits$}")
}

/// A text that grows by paragraphs.
#[derive(Default)]
pub(crate) struct Page(String);

impl Page {
    pub(crate) fn heading(&mut self, text: &str) {
        self.paragraph(&format!("## {text}"));
    }

    pub(crate) fn paragraph(&mut self, text: &str) {
        writeln!(self.0, "{}\n", text.trim_end()).expect("a String takes it");
    }

    pub(crate) fn table(&mut self, table: &Table) {
        self.paragraph(&table.markdown());
    }

    pub(crate) fn text(self) -> String {
        format!("{}\n", self.0.trim_end())
    }
}
