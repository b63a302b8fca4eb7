//! schemathesis: tries an API by its own description.

use std::time::Duration;

use testbed::process::Launch;

use super::{Address, run_directory};

/// How long it may take: four times its own bound, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// Has it try what `/openapi.json` at this address describes, and fails the test if it finds fault. Returns what it
/// says of what it did.
pub(crate) async fn schemathesis(address: &Address) -> String {
    let root = testbed::repository_root();
    let program = root.join(".venv/bin/schemathesis");
    assert!(program.exists(), "schemathesis is not there: .ci/install schemathesis");
    let settings = root.join("tests/service/schemathesis");
    let log = run_directory().join("schemathesis.log");
    let launch = Launch::new("schemathesis", &program, &log)
        .arg("--config-file")
        .arg(settings.join("schemathesis.toml"))
        .args(["run", "--checks", "all", "--no-color"])
        .arg(format!("http://{address}/openapi.json"))
        .env("SCHEMATHESIS_HOOKS", settings.join("hooks.py"))
        .env("HOME", run_directory())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let outcome = launch.run(DEADLINE).await;
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    outcome.unwrap_or_else(|error| panic!("{error}\n{said}"));
    said
}
