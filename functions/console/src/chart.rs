//! Charts: figures in, an image out, drawn by charts-rs in the console's colours.

use bytes::Bytes;
use charts_rs::{
    BarChart, ChartBase, Color, LineChart, Series, Symbol, THEME_DARK, THEME_LIGHT, YAxisConfig,
};
use function::{Document, Failure, Refused, Reply};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use serde::Deserialize;

/// Minutes of a day.
const MOST_LABELS: usize = 1_440;
/// More lines than that nobody tells apart.
const MOST_SERIES: usize = 12;
const WIDTH: std::ops::RangeInclusive<u32> = 240..=2_000;
const HEIGHT: std::ops::RangeInclusive<u32> = 120..=1_000;
/// Of a name or a title; the table below the chart has all of it.
const MOST_CHARACTERS: usize = 40;
/// Half of what a time of a day takes, in pixels.
const LABEL_HALF: f32 = 32.0;
/// Greens and woods, neighbours far apart in lightness.
const LIGHT: [&str; 12] = [
    "#2e6b34", "#a8713a", "#7aa35b", "#6b4423", "#b59b3b", "#174d2b", "#c98e5a", "#4f7f3f", "#8a5a2b",
    "#9bb07a", "#5c3a1e", "#6f7f2a",
];
const DARK: [&str; 12] = [
    "#8fce7e", "#d9a066", "#c7d98b", "#b98a5e", "#e3cf7a", "#5fae6a", "#f0c79b", "#a9c46c", "#c77f3f",
    "#dfe8c0", "#9c7a54", "#8fa83c",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    kind: Kind,
    theme: Theme,
    width: u32,
    height: u32,
    #[serde(default)]
    title: String,
    labels: Vec<String>,
    series: Vec<Line>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Line,
    Bar,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Theme {
    Light,
    Dark,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    values: Vec<Option<f64>>,
}

/// The chart that a body asks for. Some milliseconds of a processor, on a thread for such work.
pub(crate) async fn draw(body: Bytes) -> Result<Reply, Failure> {
    let wanted = parse(&body)?;
    let svg = tokio::task::spawn_blocking(move || svg(&wanted)).await.map_err(Failure::broken)?;
    let headers = vec![
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let body = svg.map_err(Failure::broken)?.into();
    Ok(Reply::Document(Document { content_type: "image/svg+xml", headers, body }))
}

fn parse(body: &[u8]) -> Result<Wanted, Failure> {
    let wanted: Wanted = serde_json::from_slice(body)
        .map_err(|error| Failure::refused(Refused::Malformed, None, error.to_string()))?;
    let is_within = |what: &'static str, value, range: std::ops::RangeInclusive<u32>| {
        let told = || format!("must be {} to {}", range.start(), range.end());
        if range.contains(&value) { Ok(()) } else { Err(Failure::malformed(what, told())) }
    };
    is_within("width", wanted.width, WIDTH)?;
    is_within("height", wanted.height, HEIGHT)?;
    is_within("labels", wanted.labels.len() as u32, 1..=MOST_LABELS as u32)?;
    is_within("series", wanted.series.len() as u32, 1..=MOST_SERIES as u32)?;
    if wanted.series.iter().any(|line| line.values.len() != wanted.labels.len()) {
        return Err(Failure::malformed("series", "must have a value or null for each label"));
    }
    if wanted
        .series
        .iter()
        .flat_map(|line| &line.values)
        .flatten()
        .any(|value| value.abs() > f64::from(f32::MAX))
    {
        return Err(Failure::malformed("series", "has a number that is too large"));
    }
    Ok(wanted)
}

fn svg(wanted: &Wanted) -> Result<String, charts_rs::Error> {
    let lines = wanted.series.iter();
    let series: Vec<Series> =
        lines.map(|line| Series::new_nullable(shortened(&line.name), drawable(&line.values))).collect();
    let labels: Vec<String> = wanted.labels.iter().map(|label| shortened(label)).collect();
    let theme = match wanted.theme {
        Theme::Light => THEME_LIGHT,
        Theme::Dark => THEME_DARK,
    };
    match wanted.kind {
        Kind::Line => {
            let mut chart = LineChart::new_with_theme(series, labels, theme);
            let LineChart { base, y_axis_configs } = &mut chart;
            dress(base, y_axis_configs, wanted);
            chart.svg()
        }
        Kind::Bar => {
            let mut chart = BarChart::new_with_theme(series, labels, theme);
            dress(&mut chart.base, &mut chart.y_axis_configs, wanted);
            chart.svg()
        }
    }
}

/// As exact as an image needs.
fn drawable(values: &[Option<f64>]) -> Vec<Option<f32>> {
    values.iter().map(|value| value.map(|value| value as f32)).collect()
}

/// What all charts have alike. The page shows through them.
fn dress(chart: &mut ChartBase, y_axes: &mut [YAxisConfig], wanted: &Wanted) {
    let (colors, text, grid, axis) = match wanted.theme {
        Theme::Light => (LIGHT, "#5c5140", "#e4dac6", "#8d7a5a"),
        Theme::Dark => (DARK, "#cfc2a8", "#3d3425", "#8b7a5c"),
    };
    let fonts = [&mut chart.title.font, &mut chart.legend.font, &mut chart.x_axis.font];
    for font in fonts.into_iter().chain(y_axes.iter_mut().map(|axis| &mut axis.font)) {
        font.color = Color::from(text);
    }
    // Times of a day side by side, in half the width of a page.
    chart.x_axis.font.size = 12.0;
    chart.grid.stroke_color = Color::from(grid);
    chart.x_axis.stroke_color = Color::from(axis);
    y_axes.iter_mut().for_each(|each| each.stroke_color = Color::from(axis));
    // The last label stands in the middle of the chart's end.
    chart.margin.right = LABEL_HALF;
    (chart.width, chart.height) = (wanted.width as f32, wanted.height as f32);
    chart.background_color = Color::transparent();
    chart.font_family = "system-ui, sans-serif".to_owned();
    chart.title.text = shortened(&wanted.title);
    chart.series.colors = colors.iter().map(|color| Color::from(*color)).collect();
    // Points on a line of hours are a smear.
    chart.series.symbol = Some(Symbol::None);
    // One line is named by the title.
    if wanted.series.len() == 1 {
        chart.legend.show = Some(false);
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MOST_CHARACTERS {
        return text.to_owned();
    }
    text.chars().take(MOST_CHARACTERS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(kind: &str, labels: usize, series: &[&str], value: &str) -> String {
        let labels = vec!["\"07:20\""; labels].join(",");
        let values = vec![value; labels.split(',').count()].join(",");
        let series: Vec<String> = series
            .iter()
            .map(|name| format!(r#"{{"name":{},"values":[{values}]}}"#, serde_json::json!(name)))
            .collect();
        format!(
            r#"{{"kind":"{kind}","theme":"dark","width":800,"height":300,"title":"t","labels":[{labels}],"series":[{}]}}"#,
            series.join(",")
        )
    }

    fn drawn(text: &str) -> String {
        svg(&parse(text.as_bytes()).expect("a good one")).expect("drawn")
    }

    #[test]
    fn both_kinds_are_drawn_in_our_colours() {
        for kind in ["line", "bar"] {
            let image = drawn(&wanted(kind, 3, &["Nike", "Puma"], "4.5"));
            assert!(
                image.starts_with("<svg ")
                    && image.contains("Nike")
                    && image.contains(&DARK[1].to_uppercase()),
                "{image}"
            );
        }
        drawn(&wanted("line", MOST_LABELS, &["a"; MOST_SERIES], "1"));
        drawn(&wanted("bar", 1, &["nothing"], "null"));
    }

    #[test]
    fn a_hostile_name_is_text_and_short() {
        let name = format!("<script>alert(1)</script>\u{202e}{}", "x".repeat(64 << 10));
        for kind in ["line", "bar"] {
            let image = drawn(&wanted(kind, 2, &[&name, "b"], "1"));
            assert!(image.contains("&lt;script&gt;") && !image.contains("<script"), "{image}");
            assert!(image.len() < 32 << 10, "{} bytes", image.len());
        }
    }

    #[test]
    fn what_is_too_much_is_refused() {
        for (text, field) in [
            (wanted("line", MOST_LABELS + 1, &["a"], "1"), Some("labels")),
            (wanted("line", 1, &["a"; MOST_SERIES + 1], "1"), Some("series")),
            (wanted("line", 1, &[], "1"), Some("series")),
            (wanted("line", 1, &["a"], "1e39"), Some("series")),
            (wanted("line", 1, &["a"], "1").replace("800", "8000"), Some("width")),
            (wanted("line", 2, &["a"], "1").replace("[1,1]", "[1]"), Some("series")),
            (wanted("pie", 1, &["a"], "1"), None),
            ("{".to_owned(), None),
        ] {
            match parse(text.as_bytes()) {
                Err(Failure::Refused(refusal)) => assert_eq!(refusal.field.as_deref(), field, "{refusal}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
