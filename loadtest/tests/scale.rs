//! The model of `docs/scale.md`: its tables are what `docs/scale.py` computes.

use std::process::Command;

#[test]
fn the_tables_are_what_the_model_says() {
    let docs = testbed::repository_root().join("docs");
    let output =
        Command::new("python3").arg("-B").arg(docs.join("scale.py")).output().expect("python3 is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = std::fs::read_to_string(docs.join("scale.md")).expect("it is in the repository");
    let tables = String::from_utf8(output.stdout).expect("it is UTF-8");
    assert!(tables.lines().count() > 15, "{tables}");
    for table in tables.split("\n\n") {
        assert!(page.contains(table.trim()), "docs/scale.md lacks\n{table}");
    }
}
