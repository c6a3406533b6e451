//! A document with one of everything, for tests.

use crate::{Block, Cell, Document, Plot, Section, Series, Shape, Table};

pub(crate) fn document(words: &str) -> Document {
    let mut table = Table::with_columns(&[("model", ""), ("FHR@20", "any hit"), (words, "")]);
    table.push_own(vec![
        Cell::text("ours"),
        Cell::interval(0.25, Some((0.2, 0.3))),
        Cell::Difference { value: -0.01, range: Some((-0.02, -0.005)) },
    ]);
    table.push(vec![Cell::text("theirs"), Cell::interval(0.2, None)]);
    table.mark_best(1, true);
    let curve = Shape::Curve(vec![(0.0, 0.1), (1.0, 0.4)], vec![(0.0, 0.2), (0.3, 0.5)]);
    let series = vec![Series { name: "coverage".into(), shape: curve }];
    let plot = Plot { title: words.into(), x: words.into(), y: words.into(), series };
    Document {
        title: words.into(),
        facts: vec![words.into()],
        notes: vec![words.into()],
        sections: vec![
            Section::new("Result", vec![Block::Table(table)]).with_hint("higher is better"),
            Section::new(
                words,
                vec![
                    Block::Text(words.into()),
                    Block::Plot(plot),
                    Block::Facts(vec![("run".into(), words.into()), ("data digest".into(), "12ab".into())]),
                    Block::Folded { title: words.into(), text: words.into() },
                ],
            ),
        ],
    }
}
