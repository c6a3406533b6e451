//! How evenly the semantic ids' codes are used: a tile of figures and a bar chart a level.

use super::data::{LevelUsage, ReportData, SemanticIdUsage};
use super::tables::{pass_name, thousands};
use conrec_page::escape::text;

/// More bars than this cannot be told apart; neighbours are joined.
const MOST_BARS: usize = 128;

/// One block a pass.
pub(super) fn section(report: &ReportData) -> String {
    if report.semantic_ids.is_empty() {
        return String::new();
    }
    let blocks: String = report.semantic_ids.iter().map(block).collect();
    format!(
        "<section>\n<h2>Semantic IDs</h2>\n<p class=\"hint\">Bars: items by code, most used first; the line is even use. \
         Perplexity is the number of codes an even use would need.</p>\n{blocks}</section>"
    )
}

fn block(usage: &SemanticIdUsage) -> String {
    let levels: String = usage.levels.iter().enumerate().map(|(i, level)| level_tile(i + 1, level)).collect();
    format!(
        "<h3>{} pass: {} items in {} cells, {:.1} % of items share a cell, the fullest holds {}</h3>\n\
         <div class=\"levels\">{levels}</div>\n",
        text(pass_name(usage.pass)),
        thousands(usage.items),
        thousands(usage.cells),
        100.0 * usage.collision_rate,
        thousands(usage.largest_cell),
    )
}

fn level_tile(number: usize, level: &LevelUsage) -> String {
    let share = 100.0 * f64::from(level.used) / f64::from(level.codes.max(1));
    format!(
        "<figure class=\"codes\"><figcaption>Level {number}</figcaption>{}\
         <div class=\"meter\" title=\"codes used\"><i style=\"width:{share:.1}%\"></i></div>\
         <dl><div><dt>used</dt><dd>{} / {}</dd></div><div><dt>perplexity</dt><dd>{:.1}</dd></div>\
         <div><dt>dead</dt><dd>{}</dd></div><div><dt>Gini</dt><dd>{:.2}</dd></div></dl></figure>",
        bars(&level.counts),
        level.used,
        level.codes,
        level.perplexity,
        level.dead,
        level.gini
    )
}

fn bars(counts: &[u32]) -> String {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let joined: Vec<f64> = sorted
        .chunks(sorted.len().div_ceil(MOST_BARS).max(1))
        .map(|chunk| chunk.iter().map(|c| f64::from(*c)).sum::<f64>() / chunk.len() as f64)
        .collect();
    let top = joined.first().copied().unwrap_or(0.0);
    if top <= 0.0 {
        return String::new();
    }
    let width = 320.0 / joined.len() as f64;
    let rectangles: String = joined
        .iter()
        .enumerate()
        .map(|(i, count)| {
            let height = 80.0 * count / top;
            format!(
                "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{height:.2}\"/>",
                i as f64 * width,
                80.0 - height,
                (width * 0.8).max(0.5)
            )
        })
        .collect();
    let even = 80.0 - 80.0 * joined.iter().sum::<f64>() / joined.len() as f64 / top;
    format!(
        "<svg class=\"bars\" viewBox=\"0 0 320 82\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"items by code\">{rectangles}<line x1=\"0\" x2=\"320\" y1=\"{even:.1}\" y2=\"{even:.1}\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_code_reaches_the_top_and_dead_codes_have_no_height() {
        let svg = bars(&[0, 4, 2]);
        let heights: Vec<&str> = svg.split("height=\"").skip(1).map(|s| s.split('"').next().unwrap()).collect();
        assert_eq!(heights, ["80.00", "40.00", "0.00"]);
    }

    #[test]
    fn many_codes_are_joined_into_few_bars() {
        assert_eq!(bars(&[1; 8192]).matches("<rect").count(), 128);
    }

    #[test]
    fn no_counts_no_chart() {
        assert_eq!(bars(&[]), "");
        assert_eq!(bars(&[0, 0]), "");
    }
}
