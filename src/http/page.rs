//! The pages that the `type` of a problem leads to.

use super::problem::{Problem, Row};

/// Returns the page of the problem that is called so.
pub(super) fn of(slug: &str) -> Option<String> {
    let all = Problem::one_of_each();
    let row = all.iter().map(Problem::row).find(|row| row.slug == slug)?;
    let Row { status, slug, title, when, advice } = row;
    Some(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{slug}</title>\n\
         <h1>{title}</h1>\n<p>Status {status}, type <code>/problems/{slug}</code>.</p>\n\
         <p>{when}</p>\n<p>{advice}</p>\n<p>The API: <a href=\"/openapi.json\">/openapi.json</a></p>\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_problem_has_a_page_of_its_own() {
        let mut slugs = Vec::new();
        for problem in Problem::one_of_each() {
            let Row { slug, title, when, advice, .. } = problem.row();
            let page = of(slug).expect("it has one");
            assert!(page.contains(title) && page.contains(when) && page.contains(advice), "{page}");
            assert!(![title, when, advice].iter().any(|text| text.contains(['<', '&'])), "{slug}: no markup");
            slugs.push(slug);
        }
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), Problem::one_of_each().len(), "one of each");
        assert_eq!(of("another"), None);
    }
}
