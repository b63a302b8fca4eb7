//! The Compose files, read as files: the contest's limits, what is reachable, what is documented.
//! Needs no Docker; what only an engine can show is in `tests/docker`.

mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::{Map, Value};
use settings::SETTINGS;

use reading::{
    document, env_example, image_of, image_user, is_unprivileged, passed_through, read, root, services,
    strings, text, variables,
};

/// The services that the contest counts.
const COUNTED: [&str; 4] = ["db", "nginx", "webapi1-guiche", "webapi2-guiche"];

/// Compose's `MB`.
const MB: u64 = 1024 * 1024;

#[test]
fn the_contests_limits_add_up_exactly() {
    let services = services(&root().join("compose/contest.yml"));
    assert_eq!(services.keys().map(String::as_str).collect::<Vec<_>>(), COUNTED);
    assert_budget(&services);
}

#[test]
fn nothing_but_port_9999_is_published() {
    let services = services(&root().join("compose/contest.yml"));
    for (name, service) in &services {
        let ports: Vec<&str> = strings(service, "ports");
        let allowed: &[&str] = if name == "nginx" { &["9999:9999"] } else { &[] };
        assert_eq!(ports, allowed, "{name}");
        assert!(service.get("network_mode").is_none() && service.get("privileged").is_none(), "{name}");
        // Nothing else is reached from another network, or reaches one.
        let networks: &[&str] = if name == "nginx" { &[] } else { &["inside"] };
        assert_eq!(strings(service, "networks"), networks, "{name}");
    }
    assert_eq!(document(&root().join("compose/contest.yml"))["networks"]["inside"]["internal"], true);
}

#[test]
fn no_password_is_in_an_environment_and_the_database_does_not_listen() {
    let services = services(&root().join("compose/contest.yml"));
    for (name, service) in &services {
        let environment = service.get("environment").map(Value::to_string).unwrap_or_default();
        assert!(!environment.contains("PASSWORD\"") && !environment.contains("password="), "{name}");
    }
    assert!(text(&services["db"]["command"]).ends_with("listen_addresses=127.0.0.1"));
    assert_eq!(strings(&services["webapi1-guiche"], "secrets"), ["database_url"]);
}

/// Those that are laid over the contest's are as confined, but for what each says.
#[test]
fn every_observer_is_confined() {
    // The first is its image's own user; the others are root without root's capabilities.
    let otherwise = ["prometheus", "influxdb", "k6"];
    for (name, service) in &services(&root().join("compose/dev.yml")) {
        if COUNTED.contains(&name.as_str()) {
            continue;
        }
        assert_eq!(strings(service, "cap_drop"), ["ALL"], "{name}");
        assert_eq!(strings(service, "security_opt"), ["no-new-privileges:true"], "{name}");
        assert_eq!(service["pids_limit"], 200, "{name}");
        assert_eq!(service["read_only"], *name != "grafana", "{name}");
        let image = image_of(service);
        assert!(image.contains(':') && !image.ends_with(":latest"), "{name} has no version: {image}");
        if !otherwise.contains(&name.as_str()) {
            let user = service["user"].as_str().expect("a user");
            assert!(user.split(':').next().is_some_and(is_unprivileged), "{name}: {user}");
        }
    }
}

#[test]
fn the_overlay_is_reachable_from_this_machine_only_and_counts_nothing() {
    let overlay = services(&root().join("compose/dev.yml"));
    for (name, service) in &overlay {
        for port in strings(service, "ports") {
            assert!(port.starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
        assert!(service.get("deploy").is_none(), "{name} has limits: the contest's are in contest.yml");
    }
    let grafana = &overlay["grafana"]["environment"];
    assert_eq!(grafana["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"], "true", "no admin without a password");
    assert_eq!(grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"], "Viewer");
}

#[test]
fn every_counted_service_is_confined_and_checked() {
    for (name, service) in &services(&root().join("compose/contest.yml")) {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(strings(service, "cap_drop"), ["ALL"], "{name}");
        assert_eq!(strings(service, "security_opt"), ["no-new-privileges:true"], "{name}");
        assert_eq!(service["deploy"]["resources"]["limits"]["pids"], 200, "{name}");
        if name == "db" {
            let limit = format!("ulimit -d {};", testbed::cluster::MEMORY_EACH / 1024);
            assert!(strings(service, "entrypoint")[2].starts_with(&limit), "{service:?}");
        }
        assert!(service["restart"].as_str().is_some_and(|policy| policy.starts_with("on-failure")), "{name}");
        let image = image_of(service);
        assert!(image.contains(':') && !image.ends_with(":latest"), "{name} has no version: {image}");
        // The service's own image says it of itself.
        if image == "guiche:local" {
            continue;
        }
        assert!(service["healthcheck"]["test"].is_array(), "{name} has no health check");
        assert!(service["user"].as_str().is_some_and(is_unprivileged), "{name}");
    }
    let dockerfile = read(&root().join("Dockerfile"));
    assert!(dockerfile.contains("\nHEALTHCHECK "), "the image has no health check");
    let user = image_user();
    assert!(is_unprivileged(&user), "{user}");
}

#[test]
fn what_depends_on_a_service_waits_until_it_is_healthy() {
    let services = services(&root().join("compose/contest.yml"));
    let waits_for = |name: &str| -> BTreeSet<String> {
        let Some(needs) = services[name].get("depends_on").and_then(Value::as_object) else {
            return BTreeSet::new();
        };
        assert!(needs.values().all(|need| need["condition"] == "service_healthy"), "{name}");
        needs.keys().cloned().collect()
    };
    assert_eq!(waits_for("nginx"), ["webapi1-guiche", "webapi2-guiche"].map(String::from).into());
    assert_eq!(waits_for("webapi1-guiche"), ["db"].map(String::from).into());
    assert_eq!(waits_for("webapi2-guiche"), ["db"].map(String::from).into());
    assert!(waits_for("db").is_empty());
}

#[test]
fn env_example_has_every_variable_with_its_default() {
    let documented = env_example();
    let mut used = BTreeMap::new();
    for file in ["compose/contest.yml", "compose/dev.yml"] {
        used.extend(variables(&read(&root().join(file))));
        used.extend(passed_through(&services(&root().join(file))));
    }
    let absent: Vec<_> = used.keys().filter(|name| !documented.contains_key(*name)).collect();
    assert!(absent.is_empty(), ".env.example does not document {absent:?}");
    let unused: Vec<_> = documented.keys().filter(|name| !used.contains_key(*name)).collect();
    assert!(unused.is_empty(), ".env.example documents what no file uses: {unused:?}");
    for (name, default) in &used {
        assert_eq!(&documented[name], default, "the default of {name}");
    }
}

#[test]
fn every_setting_of_the_service_can_be_set() {
    // NGINX relies on the one; the other is in a file.
    const FIXED: [&str; 2] = ["LISTEN", "DATABASE_URL"];
    let mut environment = Map::new();
    for file in ["compose/contest.yml", "compose/dev.yml"] {
        let services = services(&root().join(file));
        environment
            .extend(services["webapi1-guiche"]["environment"].as_object().expect("it has one").clone());
    }
    assert!(SETTINGS.len() > 20, "the table of settings is short: {SETTINGS:?}");
    for name in SETTINGS.iter().map(|setting| setting.name) {
        assert!(
            environment.contains_key(name) || FIXED.contains(&name),
            "{name} is a setting, the Compose files do not pass it on"
        );
    }
}

#[test]
fn both_instances_differ_in_name_and_socket_alone() {
    let mut services = services(&root().join("compose/contest.yml"));
    let mut take = |name: &str| {
        let mut service = services.remove(name).expect("it is there");
        let environment = service["environment"].as_object_mut().expect("it has one");
        assert_eq!(environment.remove("INSTANCE"), Some(Value::from(name)));
        assert_eq!(environment.remove("LISTEN"), Some(Value::from(format!("unix:/run/guiche/{name}.sock"))));
        service
    };
    assert_eq!(take("webapi1-guiche"), take("webapi2-guiche"));
}

#[test]
fn the_sockets_are_where_they_are_looked_for_and_belong_to_who_listens() {
    let file = root().join("compose/contest.yml");
    let services = services(&file);
    let mount = |service: &str, volume: &str| {
        let mounts = strings(&services[service], "volumes");
        let place = mounts.iter().find_map(|mount| mount.strip_prefix(volume)?.strip_prefix(':'));
        place.unwrap_or_else(|| panic!("{service} does not mount {volume}: {mounts:?}")).to_owned()
    };
    for api in ["webapi1-guiche", "webapi2-guiche"] {
        let environment = &services[api]["environment"];
        let socket = text(&environment["LISTEN"]);
        assert_eq!(mount(api, "http"), "/run/guiche");
        let url = read(&root().join("compose/secrets/database_url"));
        assert!(url.contains(&format!("host={} ", mount(api, "postgresql"))), "{url}");
        for balancing in ["least_conn", "round_robin", "affinity", "layer4"] {
            let nginx = read(&root().join(format!("nginx/{balancing}.conf")));
            assert!(nginx.contains(&format!("server {socket} ")), "{balancing} does not know {socket}");
        }
    }
    assert_eq!(mount("nginx", "http"), "/run/guiche");
    assert_eq!(mount("db", "postgresql"), "/var/run/postgresql", "where PostgreSQL listens by default");

    let document = document(&file);
    let user_of = |service: &str| services[service]["user"].as_str().expect("a user");
    for (volume, mode, user) in [("http", 750, &*image_user()), ("postgresql", 755, user_of("db"))] {
        let (uid, gid) = user.split_once(':').expect("user and group");
        let options = text(&document["volumes"][volume]["driver_opts"]["o"]);
        assert!(options.ends_with(&format!("mode={mode},uid={uid},gid={gid}")), "{volume}: {options}");
    }
    // NGINX reaches the instances' sockets by their group.
    assert_eq!(
        user_of("nginx").split_once(':').map(|user| user.1),
        image_user().split_once(':').map(|user| user.1)
    );
}

#[test]
fn a_submission_is_self_contained_and_within_the_limits() {
    let folder = std::env::temp_dir().join(format!("guiche-submission-{}", std::process::id()));
    let script = root().join("compose/submission");
    let written = Command::new(&script)
        .arg("ghcr.io/someone/guiche:1.0")
        .arg(&folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("NGINX_CONF", "affinity")
        .env("PROFILE", "contest")
        .env("BATCH_MAX", "64")
        .output()
        .expect("the script runs");
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));

    let file = folder.join("docker-compose.yml");
    let text = read(&file);
    let services = services(&file);
    assert_budget(&services);
    assert!(!text.contains("../") && !text.contains("build:"), "it reaches out of its folder");
    assert_eq!(image_of(&services["webapi1-guiche"]), "ghcr.io/someone/guiche:1.0");
    assert_eq!(services["webapi2-guiche"]["environment"]["BATCH_MAX"], "64");
    assert_eq!(services["webapi2-guiche"]["environment"]["PROFILE"], "contest");
    for source in services.values().flat_map(|service| strings(service, "volumes")) {
        let source = source.split(':').next().unwrap_or_default();
        let named = ["db", "http", "postgresql"].contains(&source);
        assert!(named || folder.join(source).exists(), "{source} is missing");
    }
    assert_eq!(read(&folder.join("nginx.conf")), read(&root().join("nginx/affinity.conf")));
    assert!(
        text.contains("file: \"./secrets/database_url\"") && folder.join("secrets/database_url").exists()
    );
    assert!(folder.join("sql/settings/contest.conf").exists() && folder.join("sql/10-tables.sql").exists());

    let refused = Command::new(&script).output().expect("the script runs");
    assert!(!refused.status.success(), "an image must be named");
    fs::remove_dir_all(&folder).expect("it is ours");
}

/// 1.5 CPUs and 550MB, to the last hundredth and byte.
fn assert_budget(services: &BTreeMap<String, Value>) {
    let mut hundredths = 0;
    let mut bytes = 0;
    for (name, service) in services {
        let limits = &service["deploy"]["resources"]["limits"];
        let cpus: f64 = text(&limits["cpus"]).parse().unwrap_or_else(|_| panic!("{name}: {limits}"));
        let memory = text(&limits["memory"]);
        let megabytes = memory.strip_suffix("MB").unwrap_or_else(|| panic!("{name}: {memory} is not in MB"));
        hundredths += (cpus * 100.0).round() as u64;
        bytes += megabytes.parse::<u64>().unwrap_or_else(|_| panic!("{name}: {memory}")) * MB;
    }
    assert_eq!((hundredths, bytes), (150, 550 * MB));
}
