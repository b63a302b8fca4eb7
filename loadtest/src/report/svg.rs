//! What makes a drawing of plotters fit for a page: an SVG that stands by itself, inline or as a
//! file, on a light or a dark ground, legible without telling red from green, with a description
//! for those who do not see it.

use plotters::style::RGBColor;

/// The hues of Okabe and Ito, which people with any colour vision tell apart; on light and on dark.
const SERIES: [(&str, &str); HUES] =
    [("#0072b2", "#56b4e9"), ("#d55e00", "#e69f00"), ("#007a5a", "#2bc79d"), ("#a0417a", "#e79bc5")];

/// What is drawn over the hue of an area, 8 by 8 pixels that repeat: the first is plain.
const TEXTURES: [&str; HUES] = [
    "",
    r#"<path d="M-2,2l4,-4M0,8l8,-8M6,10l4,-4" stroke="var(--ground)" stroke-width="1.6"/>"#,
    r#"<circle cx="2" cy="2" r="1.3" fill="var(--ground)"/><circle cx="6" cy="6" r="1.3" fill="var(--ground)"/>"#,
    r#"<path d="M0,2h8M0,6h8" stroke="var(--ground)" stroke-width="1.4"/>"#,
];

/// How many series a chart can have: as many as there are colours that everybody tells apart.
pub const HUES: usize = 4;

/// What text and axes are drawn in; [`to_page_svg`] replaces it by what the ground asks for.
pub const INK: RGBColor = RGBColor(1, 0, 0);

/// The same for the lines of a grid.
pub const GRID: RGBColor = RGBColor(2, 0, 0);

/// The same for what is left free.
pub const GROUND: RGBColor = RGBColor(5, 0, 0);

/// The same for a series, of which there are [`HUES`].
pub fn hue(index: usize) -> RGBColor {
    RGBColor(3, 0, u8::try_from(index).unwrap_or(u8::MAX))
}

/// The same for an area of a series, with a texture in addition: colour is not the only sign.
pub fn area(index: usize) -> RGBColor {
    RGBColor(4, 0, u8::try_from(index).unwrap_or(u8::MAX))
}

/// Replaces the placeholder colours of a drawing of `size` pixels, and its header by one that
/// scales to the width that it is given and describes what is to be seen. For a page: the ground
/// is the page's.
pub fn to_page_svg(svg: &str, size: (u32, u32), description: &str) -> String {
    wrap(svg, size, description, "", &format!("svg.chart{{width:100%;height:auto}}{}", style()), "")
}

/// The same for a file: it has a size and a ground of its own.
pub fn to_file_svg(svg: &str, size: (u32, u32), description: &str) -> String {
    let attributes = format!(r#" width="{}" height="{}""#, size.0, size.1);
    let ground = r#"<rect width="100%" height="100%" fill="var(--ground)"/>"#;
    wrap(svg, size, description, &attributes, &style(), ground)
}

fn wrap(
    svg: &str,
    (width, height): (u32, u32),
    description: &str,
    attributes: &str,
    style: &str,
    ground: &str,
) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let body = body.replace(&hex(INK), "var(--ink)").replace(&hex(GRID), "var(--grid)");
    let body = body.replace(&hex(GROUND), "var(--ground)");
    let mut body = without_defaults(&body);
    let mut textures = String::new();
    for (index, texture) in TEXTURES.into_iter().enumerate() {
        let line = format!("var(--line{index})");
        body = body.replace(&hex(hue(index)), &line);
        let (placeholder, id) = (hex(area(index)), format!("texture{index}"));
        if !body.contains(&placeholder) {
            continue;
        }
        let fill = if texture.is_empty() { line.clone() } else { format!("url(#{id})") };
        body = body.replace(&placeholder, &fill);
        if !texture.is_empty() {
            textures += &format!(
                r#"<pattern id="{id}" width="8" height="8" patternUnits="userSpaceOnUse"><rect width="8" height="8" fill="{line}"/>{texture}</pattern>"#
            );
        }
    }
    let description = escape(description);
    format!(
        r#"<svg class="chart"{attributes} viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{description}"><title>{description}</title><style>{style}</style><defs>{textures}</defs>{ground}{body}"#
    )
}

/// The same with fewer letters: what every element says is said once, by the style, and what
/// holds anyway is not said.
fn without_defaults(body: &str) -> String {
    const SAID: [&str; 4] =
        [r#" opacity="1""#, r#" font-family="sans-serif""#, r#" stroke="none""#, r#" stroke-width="1""#];
    let body = SAID.iter().fold(body.to_owned(), |body, said| body.replace(said, ""));
    let lines = body.lines().map(|line| match line.strip_prefix("<text ") {
        // All text is in ink; sizes have more digits than anybody sees.
        Some(attributes) => format!("<text {}", shorten(&attributes.replace(r#" fill="var(--ink)""#, ""))),
        None if line.starts_with('<') && !line.starts_with("</text") => format!("{line}\n"),
        None => line.to_owned(),
    });
    lines.collect()
}

/// Cuts the size of letters to a tenth of a pixel.
fn shorten(attributes: &str) -> String {
    const SIZE: &str = "font-size=\"";
    let cut = || {
        let (before, rest) = attributes.split_once(SIZE)?;
        let (size, after) = rest.split_once('"')?;
        let size: f64 = size.parse().ok()?;
        Some(format!("{before}{SIZE}{size:.1}\"{after}"))
    };
    cut().unwrap_or_else(|| attributes.to_owned())
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
        "svg.chart{{--ink:#333;--grid:#ddd;--ground:#fff;{light}}}\
         svg.chart text{{font-family:system-ui,sans-serif;fill:var(--ink)}}\
         @media(prefers-color-scheme:dark){{svg.chart{{--ink:#ccc;--grid:#3a3a3a;--ground:#161616;{dark}}}}}"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWING: &str = r##"<svg width="1" height="1"><rect opacity="1" fill="#040001" stroke="#030000"/>
<text x="1" font-size="13.709677419354838" fill="#010000">
a
</text>
</svg>"##;

    #[test]
    fn only_the_textures_that_are_used_are_there() {
        let svg = to_page_svg(DRAWING, (10, 20), "a < b");
        assert!(svg.contains(r##"fill="url(#texture1)" stroke="var(--line0)""##), "{svg}");
        assert!(svg.contains(r#"<pattern id="texture1""#) && !svg.contains(r#"id="texture2""#), "{svg}");
        assert!(svg.contains("<title>a &lt; b</title>") && !svg.contains("opacity=\"1\""), "{svg}");
        assert!(svg.contains("<text x=\"1\" font-size=\"13.7\">a</text>"), "{svg}");
    }

    #[test]
    fn a_file_has_a_size_and_a_ground() {
        let file = to_file_svg(DRAWING, (10, 20), "");
        let inline = to_page_svg(DRAWING, (10, 20), "");
        assert!(
            file.contains(r#"width="10" height="20""#) && file.contains(r#"fill="var(--ground)"/><rect"#)
        );
        assert!(!inline.contains(r#"width="10""#) && inline.contains("width:100%"));
        assert!(!inline.contains(r#"width="100%""#), "{inline}");
    }
}
