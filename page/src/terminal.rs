//! A document for a terminal, or a pipe: plain text in columns.

use crate::{Block, Document, Table};

/// A plot with more points than this is named, not listed.
const MOST_POINTS: usize = 12;

impl Document {
    /// The whole as plain text. Folded text is left out: it is for the page.
    pub fn terminal(&self) -> String {
        let mut out = format!("{}\n", self.title);
        for fact in &self.facts {
            out.push_str(&format!("  {fact}\n"));
        }
        for note in &self.notes {
            out.push_str(&format!("note: {note}\n"));
        }
        for section in &self.sections {
            out.push_str(&format!("\n{}\n", section.title));
            if !section.hint.is_empty() {
                out.push_str(&format!("{}\n", section.hint));
            }
            for block in &section.blocks {
                match block {
                    Block::Text(words) => out.push_str(&format!("{words}\n")),
                    Block::Table(of) => out.push_str(&format!("\n{}", of.terminal())),
                    Block::Facts(of) => out.push_str(&facts(of)),
                    Block::Plot(plot) => {
                        out.push_str(&format!("\n{}\n", plot.heading()));
                        for (title, points) in plot.lists(MOST_POINTS) {
                            out.push_str(&format!("{title}: {points}\n"));
                        }
                    }
                    Block::Folded { .. } => {}
                }
            }
        }
        out
    }
}

/// Names to the left, padded to the longest.
pub fn facts(of: &[(String, String)]) -> String {
    let width = of.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    of.iter().map(|(name, value)| format!("  {name:width$}  {value}\n")).collect()
}

impl Table {
    /// First column to the left, the others to the right.
    pub fn terminal(&self) -> String {
        let columns = self.columns.len();
        let head: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        let rows = (0..self.rows.len()).map(|row| (0..columns).map(|c| self.cell(row, c).plain()).collect());
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
        let widths: Vec<usize> =
            (0..columns).map(|c| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0)).collect();
        let mut out = if self.caption.is_empty() { String::new() } else { format!("  {}\n", self.caption) };
        for row in rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(c, (words, &width))| {
                if c == 0 { format!("  {words:width$}") } else { format!("  {words:>width$}") }
            });
            out.push_str(cells.collect::<String>().trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use crate::sample::document;

    #[test]
    fn columns_stand_below_each_other() {
        let text = document("A report").terminal();
        let expected = "
Result
higher is better

  model                   FHR@20               A report
  ours    0.2500 [0.200, 0.300]  -0.0100 [-0.0200, -0.0050]
  theirs                 0.2000                           –
";
        let rows =
            |text: &str| text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
        let found = rows(&text);
        for row in rows(expected) {
            assert!(found.contains(&row), "{row}: {text}");
        }
        let ends: Vec<usize> = text.lines().filter(|l| l.contains("0.2")).map(|l| l.chars().count()).collect();
        assert_eq!(ends.len(), 2, "{text}");
        assert!(text.contains("\n  run          A report\n  data digest  12ab\n"), "{text}");
        assert!(text.contains("A report (A report by A report)\ncoverage: 0 → 0.1, 1 → 0.4"), "{text}");
    }
}
