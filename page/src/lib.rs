//! Reports for people: what a report says ([`Document`]) is written once and comes out as an HTML page that needs no
//! network ([`Document::html`]), as Markdown ([`Document::markdown`]) or for a terminal ([`Document::terminal`]).
//! The look of all pages is here: one style, light and dark, for screen and print.

pub mod escape;
pub mod html;
mod markdown;
mod plot;
pub mod scale;
pub mod shell;
mod table;
pub mod terminal;

pub use plot::{Plot, Series, Shape};
pub use table::{Cell, Column, Row, Table};

/// A report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    /// The heading.
    pub title: String,
    /// Short facts below it: what data, how many seeds.
    pub facts: Vec<String>,
    /// What a reader must know before the numbers.
    pub notes: Vec<String>,
    /// The content, in order.
    pub sections: Vec<Section>,
}

/// A part of a report with a heading of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// The heading.
    pub title: String,
    /// How it is to be read; may be empty.
    pub hint: String,
    /// What it shows, in order.
    pub blocks: Vec<Block>,
}

/// One thing that a section shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A table.
    Table(Table),
    /// Named facts, one a line.
    Facts(Vec<(String, String)>),
    /// A plot; Markdown and terminal show its numbers where it has few, else its name.
    Plot(Plot),
    /// Text that is folded away, such as a config.
    Folded {
        /// What is shown of it.
        title: String,
        /// The whole.
        text: String,
    },
}

/// The heading of the section that names what the numbers belong to.
pub const IDENTITY: &str = "Identity";

impl Section {
    /// What the numbers of a report belong to: the last section of each.
    pub fn identity(facts: Vec<(String, String)>) -> Self {
        Self::new(IDENTITY, vec![Block::Facts(facts)])
    }

    /// A section without a hint.
    pub fn new(title: impl Into<String>, blocks: Vec<Block>) -> Self {
        Self { title: title.into(), hint: String::new(), blocks }
    }

    /// With a sentence that says how it is to be read.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}

#[cfg(test)]
mod sample;
