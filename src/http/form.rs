//! What a person filled in on a page.
//!
//! Architecture invariant: a handler sees a form only after its token was checked (`pages::door`).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// Media type of forms.
pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// The fields of a form, or of a query, in their order; a name may stand there more than once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads what a browser sends. Bytes that are no text become replacement characters.
    pub fn parse(bytes: &[u8]) -> Form {
        Form(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// A field; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// A field that was filled in, without the white space around it.
    pub fn filled(&self, name: &str) -> Option<&str> {
        Some(self.text(name).trim()).filter(|text| !text.is_empty())
    }

    /// Whether a box was ticked.
    pub fn ticked(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Every field of this name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// Path with this query, for links that keep what was asked for.
pub fn link(path: &str, fields: &[(&str, &str)]) -> String {
    let filled = fields.iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(filled).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// A name as one part of a path.
pub use crate::net::http::percent_encoded as segment;

impl<S: Send + Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;

    /// The form that was sent, else what stands in the query.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Form, Infallible> {
        let sent = parts.extensions.get::<Form>().cloned();
        Ok(sent.unwrap_or_else(|| Form::parse(parts.uri.query().unwrap_or_default().as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_as_browsers_send_them() {
        let form = Form::parse("q=%E6%97%A5+x&ticket=1&ticket=2&empty=+&b".as_bytes());
        assert_eq!(form.text("q"), "日 x");
        assert_eq!(form.all("ticket").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(form.filled("empty"), None);
        assert_eq!(form.text("missing"), "");
        assert!(form.ticked("b") && !form.ticked("missing"));
        assert_eq!(Form::parse(b"a=%FF").text("a"), "\u{FFFD}");
    }

    #[test]
    fn names_stay_one_part_of_a_path() {
        assert_eq!(segment("support-1"), "support-1");
        assert_eq!(segment("a/b ?窓"), "a%2Fb%20%3F%E7%AA%93");
        assert_eq!(segment("a+b/../@x.test"), "a%2Bb%2F..%2F%40x.test");
    }

    #[test]
    fn links_keep_what_is_filled() {
        assert_eq!(link("/mails", &[("a", "x y"), ("b", ""), ("c", "&")]), "/mails?a=x+y&c=%26");
        assert_eq!(link("/mails", &[("b", "")]), "/mails");
    }
}
