//! What a database's address says about TLS, taken out of it: `tokio-postgres` knows but a part.

use percent_encoding::percent_decode_str;

/// The parameters `sslmode` and `sslrootcert` of an address; where one is given twice, the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AskedTls {
    /// Whether and how strictly.
    pub(super) mode: Option<String>,
    /// The file with the certificates that are trusted, or `system`.
    pub(super) roots: Option<String>,
    /// Another parameter that is libpq's and not known here.
    pub(super) unsupported: Option<&'static str>,
}

/// What libpq lets be asked of TLS beyond what is known here.
const UNSUPPORTED: [&str; 5] = ["sslcert", "sslkey", "sslpassword", "sslcrl", "sslcrldir"];

impl AskedTls {
    /// Reads them from a URL or a list of key=value pairs, and returns what else is in that.
    pub(super) fn take_from(address: &str) -> (Self, String) {
        let mut asked = Self::default();
        let is_url = ["postgres://", "postgresql://"].iter().any(|prefix| address.starts_with(prefix));
        let rest = if is_url { asked.take_from_url(address) } else { asked.take_from_pairs(address) };
        (asked, rest)
    }

    fn take_from_url(&mut self, url: &str) -> String {
        // A password may have a `?`, and ends at the first `@`.
        let server = url.find('@').unwrap_or_default();
        let Some(query) = url[server..].find('?').map(|at| server + at + 1) else { return url.to_owned() };
        let others = url[query..].split('&').filter(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            !self.note(name, || percent_decode_str(value).decode_utf8_lossy().into_owned())
        });
        let others = others.collect::<Vec<_>>().join("&");
        format!("{}{others}", &url[..query])
    }

    fn take_from_pairs(&mut self, pairs: &str) -> String {
        let (mut others, mut left) = (String::new(), pairs);
        while let Some(equals) = left.find('=') {
            let start = left[equals + 1..].trim_start();
            let (value, length) = unquoted(start);
            let end = left.len() - start.len() + length;
            if !self.note(left[..equals].trim(), || value) {
                others.push_str(&left[..end]);
            }
            left = &left[end..];
        }
        others + left
    }

    /// Keeps the value of a parameter that is of TLS, and returns whether it is.
    fn note(&mut self, name: &str, value: impl FnOnce() -> String) -> bool {
        let kept = match name {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.roots,
            _ => {
                let unsupported = UNSUPPORTED.into_iter().find(|one| *one == name);
                self.unsupported = self.unsupported.or(unsupported);
                return unsupported.is_some();
            }
        };
        *kept = Some(value());
        true
    }
}

/// Returns the value that `text` starts with, without quotes and backslashes, and its length with them.
fn unquoted(text: &str) -> (String, usize) {
    let quoted = text.starts_with('\'');
    let (mut value, mut escaped) = (String::new(), false);
    for (at, letter) in text.char_indices().skip(quoted.into()) {
        match letter {
            '\\' if !escaped => escaped = true,
            '\'' if quoted && !escaped => return (value, at + 1),
            _ if !quoted && !escaped && letter.is_whitespace() => return (value, at),
            _ => {
                value.push(letter);
                escaped = false;
            }
        }
    }
    (value, text.len())
}

#[cfg(test)]
mod tests {
    use super::AskedTls;

    #[test]
    fn what_is_of_tls_is_taken_out_and_the_rest_stays() {
        let cases = [
            ("postgresql://u:p@h/d", None, None, "postgresql://u:p@h/d"),
            (
                "postgres://u:p?sslmode=x@h/d?sslmode=require",
                Some("require"),
                None,
                "postgres://u:p?sslmode=x@h/d?",
            ),
            (
                "postgresql://h/d?connect_timeout=3&sslmode=verify-full&sslrootcert=%2Fa%20b&user=u",
                Some("verify-full"),
                Some("/a b"),
                "postgresql://h/d?connect_timeout=3&user=u",
            ),
            ("host=/run/pg user=u", None, None, "host=/run/pg user=u"),
            ("sslmode=disable sslmode = 'require' host=h", Some("require"), None, " host=h"),
            (
                r"host=h sslrootcert='/a \'b' password='x sslmode=prefer' dbname=d",
                None,
                Some("/a 'b"),
                "host=h password='x sslmode=prefer' dbname=d",
            ),
            (r"password=a\ sslmode=b sslmode=", Some(""), None, r"password=a\ sslmode=b"),
            ("nonsense", None, None, "nonsense"),
        ];
        for (address, mode, roots, rest) in cases {
            let [mode, roots] = [mode, roots].map(|value| value.map(str::to_owned));
            let asked = AskedTls { mode, roots, unsupported: None };
            assert_eq!(AskedTls::take_from(address), (asked, rest.to_owned()), "{address}");
        }
    }
}
