//! A collector behind https: whom an instance trusts, and what it says where it does not.

use nix::sys::signal::Signal;

use crate::collector::Collector;
use crate::harness::{Certificate, Database, Guiche, Launcher, until};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const ROOTS: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// One that sends spans and metrics at once, and shows a certificate.
fn sending(database: &Database, collector: &Collector, own: &Certificate) -> Launcher {
    let launcher = Guiche::launcher(database)
        .set(ENDPOINT, format!("https://localhost:{}", collector.address.port()))
        .set("OTEL_METRICS_EXPORTER", "otlp");
    let launcher = launcher.set("OTEL_METRIC_EXPORT_INTERVAL", 50).set("OTEL_BSP_SCHEDULE_DELAY", 50);
    launcher
        .set("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", own.certificate.display())
        .set("OTEL_EXPORTER_OTLP_CLIENT_KEY", own.key.display())
}

#[tokio::test]
async fn who_is_trusted_is_sent_spans_and_metrics() {
    let certificate = Certificate::make("collector").await;
    let database = Database::create().await;
    // Named for OTLP, or one of the system's.
    for variable in [ROOTS, "SSL_CERT_FILE"] {
        let collector = Collector::start_encrypted(&certificate);
        let launcher = sending(&database, &collector, &certificate);
        let mut guiche = launcher.set(variable, certificate.certificate.display()).start().await;
        guiche.credit(1, 5, "sealed").await;
        until("metrics are sent", async || !collector.metrics().is_empty()).await;
        guiche.signal(Signal::SIGTERM);
        assert!(guiche.ended().await.success());
        assert!(!collector.spans().is_empty(), "{variable}");
    }
}

#[tokio::test]
async fn who_is_not_trusted_is_sent_nothing_and_what_is_lost_is_told() {
    let [own, other] = [Certificate::make("of-collector").await, Certificate::make("of-somebody").await];
    let collector = Collector::start_encrypted(&own);
    let database = Database::create().await;
    // Who is not whom it trusts, and who does not trust it: of that one's refusal not even the alert may arrive.
    for (roots, shown, why) in [(&other, &own, "UnknownIssuer"), (&own, &other, "error sending request")] {
        let launcher = sending(&database, &collector, shown).set(ROOTS, roots.certificate.display());
        let guiche = launcher.start().await;
        assert_eq!(guiche.statement(1).await.status, 200);
        let lost = async |series| guiche.metrics().await.with(series, "fate=\"refused\"");
        until("they are counted", async || {
            lost("guiche_spans_total").await == 2 && lost("guiche_metric_exports_total").await > 0
        })
        .await;
        for message in ["spans do not reach the collector", "metrics do not reach the collector"] {
            let told = guiche.until_logged(message).await;
            let said = told["fields"]["why"].as_str().expect("it says why");
            assert!(said.contains(why), "{said}");
        }
    }
    assert!(collector.spans().is_empty() && collector.metrics().is_empty());
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_refused_at_the_start() {
    let [own, other] = [Certificate::make("refused").await, Certificate::make("fits-not").await];
    let (certificate, key) = ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY");
    let [own, own_key, other_key] =
        [&own.certificate, &own.key, &other.key].map(|file| file.display().to_string());
    for (set, variable, says) in [
        (&[(ROOTS, "/no/such.pem")][..], ROOTS, "names a file that cannot be read"),
        (&[(ROOTS, &own_key)], ROOTS, "names a file without a certificate"),
        (&[("SSL_CERT_FILE", &own_key)], ROOTS, "the system has none"),
        (&[(ROOTS, &own), (certificate, &own)], certificate, "needs OTEL_EXPORTER_OTLP_CLIENT_KEY"),
        (&[(ROOTS, &own), (certificate, &own), (key, &own)], key, "without a usable key"),
        (&[(ROOTS, &own), (certificate, &own), (key, &other_key)], key, "does not fit"),
    ] {
        let mut launcher = Launcher::on("host=/nowhere").set(ENDPOINT, "https://localhost:1");
        for (name, value) in set {
            launcher = launcher.set(name, value);
        }
        let (status, log) = launcher.run_to_end().await;
        assert!(!status.success() && log.starts_with(&format!("guiche: {variable}: ")), "{log}");
        assert!(log.contains(says), "{log}");
    }
}
