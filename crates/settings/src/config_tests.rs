//! What settings may say, and how their mistakes are named.

use super::*;
use crate::table::setting;
use crate::{Fallback, SETTINGS, Values};

fn read(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let mut all = BTreeMap::from([(
        "DATABASE_URL".to_owned(),
        "postgresql://guiche:secret@localhost/rinha".to_owned(),
    )]);
    all.extend(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Config::from_vars(&all)
}

#[test]
fn defaults_are_usable() {
    let config = read(&[]).expect("the defaults agree with each other");
    assert_eq!(config.mode, Mode::Batched);
    assert_eq!(config.profile, Profile::Durable);
    assert_eq!(config.bounds.calls_in_flight, 1);
}

#[test]
fn a_bad_setting_is_named_with_what_it_must_be() {
    for (name, value, says) in [
        ("MODE", "fast", "expected direct, serial or batched"),
        ("PROFILE", "x", "expected durable or contest"),
        ("LISTEN", "unix:relative", "absolute path"),
        ("LISTEN", "8080", "expected host:port"),
        ("BATCH_MAX", "0", "from 1 to 10000"),
        ("QUEUE_PER_CLIENT", "-1", "whole number"),
        ("CALL_DEADLINE_MS", "5000", "longer than STATEMENT_TIMEOUT_MS"),
        ("ANSWER_DEADLINE_MS", "6000", "longer than CALL_DEADLINE_MS"),
        ("CONNECTIONS", "400", "more than REQUESTS_IN_FLIGHT"),
        ("SERVER_TIMING", "yes", "expected on or off"),
        ("LOG_FORMAT", "xml", "expected human or json"),
        ("TRACE_MAX_BYTES", "1000", "from 1048576 to"),
    ] {
        let error = read(&[(name, value)]).expect_err(name).to_string();
        assert!(error.contains(name) && error.contains(says), "{error}");
    }
}

#[test]
fn every_default_is_what_the_setting_may_be() {
    for setting in SETTINGS {
        let Fallback::Is(default) = setting.default else { continue };
        let fits = match setting.values {
            Values::Number(min, max) => {
                default.parse().is_ok_and(|number: usize| (min..=max).contains(&number))
            }
            Values::Word(words) => words.contains(&default),
            Values::Text(_) => true,
        };
        assert!(fits, "{setting:?}");
        read(&[(setting.name, default)]).expect(setting.name);
    }
}

#[test]
fn the_table_knows_every_word_of_a_choice() {
    for (name, known) in [
        ("MODE", [Mode::Direct, Mode::Serial, Mode::Batched].map(Mode::name).to_vec()),
        ("PROFILE", [Profile::Durable, Profile::Contest].map(Profile::name).to_vec()),
    ] {
        assert_eq!(setting(name).values, Values::Word(known.leak()));
    }
}

#[test]
fn the_database_is_required() {
    assert!(!format!("{:?}", read(&[])).contains("secret"), "a password is never printed");
    let error = Config::from_vars(&BTreeMap::new()).expect_err("nothing is set");
    assert!(error.to_string().starts_with("DATABASE_URL: is not set"), "{error}");
}

#[test]
fn clients_may_wait_apart_beside_the_calls_that_there_can_be() {
    let waits = |vars: &[(&str, &str)]| read(vars).expect("valid").row_waits_per_worker();
    assert_eq!(waits(&[("WORKERS", "1")]), 8);
    assert_eq!(waits(&[("WORKERS", "4")]), 2, "calls never overlap by default");
    assert_eq!(waits(&[("WORKERS", "64")]), 1);
    assert_eq!(waits(&[("WORKERS", "4"), ("OVERLAP_BELOW", "8")]), 0);
    assert_eq!(waits(&[("ROW_WAITS", "0")]), 0);
}

#[test]
fn one_client_per_call_opens_more_calls_by_default() {
    let config = read(&[("CLIENTS_PER_CALL", "1"), ("POOL_SIZE", "9")]).expect("valid");
    assert_eq!(config.bounds.calls_in_flight, 9);
    assert_eq!(read(&[]).expect("valid").bounds.calls_in_flight, 1);
}

#[test]
fn a_trace_is_off_unless_it_has_a_path() {
    assert!(read(&[]).expect("valid").trace.is_none());
    assert!(read(&[("TRACE", "off")]).expect("valid").trace.is_none());
    let vars = [("TRACE", "/traces/{instance}.jsonl"), ("INSTANCE", "../api1")];
    let trace = read(&vars).expect("valid").trace.expect("it has a path");
    assert_eq!(trace.path, PathBuf::from("/traces/.._api1.jsonl"));
}

#[test]
fn without_batching_a_call_carries_one() {
    let config = read(&[("MODE", "serial"), ("BATCH_MAX", "64")]).expect("valid");
    assert_eq!((config.bounds.batch_max, config.bounds.clients_per_call), (1, 1));
}

#[test]
fn the_databases_address_may_be_in_a_file() {
    let path = std::env::temp_dir().join(format!("guiche-database-url-{}", std::process::id()));
    let file = path.to_str().expect("it is UTF-8").to_owned();
    let from = |vars: &[(&str, &str)]| {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_vars(&vars.collect()).map(|config| config.database_url)
    };
    let refused = |vars: &[(&str, &str)]| from(vars).expect_err("it cannot be used").to_string();

    let missing = refused(&[("DATABASE_URL_FILE", &file)]);
    assert!(missing.contains("cannot be read: No such file"), "{missing}");
    std::fs::write(&path, " \n").expect("writable");
    assert!(refused(&[("DATABASE_URL_FILE", &file)]).contains("is empty"));
    std::fs::write(&path, "host=/run/postgresql password=secret\n").expect("writable");
    let url = from(&[("DATABASE_URL_FILE", &file)]).expect("it has an address");
    assert_eq!(url.expose(), "host=/run/postgresql password=secret");
    let both = refused(&[("DATABASE_URL_FILE", &file), ("DATABASE_URL", "postgresql://localhost/rinha")]);
    assert!(both.contains("so is DATABASE_URL; take one of them away") && !both.contains("secret"), "{both}");
    std::fs::remove_file(&path).expect("ours");
}
