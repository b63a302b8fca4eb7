//! How a session at the database plans its statements, whoever opens it.

/// Each statement of the functions is planned once per session, for any parameters (planning anew costs about
/// as much as running it), and by index: the plan may be made while the tables are empty and is still right
/// when they are not.
pub const PLANNED: [(&str, &str); 3] =
    [("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("enable_bitmapscan", "off")];

/// Returns settings as PostgreSQL takes them at a session's start, in its `options`.
pub fn session_options<'a>(settings: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> String {
    let option = |(name, value): &(&str, &str)| format!("-c {name}={} ", value.replace(' ', "\\ "));
    settings.into_iter().map(option).collect()
}
