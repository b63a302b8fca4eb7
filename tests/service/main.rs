//! The service from outside: over HTTP, as a child process, on a real PostgreSQL.
//!
//! One binary, so that all of it shares one private cluster; each test has a database of its own.
//! The cluster and every process end with this binary, however it ends. `GUICHE_PG_BIN` names
//! another PostgreSQL to run on.
//!
//! What must always hold, and where it is shown:
//!
//! 1. an answer only after the commit: [`commits`], [`outages`];
//! 2. arrival order, one run in flight, a batch equals one by one: [`ordering`], [`actors`],
//!    [`functions`];
//! 3. the stored functions alone guard the limit: [`instances`], [`functions`], [`role`];
//! 4. a statement is one consistent snapshot: [`statements`];
//! 5. an unknown id leaves nothing, what is malformed costs no call: [`actors`], [`bad_input`];
//! 6. everything has a bound: [`bounds`], [`fairness`], [`abandoned`], [`rough_input`], [`attackers`],
//!    [`locked_rows`], [`nginx_crowds`];
//! 7. refused, rolled back and unknown are told apart: [`deadlines`], [`failures`],
//!    [`outages`], [`nginx`], [`nginx_outages`], [`several_servers`],
//!    [`failover`];
//! 8. one element never fails the others: [`batches`], [`functions`];
//! 9. the two profiles: [`profiles`];
//! 10. the same key is applied once: [`idempotency`], [`functions`], [`role`].
//!
//! The contest's own rules are in [`contest_rules`]; a service's manners in [`start`],
//! [`shutdown`], [`signals`], [`listening`], [`encryption`], [`answers`], [`description`], [`request_ids`],
//! [`observing`], [`watchers`] and [`dashboards`]; the rule of who may import whom in [`imports`].

mod harness;

mod abandoned;
mod actors;
mod answers;
mod attackers;
mod bad_input;
mod batches;
mod bounds;
mod commits;
mod contest_rules;
mod dashboards;
mod deadlines;
mod description;
mod encryption;
mod failover;
mod failures;
mod fairness;
mod functions;
mod idempotency;
mod imports;
mod instances;
mod listening;
mod locked_rows;
mod modes;
mod nginx;
mod nginx_crowds;
mod nginx_outages;
mod observing;
mod ordering;
mod outages;
mod profiles;
mod request_ids;
mod role;
mod rough_input;
mod several_servers;
mod shutdown;
mod signals;
mod start;
mod statements;
mod watchers;
