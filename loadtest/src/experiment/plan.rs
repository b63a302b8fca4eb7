//! The points of an experiment: every x with every series.

use anyhow::Result;

use super::declaration::Declaration;
use super::setup::Setup;

/// One point.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The index of its x.
    pub x: usize,
    /// The index of its series.
    pub series: usize,
    /// In words: `clients 5 · direct`.
    pub label: String,
    /// Its settings.
    pub setup: Setup,
}

/// All points, x by x: what is compared with each other is run next to each other.
///
/// # Errors
/// When a setting is wrong, which [`Declaration::parse`] has ruled out.
pub fn points(declaration: &Declaration) -> Result<Vec<Planned>> {
    let Declaration { x, series, .. } = declaration;
    let mut points = Vec::new();
    for (x_index, x_value) in x.values.iter().enumerate() {
        for (series_index, series_value) in series.values.iter().enumerate() {
            points.push(Planned {
                x: x_index,
                series: series_index,
                label: format!("{} {} · {}", x.label, x_value.label(), series_value.label()),
                setup: declaration.setup(x_index, series_index)?,
            });
        }
    }
    Ok(points)
}

/// The settings that all points have in common.
pub fn stays(points: &[Planned]) -> Vec<(String, String)> {
    let all: Vec<Vec<(String, String)>> = points.iter().map(|point| point.setup.settings()).collect();
    let Some((first, rest)) = all.split_first() else { return Vec::new() };
    let common = first.iter().filter(|setting| rest.iter().all(|settings| settings.contains(setting)));
    common.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_x_meets_every_series_and_the_rest_stays() {
        let text = r#"
title = "t"
question = "q"
answer = "a"
[x]
label = "clients"
set = "clients={}"
values = [1, 5]
[series]
label = "mode"
set = "mode={}"
values = ["direct", "batched"]
[load]
users = 8
"#;
        let declaration = Declaration::parse("t", text).expect("it is right");
        let points = points(&declaration).expect("it is right");
        let labels: Vec<&str> = points.iter().map(|point| point.label.as_str()).collect();
        let expected =
            ["clients 1 · direct", "clients 1 · batched", "clients 5 · direct", "clients 5 · batched"];
        assert_eq!(labels, expected);
        let stays = stays(&points);
        assert!(stays.contains(&("users".into(), "8".into())), "{stays:?}");
        assert!(stays.iter().all(|(key, _)| key != "clients" && key != "mode"), "{stays:?}");
    }
}
