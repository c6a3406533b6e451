//! A document as Markdown (with tables as GitHub reads them).

use crate::{Block, Cell, Document, Section, Table};

/// A plot with more points than this is named, not listed.
const MOST_POINTS: usize = 24;

impl Document {
    /// The whole as Markdown.
    pub fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n", line(&self.title));
        for fact in &self.facts {
            out.push_str(&format!("* {}\n", line(fact)));
        }
        for note in &self.notes {
            out.push_str(&format!("* Note: {}\n", line(note)));
        }
        self.sections.iter().for_each(|of| section(of, &mut out));
        out
    }
}

fn section(of: &Section, out: &mut String) {
    out.push_str(&format!("\n## {}\n\n", line(&of.title)));
    if !of.hint.is_empty() {
        out.push_str(&format!("{}\n\n", line(&of.hint)));
    }
    for block in &of.blocks {
        match block {
            Block::Text(words) => out.push_str(&format!("{}\n\n", line(words))),
            Block::Table(of) => table(of, out),
            Block::Facts(of) => {
                of.iter().for_each(|(name, value)| out.push_str(&format!("* {}: {}\n", line(name), line(value))));
                out.push('\n');
            }
            Block::Plot(plot) => {
                out.push_str(&format!("{}\n\n", line(&plot.heading())));
                for (title, points) in plot.lists(MOST_POINTS) {
                    out.push_str(&format!("{}\n\n{}\n\n", line(&title), line(&points)));
                }
            }
            Block::Folded { title, text } => {
                out.push_str(&format!("{}\n\n", line(title)));
                text.lines().for_each(|words| out.push_str(&format!("    {words}\n")));
                out.push('\n');
            }
        }
    }
}

fn table(of: &Table, out: &mut String) {
    if !of.caption.is_empty() {
        out.push_str(&format!("{}\n\n", line(&of.caption)));
    }
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    out.push_str(&row(of.columns.iter().map(|column| line(&column.name)).collect()));
    out.push_str(&row((0..of.columns.len()).map(|i| if i == 0 { "---".into() } else { "---:".into() }).collect()));
    for at in 0..of.rows.len() {
        let cells = (0..of.columns.len()).map(|column| {
            let cell = of.cell(at, column);
            let words = line(&cell.plain());
            let best = matches!(cell, Cell::Interval { best: true, .. });
            if best || (of.rows[at].own && column == 0) { format!("**{words}**") } else { words }
        });
        out.push_str(&row(cells.collect()));
    }
    out.push('\n');
    let told = of.columns.iter().filter(|column| !column.says.is_empty());
    let legend: Vec<String> = told.map(|c| format!("**{}**: {}.", line(&c.name), line(&c.says))).collect();
    if !legend.is_empty() {
        out.push_str(&format!("{}\n\n", legend.join(" ")));
    }
}

/// On one line, and no character that would end a cell or begin markup.
fn line(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '\n' | '\r' => safe.push(' '),
            '|' | '<' | '*' | '`' | '\\' => safe.extend(['\\', c]),
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use crate::sample::document;

    #[test]
    fn tables_have_as_many_cells_a_row_as_headings() {
        let text = document("a | b\nc").markdown();
        assert!(text.starts_with("# a \\| b c\n"), "{text}");
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), 4, "{text}");
        for row in rows {
            assert_eq!(row.replace("\\|", "").matches('|').count(), 4, "{row}");
        }
        assert!(text.contains("| **ours** | **0.2500 [0.200, 0.300]** |"), "{text}");
        assert!(text.contains("0 → 0.1, 1 → 0.4"), "{text}");
        assert!(text.contains("\n**FHR@20**: any hit.\n"), "what columns say is left out: {text}");
        assert!(text.contains("* run: a \\| b c\n* data digest: 12ab\n"), "{text}");
    }
}
