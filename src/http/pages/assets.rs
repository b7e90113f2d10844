//! The one style sheet, the one script and the icon.
//!
//! Architecture invariant: they are part of the program; their address names their content, so
//! that a browser keeps them for ever and never keeps an old one.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::http::problem::Problem;

/// Hexadecimal digits of a digest in an address.
const DIGITS: usize = 12;

/// One file.
pub struct Asset {
    /// Its name without the digest.
    name: &'static str,
    content: &'static str,
    content_type: &'static str,
    /// First digits of its digest.
    digest: LazyLock<String>,
}

macro_rules! asset {
    ($(#[$doc:meta])* $constant:ident, $file:literal, $content_type:literal) => {
        $(#[$doc])*
        pub static $constant: Asset = Asset {
            name: $file,
            content: include_str!($file),
            content_type: $content_type,
            digest: LazyLock::new(|| digest(include_str!($file))),
        };
    };
}
asset!(
    /// How everything looks.
    STYLE, "style.css", "text/css; charset=utf-8"
);
asset!(
    /// Keys and small comforts; every page works without it.
    SCRIPT, "script.js", "text/javascript; charset=utf-8"
);
asset!(
    /// The sign of the desk in the browser.
    ICON, "icon.svg", "image/svg+xml"
);

impl Asset {
    /// Where it is found.
    pub fn path(&self) -> String {
        format!("/assets/{}-{}", *self.digest, self.name)
    }
}

/// Serves a file.
pub async fn serve(Path(file): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let asset = [&STYLE, &SCRIPT, &ICON]
        .into_iter()
        .find(|asset| asset.path() == format!("/assets/{file}"));
    let asset = asset.ok_or_else(|| Problem::not_found(format!("file {file:?}")))?;
    let tag = format!("\"{}\"", *asset.digest);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let mut response = if known.is_some_and(|tags| tags.contains(&tag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        asset.content.into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    headers.insert(header::ETAG, HeaderValue::try_from(tag).expect("a digest is plain digits"));
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, forever);
    Ok(response)
}

fn digest(content: &str) -> String {
    let hash = Sha256::digest(content.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_small_and_ask_for_nothing_elsewhere() {
        for asset in [&STYLE, &SCRIPT, &ICON] {
            assert!(asset.content.len() < 24 * 1024, "{}", asset.name);
            let outside = asset.content.replace("http://www.w3.org/2000/svg", "");
            for word in ["http:", "https:", "//", "@import", "url("] {
                let commented = asset.name == "script.js" && word == "//";
                assert!(commented || !outside.contains(word), "{} has {word}", asset.name);
            }
        }
    }

    #[test]
    fn addresses_name_the_content() {
        assert!(STYLE.path().starts_with("/assets/") && STYLE.path().ends_with("-style.css"));
        assert_ne!(STYLE.path()[..20], SCRIPT.path()[..20]);
    }
}
