//! The profiles, the balancings, and a volume of the other profile.

use std::time::{Duration, Instant};

use testbed::cluster::connect;
use testbed::docker::Compose;
use testbed::http::Endpoint;
use testbed::{Balancing, Profile};

/// What the instance says before it ends.
const LINE: &str = "guiche: PROFILE is durable, but the database was set up for contest";

/// A setting that cannot work must be known by then.
const FAILURE_DEADLINE: Duration = Duration::from_secs(90);

/// The API's role cannot read a table, in either profile.
#[tokio::test]
#[ignore = "needs Docker: make containers"]
async fn a_volume_of_the_other_profile_is_refused_in_one_clear_line() {
    let Some(_alone) = crate::docker().await else { return };
    let mut options = crate::options();
    options.stack.profile = Profile::Contest;
    let stack = crate::start(options).await;
    let url = stack.admin_url().await.expect("the database runs");
    let database = connect(&url).await.expect("the database answers");
    let row = database
        .query_one("SELECT perfil, fsync FROM EstadoDoBanco()", &[])
        .await
        .expect("the function is there");
    assert_eq!((row.get(0), row.get(1)), ("contest", "off"));

    let api = url.replace("postgres:local", "guiche:guiche");
    let api = connect(&api).await.expect("the API's role may log in");
    let refused = api.query("SELECT * FROM clientes", &[]).await.expect_err("and read no table");
    assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{refused}");

    let begin = Instant::now();
    let durable = with_profile(&stack.compose, Profile::Durable);
    let error =
        durable.run(&["up", "--detach", "--no-build"]).await.expect_err("the volume is of the other profile");
    assert!(begin.elapsed() < FAILURE_DEADLINE, "it took {:?}", begin.elapsed());
    println!("  after {:.1} s: {error:#}", begin.elapsed().as_secs_f64());
    let said = durable.run(&["logs", "--no-log-prefix", "webapi1-guiche"]).await.expect("it has a log");
    let line = said.lines().find_map(|line| line.find(LINE).map(|start| &line[start..]));
    println!("  {}", line.unwrap_or_else(|| panic!("{said}")));
    stack.stop().await.expect("it is removed");
}

/// All four files are valid for the image's NGINX, and answer.
#[tokio::test]
#[ignore = "needs Docker: make containers"]
async fn every_balancing_answers() {
    let Some(_alone) = crate::docker().await else { return };
    let stack = crate::start(crate::options()).await;
    for balancing in [Balancing::RoundRobin, Balancing::Affinity, Balancing::Layer4, Balancing::LeastConn] {
        let compose = stack.compose.clone().variable("NGINX_CONF", balancing.to_string());
        compose
            .run(&["up", "--detach", "--no-build", "--wait", "nginx"])
            .await
            .unwrap_or_else(|error| panic!("{error:#}"));
        for client in 1..=5 {
            let endpoint = Endpoint::Tcp(([127, 0, 0, 1], stack.options.stack.port).into());
            let answer = endpoint.get(&format!("/clientes/{client}/extrato")).await.expect("it answers");
            assert_eq!(answer.status, 200, "{balancing}: {}", answer.body);
        }
        println!("  {balancing}: answers");
    }
    stack.stop().await.expect("it is removed");
}

/// Compose remembers variables in the order they were set: the last one counts.
fn with_profile(compose: &Compose, profile: Profile) -> Compose {
    compose.clone().variable("PROFILE", profile.name())
}
