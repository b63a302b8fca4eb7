//! `loadtest k6` from outside: somebody's own script, and the books behind it.

use std::fs;
use std::process::{Command, Output};

use testbed::rundir::RunDir;

const SCRIPT: &str = r"
import http from 'k6/http';
export default () => {
  const body = JSON.stringify({ valor: 1, tipo: 'c', descricao: 'mine' });
  const headers = { 'Content-Type': 'application/json' };
  http.post(`${__ENV.BASE_URL}/clientes/1/transacoes`, body, { headers });
  http.get(`${__ENV.BASE_URL}/nowhere`);
};
";

fn k6(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).arg("k6").args(args).output().expect("the program runs")
}

#[test]
fn a_script_of_ones_own_is_played_and_the_books_are_read() {
    let dir = RunDir::create().expect("a run directory");
    let (script, report) = (dir.path().join("mine.js"), dir.path().join("report"));
    let [script, report] = [&script, &report].map(|path| path.display().to_string());
    let output = k6(&[&script]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("there is no script"), "{said}");

    fs::write(&script, SCRIPT).expect("it is writable");
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["k6", &script, "--port", "0", "--report", &report, "--", "--iterations", "20"])
        .env("GUICHE_RUN_DIR", dir.path().join("r"))
        .output()
        .expect("the program runs");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let report = fs::read_to_string(format!("{report}/report.md")).expect("a report");
    for says in ["of which there are 20.", "| 40 | 20 |", "webapi1-guiche", "http_req_duration"] {
        assert!(report.contains(says), "{says}: {report}");
    }
}
