//! What makes a drawing of plotters fit for a page: an SVG that stands by itself, inline or as a
//! file, on a light or a dark ground, legible without telling red from green, with a description
//! for those who do not see it.

use plotters::style::RGBColor;

/// The hues of Okabe and Ito, which people with any colour vision tell apart; on light and on dark.
const SERIES: [(&str, &str); HUES] =
    [("#0072b2", "#56b4e9"), ("#d55e00", "#e69f00"), ("#007a5a", "#2bc79d"), ("#a0417a", "#e79bc5")];

/// How many series a chart can have: as many as there are colours that everybody tells apart.
pub const HUES: usize = 4;

/// What text and axes are drawn in; [`dress`] replaces it by what the ground asks for.
pub const INK: RGBColor = RGBColor(1, 0, 0);

/// The same for the lines of a grid.
pub const GRID: RGBColor = RGBColor(2, 0, 0);

/// The same for a series, of which there are [`HUES`].
pub fn hue(index: usize) -> RGBColor {
    RGBColor(3, 0, u8::try_from(index).unwrap_or(u8::MAX))
}

/// Replaces the placeholder colours of a drawing of `size` pixels, and its header by one that
/// scales to the width that it is given and describes what is to be seen.
pub fn dress(svg: &str, size: (u32, u32), description: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let mut body = body.replace(&hex(INK), "var(--ink)").replace(&hex(GRID), "var(--grid)");
    for index in 0..HUES {
        body = body.replace(&hex(hue(index)), &format!("var(--line{index})"));
    }
    let (width, height) = size;
    let description = escape(description);
    let style = style();
    format!(
        r#"<svg class="chart" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{description}"><title>{description}</title><style>{style}</style>{body}"#
    )
}

fn hex(color: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2)
}

fn style() -> String {
    let lines = |pick: fn(&(&'static str, &'static str)) -> &'static str| -> String {
        SERIES.iter().enumerate().map(|(index, hues)| format!("--line{index}:{};", pick(hues))).collect()
    };
    let (light, dark) = (lines(|hues| hues.0), lines(|hues| hues.1));
    format!(
        "svg.chart{{width:100%;height:auto;--ink:#333;--grid:#ddd;{light}}}\
         @media(prefers-color-scheme:dark){{svg.chart{{--ink:#ccc;--grid:#3a3a3a;{dark}}}}}"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
