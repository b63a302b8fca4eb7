//! A declared measurement: `loadtest/experiments/*.toml`.

use loadtest::measure::declaration::Declaration;

/// Reads the input as a file's text; what is accepted is within the bounds that the page of its format names.
pub fn try_it(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(declaration) = Declaration::parse("hostile", text) else { return };
    assert!(text.parse::<toml::Table>().is_ok(), "it is TOML");
    assert!(!declaration.title.trim().is_empty());
    assert!((1..=100).contains(&declaration.rounds) && (1..=3_600).contains(&declaration.seconds));
    assert!((1..=600).contains(&declaration.warm_up));
    assert!(declaration.base().is_ok());
    let axes = declaration.axes().is_some();
    assert!(axes == declaration.comparison.is_empty(), "axes or comparisons");
}
