//! Tables: what stands in them, before it is known where they are shown.

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What it shows; may be empty.
    pub caption: String,
    /// Headings.
    pub columns: Vec<Column>,
    /// Rows, as long as the headings; cells that are missing are empty.
    pub rows: Vec<Row>,
}

/// A heading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// The heading.
    pub name: String,
    /// What the column says; may be empty.
    pub says: String,
}

/// A row; the first cell names it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Its cells.
    pub cells: Vec<Cell>,
    /// Whether it is one of ours: it stands out.
    pub own: bool,
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Cell {
    /// Nothing was measured.
    #[default]
    Empty,
    /// Words.
    Text(String),
    /// A number with so many decimals.
    Number(f64, usize),
    /// A number with its interval, all with four decimals; the best of its column stands out.
    Interval {
        /// The value.
        value: f64,
        /// From where to where.
        range: Option<(f64, f64)>,
        /// Whether no other of its column is better.
        best: bool,
    },
    /// How much better something is than something else, with its interval; the sign is always shown.
    Difference {
        /// The value.
        value: f64,
        /// From where to where.
        range: Option<(f64, f64)>,
    },
}

impl Table {
    /// A table with these headings and no rows.
    pub fn with_columns(columns: &[(&str, &str)]) -> Self {
        let column = |(name, says): &(&str, &str)| Column { name: (*name).to_owned(), says: (*says).to_owned() };
        Self { columns: columns.iter().map(column).collect(), ..Self::default() }
    }

    /// Adds a row.
    pub fn push(&mut self, cells: Vec<Cell>) {
        self.rows.push(Row { cells, own: false });
    }

    /// Adds a row that stands out.
    pub fn push_own(&mut self, cells: Vec<Cell>) {
        self.rows.push(Row { cells, own: true });
    }

    /// Marks the best interval of a column; of equal ones all.
    pub fn mark_best(&mut self, column: usize, more_is_better: bool) {
        let signed = |value: f64| if more_is_better { value } else { -value };
        let value = |row: &Row| match row.cells.get(column) {
            Some(Cell::Interval { value, .. }) => Some(signed(*value)),
            _ => None,
        };
        let Some(most) = self.rows.iter().filter_map(value).max_by(f64::total_cmp) else { return };
        for row in &mut self.rows {
            if let Some(Cell::Interval { value, best, .. }) = row.cells.get_mut(column) {
                *best = signed(*value) == most;
            }
        }
    }

    /// The cell, or an empty one.
    pub(crate) fn cell(&self, row: usize, column: usize) -> &Cell {
        self.rows.get(row).and_then(|row| row.cells.get(column)).unwrap_or(&Cell::Empty)
    }
}

impl Cell {
    /// Words.
    pub fn text(words: impl Into<String>) -> Self {
        Self::Text(words.into())
    }

    /// A value with its interval.
    pub fn interval(value: f64, range: Option<(f64, f64)>) -> Self {
        Self::Interval { value, range, best: false }
    }

    /// Without markup: the value, and the interval in brackets.
    pub(crate) fn plain(&self) -> String {
        let parts = self.parts();
        if parts.1.is_empty() { parts.0 } else { format!("{} {}", parts.0, parts.1) }
    }

    /// Value and interval as text; empty where there is none.
    pub(crate) fn parts(&self) -> (String, String) {
        match self {
            Self::Empty => ("–".into(), String::new()),
            Self::Text(words) => (words.clone(), String::new()),
            Self::Number(value, decimals) => (format!("{value:.decimals$}"), String::new()),
            Self::Interval { value, range, .. } => {
                (format!("{value:.4}"), range.map_or_else(String::new, |(low, high)| format!("[{low:.3}, {high:.3}]")))
            }
            Self::Difference { value, range } => (
                format!("{value:+.4}"),
                range.map_or_else(String::new, |(low, high)| format!("[{low:+.4}, {high:+.4}]")),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_a_column_is_marked_and_ties_are_all() {
        let mut table = Table::with_columns(&[("model", ""), ("harm", "")]);
        for value in [0.3, 0.1, 0.1] {
            table.push(vec![Cell::text("m"), Cell::interval(value, None)]);
        }
        table.push(vec![Cell::text("none")]);
        table.mark_best(1, false);
        let marked: Vec<bool> =
            table.rows.iter().map(|row| matches!(row.cells.get(1), Some(Cell::Interval { best: true, .. }))).collect();
        assert_eq!(marked, [false, true, true, false]);
    }

    #[test]
    fn cells_are_shown_with_their_sign_and_interval() {
        assert_eq!(Cell::interval(0.25, Some((0.2, 0.3))).plain(), "0.2500 [0.200, 0.300]");
        assert_eq!(Cell::Difference { value: 0.5, range: Some((-0.1, 1.0)) }.plain(), "+0.5000 [-0.1000, +1.0000]");
        assert_eq!(Cell::Number(1.0, 2).plain(), "1.00");
        assert_eq!(Cell::Empty.plain(), "–");
    }
}
