//! Whether spans are exported, as OpenTelemetry's own variables say it, and which of their values this program
//! cannot follow. The exporter reads the others itself.

use super::error::ConfigError;
use super::vars::Vars;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// Says whether spans are exported: where an endpoint is named, or `OTEL_TRACES_EXPORTER=otlp`, and nothing switches
/// it off.
///
/// # Errors
/// When a variable asks for what is not built in.
pub(super) fn exports(vars: &Vars<'_>) -> Result<bool, ConfigError> {
    let exporter = vars.get("OTEL_TRACES_EXPORTER");
    let endpoint = [TRACES_ENDPOINT, ENDPOINT].into_iter().find_map(|name| Some((name, vars.get(name)?)));
    let disabled = vars.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if disabled || exporter == Some("none") || endpoint.is_some_and(|(_, endpoint)| endpoint == "off") {
        return Ok(false);
    }
    if let Some(other) = exporter.filter(|exporter| *exporter != "otlp") {
        let problem = format!("{other:?} is not built in: expected otlp or none");
        return Err(ConfigError::new("OTEL_TRACES_EXPORTER", problem));
    }
    if endpoint.is_none() && exporter.is_none() {
        return Ok(false);
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        if let Some(protocol) = vars.get(name) {
            if protocol != "http/protobuf" {
                let problem = format!("{protocol:?} is not built in: expected http/protobuf (port 4318)");
                return Err(ConfigError::new(name, problem));
            }
            break;
        }
    }
    if let Some((name, endpoint)) = endpoint.filter(|(_, endpoint)| !endpoint.starts_with("http://")) {
        let problem = format!(
            "{endpoint:?} is not usable: expected http://host:port; TLS is not built in, so send to a collector \
             nearby and let that one encrypt"
        );
        return Err(ConfigError::new(name, problem));
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exports_with(given: &[(&str, &str)]) -> Result<bool, String> {
        let vars = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        exports(&Vars(&vars)).map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_switched_on_and_off_as_opentelemetry_says() {
        let (endpoint, traces) =
            ((ENDPOINT, "http://one:4318"), (TRACES_ENDPOINT, "http://one:4318/v1/traces"));
        for (given, exported) in [
            (&[][..], false),
            (&[endpoint], true),
            (&[traces], true),
            (&[("OTEL_TRACES_EXPORTER", "otlp")], true),
            (&[(ENDPOINT, "")], false),
            (&[(ENDPOINT, "off")], false),
            (&[endpoint, ("OTEL_SDK_DISABLED", "true")], false),
            (&[endpoint, ("OTEL_SDK_DISABLED", "false")], true),
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "none")], false),
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "")], true),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], true),
            // What is switched off need not be usable.
            (&[("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], false),
        ] {
            assert_eq!(exports_with(given), Ok(exported), "{given:?}");
        }
    }

    #[test]
    fn what_is_not_built_in_is_refused_by_its_name() {
        let endpoint = (ENDPOINT, "http://one:4318");
        for (given, says) in [
            (
                &[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")][..],
                "OTEL_EXPORTER_OTLP_PROTOCOL: \"grpc\"",
            ),
            (&[endpoint, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json")], "TRACES_PROTOCOL"),
            (&[endpoint, ("OTEL_TRACES_EXPORTER", "zipkin")], "expected otlp or none"),
            (&[(ENDPOINT, "https://one:4318")], "TLS is not built in"),
            (&[(TRACES_ENDPOINT, "one:4317")], "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ] {
            let error = exports_with(given).expect_err(says);
            assert!(error.contains(says), "{error}");
        }
    }
}
