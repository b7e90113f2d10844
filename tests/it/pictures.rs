//! Pictures of the pages: `UPDATE=1` with a browser writes those of the documentation into
//! `docs/pages`, `POSTROOM_SCREENSHOTS=DIR` writes every page in every look for whoever looks at them.

use std::path::PathBuf;

use axum::http::Method;
use postroom::http::routes::{self, Access, Payload, Route};

use crate::browser::Browser;

/// Pixels of a picture, from the top.
const HEIGHT: u32 = 800;
/// Looks of a page: what the name of its picture ends in, pixels of the screen, dark or light.
const LOOKS: [(&str, u32, bool); 3] =
    [("", 1280, false), ("-dark", 1280, true), ("-narrow", 390, false)];

/// Each page and its picture in the documentation.
const OF_PAGES: [(&str, &str); 14] = [
    ("/sign-in", "sign-in"),
    ("/", "tickets"),
    ("/tickets/{number}", "ticket"),
    ("/tickets/{number}/audience", "audience"),
    ("/customers", "customers"),
    ("/customers/{address}", "customer"),
    ("/notifications", "notifications"),
    ("/mails", "mails"),
    ("/mails/{id}", "mail"),
    ("/quarantine", "quarantine"),
    ("/outbox", "outbox"),
    ("/accounts", "accounts"),
    ("/configuration", "configuration"),
    ("/me", "me"),
];
/// Pictures of what may be seen on them besides.
const BESIDES: [&str; 4] = ["ticket-ja-dark", "tickets-narrow", "preview", "doubtful"];

fn in_documentation(name: &str) -> bool {
    BESIDES.contains(&name) || OF_PAGES.iter().any(|(_, picture)| *picture == name)
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("docs/pages/{name}.png"))
}

/// Takes pictures of what the browser shows, if somebody asks for them.
pub fn take(browser: &Browser, name: &str) {
    let update = std::env::var_os("UPDATE").is_some();
    let folder = std::env::var_os("POSTROOM_SCREENSHOTS").map(PathBuf::from);
    if !update && folder.is_none() {
        return;
    }
    for (look, width, dark) in LOOKS {
        let name = format!("{name}{look}");
        browser.look(width, HEIGHT, dark);
        if update && in_documentation(&name) {
            browser.screenshot(&file(&name));
        }
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).unwrap();
            browser.screenshot(&folder.join(format!("{name}.png")));
        }
    }
    browser.look(1280, HEIGHT, false);
}

/// Pages that people open. The frame of a mail is no page of ours.
fn pages() -> impl Iterator<Item = Route> {
    routes::all().into_iter().filter(|route| {
        let page = matches!(route.access, Access::Page(_)) && route.method == Method::GET;
        let html = matches!(route.gives, Payload::Bytes("text/html"));
        page && html && !route.path.ends_with("/html") && !route.path.starts_with("/sign-in/")
    })
}

#[test]
fn every_page_has_a_picture() {
    for page in pages() {
        assert!(OF_PAGES.iter().any(|(path, _)| *path == page.path), "none of {}", page.path);
    }
    for (path, _) in OF_PAGES {
        assert!(pages().any(|page| page.path == path), "{path} is no page");
    }
}

#[test]
fn every_picture_is_shown() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let shown = std::fs::read_to_string(root.join("docs/pages.md")).unwrap();
    let taken = std::fs::read_dir(root.join("docs/pages")).unwrap();
    let mut taken: Vec<String> = taken
        .map(|entry| entry.unwrap().file_name().to_string_lossy().trim_end_matches(".png").into())
        .collect();
    let mut named: Vec<String> =
        OF_PAGES.iter().map(|(_, name)| *name).chain(BESIDES).map(str::to_owned).collect();
    taken.sort();
    named.sort();
    assert_eq!(taken, named, "run UPDATE=1 cargo test --test it -- browser_");
    for name in named {
        assert!(std::fs::read(file(&name)).unwrap().starts_with(b"\x89PNG"), "{name}");
        assert!(shown.contains(&format!("(pages/{name}.png)")), "{name} is not shown");
    }
}
