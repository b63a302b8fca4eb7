//! What is known of a request before it is judged.

/// What a request's head says of it.
pub struct RequestHead<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, without a query.
    pub path: &'a str,
    /// The pattern that its path fits.
    pub route: &'static str,
    /// The client, unless the path names none.
    pub client: Option<i32>,
    /// `traceparent` and `tracestate`: its caller's trace (W3C Trace Context).
    pub trace_context: [Option<&'a str>; 2],
}
