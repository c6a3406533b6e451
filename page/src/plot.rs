//! Plots as plain SVG, no script: curves, points, and values with their intervals on one scale.

use crate::escape::text;
use crate::scale::Scale;

/// Classes of the style that give series their colours, in order; they come round again.
const COLOURS: [&str; 6] = ["c0", "c1", "c2", "c3", "c4", "c5"];
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 44.0;
const TOP: f64 = 12.0;
const RIGHT: f64 = 20.0;

/// A plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// The horizontal axis.
    pub x: String,
    /// The vertical axis.
    pub y: String,
    /// What is drawn.
    pub series: Vec<Series>,
}

/// What is drawn in one colour.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// How it is drawn.
    pub shape: Shape,
}

/// How a series is drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A curve through (x, y), with a band (low, high) about it where there is one, as long as the curve.
    Curve(Vec<(f64, f64)>, Vec<(f64, f64)>),
    /// Points at (x, y).
    Points(Vec<(f64, f64)>),
    /// Upright bars of these heights at x.
    Bars(Vec<(f64, f64)>),
}

impl Series {
    /// A curve without a band.
    pub fn curve(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), shape: Shape::Curve(points, Vec::new()) }
    }

    /// Points.
    pub fn points(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), shape: Shape::Points(points) }
    }

    /// The values that have a place on both axes; bars stand on 0.
    fn extent(&self) -> Vec<(f64, f64)> {
        let all = match &self.shape {
            Shape::Curve(points, band) => {
                let band = points.iter().zip(band).flat_map(|((x, _), (low, high))| [(*x, *low), (*x, *high)]);
                points.iter().copied().chain(band).collect()
            }
            Shape::Points(points) => points.clone(),
            Shape::Bars(bars) => bars.iter().flat_map(|(x, height)| [(*x, 0.0), (*x, *height)]).collect::<Vec<_>>(),
        };
        all.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    }
}

/// Both axes of a plot.
#[derive(Clone, Copy)]
struct Axes {
    x: Scale,
    y: Scale,
}

impl Axes {
    fn of(plot: &Plot) -> Self {
        let all: Vec<(f64, f64)> = plot.series.iter().flat_map(Series::extent).collect();
        let cover = |values: &mut dyn Iterator<Item = f64>| {
            let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
            Scale::covering(low, high)
        };
        Self { x: cover(&mut all.iter().map(|(x, _)| *x)), y: cover(&mut all.iter().map(|(_, y)| *y)) }
    }

    fn at(self, (x, y): (f64, f64)) -> (f64, f64) {
        let across = LEFT + (WIDTH - LEFT - RIGHT) * self.x.place(x);
        (across, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * self.y.place(y))
    }

    fn grid(self) -> String {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        let upright = self.x.marks().map(|mark| {
            let (at, _) = self.at((mark, self.y.from));
            format!(
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text class=\"tick\" x=\"{at:.1}\" y=\"{:.0}\">{:.*}</text>",
                bottom + 16.0,
                self.x.decimals(),
                mark
            )
        });
        let level = self.y.marks().map(|mark| {
            let (_, at) = self.at((self.x.from, mark));
            format!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick side\" x=\"{:.0}\" y=\"{:.1}\">{:.*}</text>",
                LEFT - 8.0,
                at + 4.0,
                self.y.decimals(),
                mark
            )
        });
        upright.chain(level).collect()
    }

    fn draw(self, series: &Series) -> String {
        match &series.shape {
            Shape::Curve(points, band) => self.band(points, band) + &self.line(points),
            Shape::Points(points) => finite(points)
                .map(|point| {
                    let (x, y) = self.at(point);
                    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>")
                })
                .collect(),
            Shape::Bars(bars) => {
                let width = ((WIDTH - LEFT - RIGHT) / (bars.len().max(1) as f64) * 0.7).clamp(1.0, 40.0);
                finite(bars)
                    .map(|(x, height)| {
                        let (at, top) = self.at((x, height.max(0.0)));
                        let (_, foot) = self.at((x, height.min(0.0)));
                        let (left, tall) = (at - width / 2.0, foot - top);
                        format!("<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{tall:.1}\"/>")
                    })
                    .collect()
            }
        }
    }

    fn line(self, points: &[(f64, f64)]) -> String {
        let path: Vec<String> = finite(points).map(|point| self.pair(point)).collect();
        format!("<polyline points=\"{}\"/>", path.join(" "))
    }

    fn band(self, points: &[(f64, f64)], band: &[(f64, f64)]) -> String {
        if band.len() != points.len() || band.iter().any(|(low, high)| !low.is_finite() || !high.is_finite()) {
            return String::new();
        }
        let both = || points.iter().zip(band);
        let lower = both().map(|((x, _), (low, _))| self.pair((*x, *low)));
        let upper = both().rev().map(|((x, _), (_, high))| self.pair((*x, *high)));
        format!("<polygon points=\"{}\"/>", lower.chain(upper).collect::<Vec<_>>().join(" "))
    }

    fn pair(self, point: (f64, f64)) -> String {
        let (x, y) = self.at(point);
        format!("{x:.1},{y:.1}")
    }
}

fn finite(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
}

impl Plot {
    /// The plot as a figure; a sentence where there is nothing to draw.
    pub(crate) fn html(&self) -> String {
        let title = text(&self.title);
        if self.series.iter().all(|series| series.extent().is_empty()) {
            return format!("<figure><figcaption>{title}</figcaption><p class=\"hint\">Nothing to draw.</p></figure>");
        }
        let axes = Axes::of(self);
        let colour = |i: usize| COLOURS[i % COLOURS.len()];
        let drawn: String = self
            .series
            .iter()
            .enumerate()
            .map(|(i, series)| {
                format!("<g class=\"{}\"><title>{}</title>{}</g>", colour(i), text(&series.name), axes.draw(series))
            })
            .collect();
        let legend: String = self
            .series
            .iter()
            .enumerate()
            .map(|(i, series)| format!("<span class=\"{}\"><i></i>{}</span>", colour(i), text(&series.name)))
            .collect();
        format!(
            "<figure><figcaption>{title}</figcaption><svg class=\"lines\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\">{}{drawn}<text class=\"tick\" x=\"{:.0}\" y=\"{:.0}\">{}</text>\
             <text class=\"tick\" transform=\"translate(14 {:.0}) rotate(-90)\">{}</text></svg>\
             <p class=\"legend\">{legend}</p></figure>",
            axes.grid(),
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 6.0,
            text(&self.x),
            (HEIGHT - BOTTOM + TOP) / 2.0,
            text(&self.y),
        )
    }
}

impl Plot {
    /// What the numbers of [`Self::lists`] are: the title, and what stands on the axes.
    pub(crate) fn heading(&self) -> String {
        format!("{} ({} by {})", self.title, self.y, self.x)
    }

    /// Each series with its points in words, `x → y`; of a series with more than `most` points only their number.
    pub(crate) fn lists(&self, most: usize) -> Vec<(String, String)> {
        let list = |series: &Series| {
            let (Shape::Curve(points, _) | Shape::Points(points) | Shape::Bars(points)) = &series.shape;
            let words = points.iter().map(|(x, y)| format!("{} → {}", short(*x), short(*y)));
            let words = words.collect::<Vec<_>>().join(", ");
            (
                series.name.clone(),
                if points.len() > most { format!("{} points, see the page", points.len()) } else { words },
            )
        };
        self.series.iter().map(list).collect()
    }
}

/// Four decimals at most.
fn short(value: f64) -> String {
    let words = format!("{value:.4}");
    if words.contains('.') { words.trim_end_matches('0').trim_end_matches('.').to_owned() } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(shape: Shape) -> Plot {
        let series = vec![Series { name: "ours <b>".into(), shape }];
        Plot { title: "a & b".into(), x: "threshold".into(), y: "share".into(), series }
    }

    #[test]
    fn a_curve_has_its_band_and_stays_inside() {
        let points = vec![(0.0, 0.1), (1.0, 0.4), (2.0, 0.2)];
        let band = vec![(0.0, 0.2), (0.3, 0.5), (0.1, 0.3)];
        let html = plot(Shape::Curve(points, band)).html();
        assert_eq!((html.matches("<polyline").count(), html.matches("<polygon").count()), (1, 1));
        let path = html.split("<polyline points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        for pair in path.split(' ') {
            let (x, y) = pair.split_once(',').unwrap();
            assert!((LEFT..=WIDTH).contains(&x.parse().unwrap()) && (0.0..=HEIGHT).contains(&y.parse().unwrap()));
        }
        assert!(!html.contains("<b>") && html.contains("a &amp; b"));
    }

    #[test]
    fn what_is_not_finite_is_not_drawn() {
        let html = plot(Shape::Points(vec![(0.0, f64::NAN), (1.0, 1.0), (f64::INFINITY, 0.0)])).html();
        assert_eq!(html.matches("<circle").count(), 1);
        assert!(plot(Shape::Curve(vec![(0.0, f64::NAN)], Vec::new())).html().contains("Nothing to draw"));
    }

    #[test]
    fn bars_stand_on_zero() {
        let html = plot(Shape::Bars(vec![(1.0, 0.5), (2.0, -0.5)])).html();
        assert_eq!(html.matches("<rect").count(), 2);
    }
}
