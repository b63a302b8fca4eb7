//! What makes a drawing of plotters fit for a page: an SVG that stands by itself, inline or as a
//! file, on a light or a dark ground, legible without telling red from green, with a description
//! for those who do not see it.
//!
//! Drawings have the colours of a light ground. The style that each SVG carries knows them by these, and says
//! which ones a dark ground has, and which texture lies over an area: colour is not the only sign.

use plotters::style::RGBColor;

/// How many series a chart can have: as many as there are colours that everybody tells apart.
pub const HUES: usize = 4;

/// What text and axes are drawn in.
pub const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);

/// What the lines of a grid are drawn in.
pub const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

/// What is behind everything.
pub const GROUND: RGBColor = RGBColor(0xff, 0xff, 0xff);

/// The hues of Okabe and Ito, which people with any colour vision tell apart.
const SERIES: [RGBColor; HUES] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x7a, 0x5a),
    RGBColor(0xa0, 0x41, 0x7a),
];

/// Every colour with that of a dark ground.
const DARK: [(RGBColor, &str); 7] = [
    (INK, "#ccc"),
    (GRID, "#3a3a3a"),
    (GROUND, "#161616"),
    (SERIES[0], "#56b4e9"),
    (SERIES[1], "#e69f00"),
    (SERIES[2], "#2bc79d"),
    (SERIES[3], "#e79bc5"),
];

/// What lies over the areas of a series, 8 by 8 pixels that repeat; the first series is plain.
const TEXTURES: [&str; HUES - 1] = [
    r##"<path d="M-2,2l4,-4M0,8l8,-8M6,10l4,-4" stroke="#FFFFFF" stroke-width="1.6"/>"##,
    r##"<circle cx="2" cy="2" r="1.3" fill="#FFFFFF"/><circle cx="6" cy="6" r="1.3" fill="#FFFFFF"/>"##,
    r##"<path d="M0,2h8M0,6h8" stroke="#FFFFFF" stroke-width="1.4"/>"##,
];

/// Returns the colour of a series, of which there are [`HUES`].
pub fn hue(index: usize) -> RGBColor {
    SERIES[index % HUES]
}

/// Gives a drawing of `size` pixels a header that scales to the width that it is given and describes what is
/// to be seen, and the style. A rectangle in the colour of a series is an area.
pub fn finish(svg: &str, (width, height): (u32, u32), description: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let (mut style, mut textures) =
        ("svg.chart text{font-family:system-ui,sans-serif}".to_owned(), String::new());
    for (index, texture) in (1..HUES).zip(TEXTURES) {
        let hue = hex(hue(index));
        if body.contains(&hue) {
            style += &format!(r#"svg.chart rect[fill="{hue}"]{{fill:url(#texture{index})}}"#);
            textures += &format!(
                r#"<pattern id="texture{index}" width="8" height="8" patternUnits="userSpaceOnUse"><path d="M0,0h8v8h-8z" fill="{hue}"/>{texture}</pattern>"#
            );
        }
    }
    let dark = DARK.map(|(light, dark)| {
        let light = hex(light);
        format!(r#"svg.chart [fill="{light}"]{{fill:{dark}}}svg.chart [stroke="{light}"]{{stroke:{dark}}}"#)
    });
    style += &format!("@media(prefers-color-scheme:dark){{{}}}", dark.concat());
    let (description, ground) = (escape(description), hex(GROUND));
    format!(
        r#"<svg class="chart" width="{width}" height="{height}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{description}"><title>{description}</title><style>{style}</style><defs>{textures}</defs><rect width="100%" height="100%" fill="{ground}"/>{body}"#
    )
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Fails where a colour has none for a dark ground.
    pub(in crate::report) fn assert_dark(svg: &str) {
        for part in ["fill=\"#", "stroke=\"#"] {
            for colour in svg.split(part).skip(1).map(|rest| format!("#{}", &rest[..6])) {
                assert!(DARK.iter().any(|(light, _)| hex(*light) == colour), "{colour} in {svg}");
            }
        }
    }

    const DRAWING: &str = r##"<svg width="1" height="1"><rect opacity="1" fill="#D55E00" stroke="#0072B2"/>
</svg>"##;

    #[test]
    fn only_the_textures_that_are_used_are_there() {
        let svg = finish(DRAWING, (10, 20), "a < b");
        assert!(svg.contains(r##"rect[fill="#D55E00"]{fill:url(#texture1)}"##), "{svg}");
        assert!(svg.contains(r#"<pattern id="texture1""#) && !svg.contains(r#"id="texture2""#), "{svg}");
        assert!(svg.contains("<title>a &lt; b</title>"), "{svg}");
        assert_dark(&svg);
    }

    #[test]
    fn it_has_a_size_and_a_ground() {
        let svg = finish(DRAWING, (10, 20), "");
        assert!(
            svg.contains(r#"width="10" height="20""#) && svg.contains("</defs><rect width=\"100%\""),
            "{svg}"
        );
    }
}
