//! Pages of `docs/` that end with a table that the tests know better.

/// Set, it has pages written in place of compared.
const WRITE: &str = "GUICHE_WRITE_DOCS";

/// Compares the table at the end of a page with what it should be, or writes it.
pub(crate) fn assert_page_ends_with(page: &str, table: &str) {
    let path = testbed::repository_root().join(page);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{page}: {error}"));
    let first = table.lines().next().expect("it has a head");
    let (head, _) = text.split_once(first).unwrap_or_else(|| panic!("{page} has no line {first}"));
    let right = format!("{head}{table}");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &right).expect("it can be written");
    } else {
        assert!(text == right, "{page} is out of date: run this test with {WRITE}=1\n{table}");
    }
}
