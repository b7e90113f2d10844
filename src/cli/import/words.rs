//! Words of other desks in our words: names, templates, expressions.

use crate::core::filter::Pattern;

/// A name that may stand in YAML: without what names must not hold.
pub fn name(text: &str) -> String {
    let clean: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() || "/\"'<>".contains(c) { '-' } else { c })
        .collect();
    let end = clean.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 100);
    let end = end.last().unwrap_or(0);
    let name = clean[..end].trim();
    if name.is_empty() { "unnamed".into() } else { name.to_owned() }
}

/// A name of a secret: what a file name may be.
pub fn secret(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' };
    let clean: String = text.to_lowercase().chars().map(plain).collect();
    let clean = clean.trim_matches('-').to_owned();
    if clean.is_empty() { "unnamed".into() } else { clean }
}

/// An expression that our engine takes, or why it does not.
pub fn expression(source: &str) -> Result<String, String> {
    match Pattern::search(source) {
        Ok(_) => Ok(source.to_owned()),
        Err(reason) => {
            let last = reason.lines().last().unwrap_or_default();
            Err(last.trim().trim_start_matches("error: ").to_owned())
        }
    }
}

/// The groups of an expression by their names, if they have one.
pub fn groups(source: &str) -> Result<Vec<Option<String>>, String> {
    let pattern = Pattern::search(source).map_err(|reason| reason.to_string())?;
    let names = pattern.regex().capture_names().skip(1);
    Ok(names.map(|name| name.map(str::to_owned)).collect())
}

/// Text without HTML.
pub fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        text.push_str(&rest[..open]);
        let Some(close) = rest[open..].find('>') else { break };
        let tag = rest[open + 1..open + close].trim_start_matches('/').to_lowercase();
        if ["br", "p", "div", "li", "tr"].iter().any(|it| tag.split([' ', '/']).next() == Some(it))
        {
            text.push('\n');
        }
        rest = &rest[open + close + 1..];
    }
    text.push_str(rest);
    let entities =
        [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    let text = entities.iter().fold(text, |text, (entity, it)| text.replace(entity, it));
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut kept = lines.join("\n");
    while kept.contains("\n\n\n") {
        kept = kept.replace("\n\n\n", "\n\n");
    }
    kept.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(name(" Sales::EU/\"x\" "), "Sales::EU--x-");
        assert_eq!(name("\u{1}"), "-");
        assert_eq!(name(""), "unnamed");
        assert_eq!(secret("Support@Example.com"), "support-example-com");
        assert!(expression("a(?=b)").unwrap_err().contains("look-around"));
        assert_eq!(expression("^a.*").unwrap(), "^a.*");
        assert_eq!(groups(r"a\(b(c)(?<d>e)(?:f)").unwrap(), [None, Some("d".into())]);
        assert_eq!(
            plain("<p>Dear&nbsp;you,</p><br/>1 &lt; 2<div>x</div>"),
            "Dear you,\n\n1 < 2\nx"
        );
    }
}
