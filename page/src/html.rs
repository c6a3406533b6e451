//! A document as a page.

use crate::escape::text;
use crate::shell::{Extras, shell};
use crate::{Block, Cell, Document, Section, Table};

impl Document {
    /// A whole HTML page that asks the network for nothing and runs no script.
    pub fn html(&self) -> String {
        let sections: String = self.sections.iter().map(section).collect();
        shell(&self.title, &format!("{}\n{sections}", self.header()), Extras::default())
    }

    fn header(&self) -> String {
        let facts: String = self.facts.iter().map(|fact| format!("<span>{}</span>", text(fact))).collect();
        let notes: String = self.notes.iter().map(|note| format!("<li>{}</li>", text(note))).collect();
        let notes = if notes.is_empty() { notes } else { format!("<ul class=\"notes\">{notes}</ul>") };
        format!(
            "<header>\n<p class=\"eyebrow\">conrec · what users will dislike</p>\n<h1>{}</h1>\n\
             <p class=\"facts\">{facts}</p>\n{notes}</header>",
            text(&self.title)
        )
    }
}

fn section(of: &Section) -> String {
    let hint = if of.hint.is_empty() { String::new() } else { format!("<p class=\"hint\">{}</p>\n", text(&of.hint)) };
    let blocks: String = of.blocks.iter().map(block).collect();
    format!("<section>\n<h2>{}</h2>\n{hint}{blocks}</section>\n", text(&of.title))
}

fn block(of: &Block) -> String {
    match of {
        Block::Text(words) => format!("<p>{}</p>\n", text(words)),
        Block::Table(of) => table(of),
        Block::Facts(of) => facts(of),
        Block::Plot(plot) => plot.html(),
        Block::Folded { title, text: whole } => {
            format!("<details>\n<summary>{}</summary>\n<pre>{}</pre>\n</details>\n", text(title), text(whole))
        }
    }
}

/// Named facts as a list; for pages that are not made of a [`Document`] too.
pub fn facts(of: &[(String, String)]) -> String {
    let row = |(name, value): &(String, String)| {
        format!("<div><dt>{}</dt><dd><code>{}</code></dd></div>", text(name), text(value))
    };
    format!("<dl class=\"identity\">{}</dl>\n", of.iter().map(row).collect::<String>())
}

fn table(of: &Table) -> String {
    let caption = if of.caption.is_empty() { String::new() } else { format!("<h3>{}</h3>\n", text(&of.caption)) };
    let head: String = of
        .columns
        .iter()
        .map(|column| format!("<th scope=\"col\" title=\"{}\">{}</th>", text(&column.says), text(&column.name)))
        .collect();
    let rows: String = (0..of.rows.len())
        .map(|row| {
            let own = if of.rows[row].own { " class=\"own\"" } else { "" };
            let cells: String = (1..of.columns.len()).map(|column| cell(of.cell(row, column))).collect();
            format!("<tr{own}><th scope=\"row\">{}</th>{cells}</tr>", text(&of.cell(row, 0).plain()))
        })
        .collect();
    let told = of.columns.iter().filter(|column| !column.says.is_empty());
    let legend: String = told.map(|c| format!("<b>{}</b> {}. ", text(&c.name), text(&c.says))).collect();
    let legend = if legend.is_empty() { legend } else { format!("<p class=\"hint\">{legend}</p>\n") };
    format!(
        "{caption}<div class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>\n{legend}"
    )
}

fn cell(of: &Cell) -> String {
    let (value, range) = of.parts();
    let (value, range) = (text(&value), text(&range));
    let small = if range.is_empty() { String::new() } else { format!("<small>{range}</small>") };
    match of {
        Cell::Empty => format!("<td class=\"none\">{value}</td>"),
        Cell::Interval { best: true, .. } => format!("<td><b>{value}</b>{small}</td>"),
        Cell::Difference { range: Some((low, _)), .. } if *low > 0.0 => format!("<td class=\"up\">{value}{small}</td>"),
        Cell::Difference { range: Some((_, high)), .. } if *high < 0.0 => {
            format!("<td class=\"down\">{value}{small}</td>")
        }
        Cell::Text(_) | Cell::Number(..) | Cell::Interval { .. } | Cell::Difference { .. } => {
            format!("<td>{value}{small}</td>")
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sample::document;

    #[test]
    fn text_from_outside_cannot_leave_its_place() {
        let attack = "</title><script>alert(1)</script><img src=x onerror=\"alert(2)\">&amp;'";
        let html = document(attack).html();
        assert!(!html.contains("<script") && !html.contains("<img"));
        for attribute in ["src=", "href=", "@import", "url("] {
            let outside = html.replace("src=x", "");
            assert!(!outside.contains(attribute), "found {attribute}");
        }
    }

    #[test]
    fn a_page_shows_everything_once() {
        let html = document("plain").html();
        assert_eq!(html.matches("<section>").count(), 2);
        assert_eq!(html.matches("<tr").count(), 3);
        assert!(html.contains("<td><b>0.2500</b><small>[0.200, 0.300]</small></td>"), "{html}");
        assert!(html.contains("<td class=\"down\">"), "{html}");
        assert!(html.contains("<svg class=\"lines\""));
        assert!(html.contains("<dt>data digest</dt><dd><code>12ab</code></dd>"), "{html}");
    }

    /// Writes the sample page for a person to look at: `SAMPLE_PAGE=page.html cargo test -p conrec-page`.
    #[test]
    fn the_sample_page_is_written_where_it_is_asked_for() {
        let html = document("A sample").html();
        if let Ok(path) = std::env::var("SAMPLE_PAGE") {
            std::fs::write(path, &html).unwrap();
        }
        assert!(html.starts_with("<!doctype html>"));
    }
}
