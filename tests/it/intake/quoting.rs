//! An agent answers a notification from each mail program there is. What the notification says
//! never reaches the customer, and no word of the agent is lost.

mod styles;

use std::fmt::Write as _;
use std::sync::LazyLock;

use postroom::core::config::{Channels, Config, Language};
use postroom::core::digest::Line;
use postroom::core::intake::Decision;
use postroom::core::mail;
use postroom::core::notify::{EventKind, Notice, Rule, Wait};
use postroom::core::outgoing::{Outgoing, OutgoingId, OutgoingKind};
use postroom::core::render::{self, Stationery};
use postroom::core::ticket::{Actor, Article, ArticleKind, Command, TicketId};
use proptest::prelude::*;
use styles::{Change, Mark, Place, STYLES, Style};

use super::loaded;
use super::world::World;

/// Words that only agents may read, in lower case.
const CANARIES: [&str; 9] = [
    "ncanary",
    "qcanary",
    "subscriptions",
    "margin",
    "粗利",
    "秘密",
    "値引き",
    "noteadded",
    "ticketcreated",
];
const NOTE: &str = "INTERNAL: the margin ncanaryone is 70% for them, don't tell - \"never\".\n\
    Do not grant a discount ncanarytwo before Friday, whatever they threaten us with, since the last time it cost us a lot.\n\
    \n\
    - see https://wiki.corp.example/ncanarythree?page=1\n\
    - ask boss@corp.example\n\
    ncanaryfour";
const NOTE_JA: &str = "社内限定:この顧客の粗利は七割です。値引きは金曜まで秘密にしてください。以前も同じ要求で大きな損失になりました。\n\
    担当は営業部の秘密窓口です。\nncanaryfive";
/// What the agent writes.
const OWN: [&str; 3] = [
    "We are sorry, no refund is possible here.",
    "The replacement leaves on Monday.",
    "代替品は月曜日に発送します。",
];

struct Scene {
    config: Config,
    world: World,
    language: Language,
}

impl Scene {
    fn new(language: Language) -> Scene {
        let code = language.code();
        let yaml = format!(
            "queues:\n  qcanary: {{sender: default}}\n  Raw: {{sender: default}}\n  support: {{sender: default}}\n  sales: {{sender: default}}\n  misc: {{sender: default}}\n\
             systemAddresses:\n  support@corp.example: {{name: Support, queue: qcanary}}\n  sales@corp.example: {{name: Sales, queue: sales}}\n\
             users:\n  alice: {{email: alice@agents.example, name: Alice Agent, language: {code}, role: user, subscriptions: {{queues: [qcanary], events: [ticketCreated, noteAdded]}}}}\n  \
             ben: {{email: ben@agents.example, name: Ben Agent, language: en, role: user}}\n"
        );
        let loaded = loaded(&yaml);
        let config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems));
        let mut world = World::new();
        let first = "From: Mia Keller <mia@client.example>\r\nTo: support@corp.example\r\nSubject: No toner on floor 3\r\nMessage-ID: <one@client.example>\r\nDate: Sun, 22 Nov 2026 13:55:00 +0900\r\n\r\nThe printer on the third floor is out of toner.\r\nCan I have my money back?\r\n";
        world.receive(&config, "inbox", first.as_bytes());
        for text in [NOTE, NOTE_JA] {
            let note = Command::Note {
                subject: String::new(),
                text: text.into(),
                visible_for_customer: false,
            };
            world.act(&config, 1, &note, &Actor::Agent("ben".into())).expect("a note");
        }
        Scene { config, world, language }
    }

    fn articles(&self, kind: ArticleKind) -> Vec<&Article> {
        self.world.articles().iter().filter(|one| one.kind == kind).collect()
    }

    /// Each notification that alice can get.
    fn notifications(&self) -> Vec<(&'static str, Outgoing)> {
        let ticket = self.world.tickets().next().expect("there is a ticket");
        let stationery = Stationery {
            config: &self.config,
            key: self.world.key(),
            now: "2026-11-22T06:00:00Z".parse().unwrap(),
        };
        let write = |event: EventKind, article: Option<&Article>| {
            let keys = ["users", "alice", "subscriptions", "events", event.label()];
            let notice = Notice {
                event,
                who: "alice".into(),
                address: self.config.users["alice"].email.clone(),
                name: "Alice Agent".into(),
                language: self.language,
                channels: Channels { mail: true, web: false },
                wait: Wait::No,
                role: "watcher".into(),
                rule: Some(Rule(keys.map(str::to_owned).into())),
                customer: false,
            };
            render::notification(stationery, &notice, ticket, article, OutgoingId(500))
                .expect("it can be sent")
        };
        let notes = self.articles(ArticleKind::Note);
        let mail = self.articles(ArticleKind::MailIn)[0];
        let mut all: Vec<(&'static str, Outgoing)> = EventKind::ALL
            .into_iter()
            .map(|event| {
                let article = match event {
                    EventKind::NoteAdded => Some(notes[0]),
                    EventKind::TicketCreated
                    | EventKind::FollowUpLocked
                    | EventKind::FollowUpUnlocked => Some(mail),
                    _ => None,
                };
                (event.label(), write(event, article))
            })
            .collect();
        all.push(("noteAdded in Japanese", write(EventKind::NoteAdded, Some(notes[1]))));
        let line = |text: &str| Line {
            who: "alice".into(),
            event: EventKind::NoteAdded,
            ticket: TicketId(1),
            number: ticket.number.clone(),
            text: text.into(),
            role: "queue qcanary".into(),
            rule: String::new(),
            at: stationery.now,
            held: false,
        };
        let lines = [line("New note: ncanarysix of another customer")];
        let alice = &self.config.users["alice"];
        let digest = render::digest::mail(stationery, alice, &lines, 1, OutgoingId(501));
        all.push(("digest", digest.expect("it can be sent")));
        all
    }

    /// What becomes of alice's answer.
    fn answer(&self, notification: &Outgoing, content: &str) -> Decision {
        let raw = format!(
            "From: Alice Agent <alice@agents.example>\r\nTo: Helpdesk <notify@corp.example>, support@corp.example\r\nSubject: Re: [Ticket#{}] x\r\nMessage-ID: <a1@agents.example>\r\nIn-Reply-To: <{}>\r\nDate: Mon, 23 Nov 2026 10:05:00 +0000\r\nMIME-Version: 1.0\r\n{content}",
            self.world.number(1),
            notification.message_id,
        );
        self.world.would(&self.config, "inbox", raw.as_bytes())
    }
}

/// All that a customer gets because of a decision.
fn letters(decision: &Decision) -> Vec<&Outgoing> {
    let owed = decision.effect.iter().flat_map(|effect| &effect.owed);
    owed.filter(|mail| !mail.recipient.as_str().ends_with("@agents.example")).collect()
}

/// What came of an answer.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Sent,
    Kept,
}

/// Nothing internal in what goes out, and all that the agent wrote.
fn check(decision: &Decision, own: &[&str], what: &str, raw: &str) -> Result<Came, String> {
    let about = |fault: String, text: &str| {
        Err(format!("{what}: {fault}\n--- out\n{text}\n--- in\n{raw}\n{:?}\n", decision.why))
    };
    let letters = letters(decision);
    for letter in &letters {
        let read = mail::parse(&letter.raw);
        if read.html.is_some() {
            return about("letters are plain text".into(), &read.text);
        }
        let source = String::from_utf8_lossy(&letter.raw).into_owned();
        let mut all = vec![read.text.clone(), read.subject.clone(), source];
        for file in &read.attachments {
            let bytes = mail::attachment(&letter.raw, file.index).unwrap_or_default();
            all.push(file.name.clone());
            all.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        for text in all {
            let text = text.to_lowercase();
            if let Some(canary) = CANARIES.iter().find(|canary| text.contains(**canary)) {
                return about(format!("{canary} leaves"), &text);
            }
        }
        let kept: String = read.text.split_whitespace().collect();
        for words in own {
            let words: String = words.split_whitespace().collect();
            if !kept.contains(&words) {
                return about(format!("{words} is lost"), &read.text);
            }
        }
    }
    if !letters.is_empty() {
        return Ok(Came::Sent);
    }
    let effect = decision.effect.as_ref().expect("an article");
    let told = |mail: &Outgoing| matches!(&mail.kind, OutgoingKind::AutoReply { reply } if ["notSeparated", "noOwnText"].contains(&&**reply));
    if effect.articles.iter().any(|one| one.visible_for_customer) || !effect.owed.iter().any(told) {
        return about("it is not kept inside, or the agent is not notified".into(), "");
    }
    Ok(Came::Kept)
}

#[test]
fn notifications_are_cut_from_answers_of_all_mail_programs() {
    let scenes = [Scene::new(Language::En), Scene::new(Language::Ja)];
    let half = |scene: &Scene| {
        let mut kept = Vec::new();
        let mut faults = Vec::new();
        let mut count = 0;
        for (event, notification) in scene.notifications() {
            for style in &STYLES {
                let what = format!("{} of {event} in {}", style.name, scene.language.code());
                let content = content(style, &notification);
                let decision = scene.answer(&notification, &content);
                count += 1;
                match check(&decision, &OWN, &what, &content) {
                    Ok(Came::Sent) => {}
                    // A digest is about other tickets, too, and none of it is known: it stays.
                    Ok(Came::Kept) if event == "digest" => {}
                    Ok(Came::Kept) => {
                        let why = decision.why.iter().find(|why| why.step == "ownText");
                        kept.push(format!("{what}: {}", why.map_or("", |why| &why.text)));
                    }
                    Err(fault) => faults.push(fault),
                }
            }
        }
        (count, kept, faults)
    };
    let results = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(&scenes[1]));
        let one = half(&scenes[0]);
        [one, other.join().expect("no leak")]
    });
    let count: usize = results.iter().map(|(count, _, _)| count).sum();
    let kept: Vec<&String> = results.iter().flat_map(|(_, kept, _)| kept).collect();
    let faults: Vec<&str> =
        results.iter().flat_map(|(_, _, faults)| faults).map(String::as_str).collect();
    for one in &kept {
        println!("{one}");
    }
    assert!(
        faults.is_empty(),
        "{} faults in {count} answers:\n{}",
        faults.len(),
        faults.join("\n")
    );
    println!("{count} answers, {} not separated", kept.len());
    assert!(STYLES.len() >= 60);
    assert!(kept.len() * 50 <= count, "{} of {count} were not separated: {kept:#?}", kept.len());
}

/// The answer as the program writes it, with Content-Type.
fn content(style: &Style, notification: &Outgoing) -> String {
    let read = mail::parse(&notification.raw);
    let from = &read.from[0];
    let intro = style
        .intro
        .replace("{from}", &from.name)
        .replace("{address}", from.address.as_ref().unwrap().as_str())
        .replace("{subject}", &read.subject)
        .replace("{to}", "alice@agents.example")
        .replace('|', "\n");
    let mut quote: Vec<String> = read.text.trim_end().lines().map(str::to_owned).collect();
    for change in style.changes {
        apply(*change, &mut quote);
    }
    let signature = style.signature.replace('|', "\n");
    match style.mark {
        Mark::Prefix(mark) => plain(style, &intro, &quote, mark, &signature),
        Mark::Bare => plain(style, &intro, &quote, "", &signature),
        Mark::Blockquote | Mark::Paragraphs | Mark::Breaks => {
            page(style, &intro, &quote, &signature)
        }
    }
}

fn apply(change: Change, quote: &mut Vec<String>) {
    let each = |quote: &mut Vec<String>, change: &dyn Fn(&str) -> String| {
        for line in quote.iter_mut() {
            *line = change(line);
        }
    };
    match change {
        Change::Nbsp => each(quote, &|line| line.replace("  ", " \u{a0}").replace(". ", ".\u{a0}")),
        Change::Smart => each(quote, &|line| {
            line.replace(" \"", " \u{201c}")
                .replace('"', "\u{201d}")
                .replace('\'', "\u{2019}")
                .replace(" - ", " \u{2013} ")
        }),
        Change::Autolink => each(quote, &|line| {
            let words = line.split(' ').map(|word| match word.starts_with("https://") {
                true => format!("{word} <{word}>"),
                false => word.to_owned(),
            });
            words.collect::<Vec<_>>().join(" ")
        }),
        Change::Mailto => each(quote, &|line| {
            let words =
                line.split(' ').map(|word| match word.contains('@') && !word.starts_with('<') {
                    true => format!("{word}<mailto:{word}>"),
                    false => word.to_owned(),
                });
            words.collect::<Vec<_>>().join(" ")
        }),
        Change::Dense => quote.retain(|line| !line.trim().is_empty()),
        Change::Loose => {
            *quote = quote.iter().flat_map(|line| [line.clone(), String::new()]).collect()
        }
        Change::Trailing => each(quote, &|line| format!("{line} \t")),
        Change::FirstHalf => quote.truncate(quote.len().div_ceil(2)),
        Change::Flowed => {}
        Change::Wide => each(quote, &|line| {
            let wide = |c: char| match c {
                '0'..='9' | 'A'..='Z' | ':' => char::from_u32(u32::from(c) + 0xfee0).unwrap(),
                c => c,
            };
            line.chars().map(wide).collect()
        }),
        Change::Invisible => each(quote, &|line| line.replace("an", "a\u{200b}n")),
    }
}

/// Lines of at most this many columns; Japanese is broken anywhere.
fn wrap(line: &str, columns: Option<usize>) -> Vec<String> {
    let Some(columns) = columns else { return vec![line.to_owned()] };
    let width = |c: char| if c >= '\u{1100}' { 2 } else { 1 };
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in line.split_inclusive(|c: char| c == ' ' || c >= '\u{3000}') {
        let length: usize = word.chars().map(width).sum();
        if used > 0 && used + length > columns {
            lines.push(String::new());
            used = 0;
        }
        lines.last_mut().unwrap().push_str(word);
        used += length;
    }
    lines
}

fn plain(style: &Style, intro: &str, quote: &[String], mark: &str, signature: &str) -> String {
    let flowed = style.changes.contains(&Change::Flowed);
    let mut quoted = Vec::new();
    for line in quote {
        let pieces = wrap(line, style.wrap);
        let last = pieces.len() - 1;
        for (at, piece) in pieces.iter().enumerate() {
            let end = if flowed && at < last { " " } else { "" };
            let deeper = piece.starts_with('>') && !mark.is_empty();
            let mark = if deeper { mark.trim_end() } else { mark };
            quoted.push(format!("{mark}{}{end}", piece.trim_end()));
        }
    }
    let text = match style.place {
        Place::Above => {
            format!("{}\n\n{signature}\n\n{intro}{}\n", OWN.join("\n\n"), quoted.join("\n"))
        }
        Place::Below => {
            format!("{intro}{}\n\n{}\n\n{signature}\n", quoted.join("\n"), OWN.join("\n\n"))
        }
        Place::Between => {
            let (one, two) = thirds(quoted.len());
            format!(
                "{intro}{}\n\n{}\n\n{}\n\n{}\n\n{}\n\n{}\n{signature}\n",
                quoted[..one].join("\n"),
                OWN[0],
                quoted[one..two].join("\n"),
                OWN[1],
                quoted[two..].join("\n"),
                OWN[2]
            )
        }
    };
    let kind = if flowed {
        "text/plain; charset=utf-8; format=flowed"
    } else {
        "text/plain; charset=utf-8"
    };
    format!(
        "Content-Type: {kind}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}",
        text.replace('\n', "\r\n")
    )
}

/// Where answers stand between lines.
fn thirds(lines: usize) -> (usize, usize) {
    (lines / 3, lines * 2 / 3)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn page(style: &Style, intro: &str, quote: &[String], signature: &str) -> String {
    let own = |text: &str| format!("<div>{}</div>", escaped(text));
    let lines = |lines: &[String]| -> String {
        let mut page = String::new();
        for line in lines {
            let words = if line.is_empty() { "&nbsp;".into() } else { escaped(line) };
            match style.mark {
                Mark::Paragraphs => write!(page, "<p class=\"MsoNormal\">{words}</p>").unwrap(),
                _ => write!(page, "{words}<br>\r\n").unwrap(),
            }
        }
        page
    };
    let intro: String = intro.lines().map(|line| format!("{}<br>", escaped(line))).collect();
    let intro = match style.mark {
        Mark::Paragraphs => format!(
            "<div style=\"border:none;border-top:solid #E1E1E1 1.0pt\"><p class=\"MsoNormal\">{intro}</p></div>"
        ),
        _ => format!("<div class=\"attr\">{intro}</div>"),
    };
    let (open, close) = match style.mark {
        Mark::Blockquote => ("<blockquote type=\"cite\">", "</blockquote>"),
        _ => ("<div>", "</div>"),
    };
    let signature = escaped(signature).replace('\n', "<br>");
    let all = OWN.map(own).concat();
    let (one, two) = thirds(quote.len());
    let body = match style.place {
        Place::Above => format!("{all}<br>{signature}{intro}{open}{}{close}", lines(quote)),
        Place::Below => format!("{intro}{open}{}{close}{all}{signature}", lines(quote)),
        Place::Between => format!(
            "{intro}{open}{}{}{}{}{}{close}{}{signature}",
            lines(&quote[..one]),
            own(OWN[0]),
            lines(&quote[one..two]),
            own(OWN[1]),
            lines(&quote[two..]),
            own(OWN[2])
        ),
    };
    format!(
        "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<html><head><style>p {{margin: 0}}</style></head><body>{body}</body></html>\r\n"
    )
}

/// What alice sends that is no answer, or an answer with something else.
#[track_caller]
fn check_sent(content: &str, own: &[&str], files: &[&str]) {
    let scene = &*SCENE;
    let (event, notification) = &scene.notifications()[4];
    let decision = scene.answer(notification, content);
    assert_eq!(check(&decision, own, event, content), Ok(Came::Sent), "{:?}", decision.why);
    let read = mail::parse(&letters(&decision)[0].raw);
    let names: Vec<&str> = read.attachments.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, files, "{:?}", decision.why);
}

#[track_caller]
fn check_kept(content: &str, notified: Option<&str>) {
    let scene = &*SCENE;
    let decision = scene.answer(&scene.notifications()[4].1, content);
    assert!(letters(&decision).is_empty(), "{:?}", decision.why);
    let effect = decision.effect.as_ref().expect("an article");
    assert!(effect.articles.iter().all(|one| !one.visible_for_customer), "{:?}", decision.why);
    let replies = effect.owed.iter().filter_map(|mail| match &mail.kind {
        OutgoingKind::AutoReply { reply } => Some(reply.as_str()),
        _ => None,
    });
    assert_eq!(replies.collect::<Vec<_>>(), notified.into_iter().collect::<Vec<_>>());
}

fn text(text: &str) -> String {
    format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{}", text.replace('\n', "\r\n"))
}

/// A mail of these parts, each with its header fields.
fn parts(kind: &str, parts: &[&str]) -> String {
    let parts: String = parts.iter().map(|part| format!("--b\n{part}\n")).collect();
    format!("Content-Type: {kind}; boundary=b\n\n{parts}--b--\n").replace('\n', "\r\n")
}

const OWN_PART: &str =
    "Content-Type: text/plain; charset=utf-8\n\nThe replacement leaves on Monday.\n";
const FILE_PART: &str = "Content-Type: text/csv; name=prices.csv\nContent-Disposition: attachment; filename=prices.csv\n\na,b\n";

#[test]
fn words_that_a_note_has_too_are_the_agents() {
    check_sent(
        &text("Do not grant a discount? We do.\n"),
        &["Do not grant a discount? We do."],
        &[],
    );
    check_sent(
        &text("Call your boss before Friday.\n\n> Can I have my money back?\nNo.\n"),
        &["Call your boss before Friday.", "> Can I have my money back?", "No."],
        &[],
    );
}

#[test]
fn internal_text_that_was_pasted_stays_inside() {
    check_kept(
        &text(
            "As we say: Do not grant a discount ncanarytwo before Friday, whatever they threaten us with.\n",
        ),
        Some("notSeparated"),
    );
}

#[test]
fn a_translated_quote_stays_inside() {
    check_kept(
        &text(
            "Non.\n\nLe 23 nov. 2026, Helpdesk <notify@corp.example> a écrit :\n> Bonjour Alice,\n> une note a été ajoutée.\n> INTERNE : la marge est de 70 %.\n",
        ),
        Some("notSeparated"),
    );
    check_kept(
        &text(
            "Non.\n\nDe : Helpdesk <notify@corp.example>\nObjet : note\n\nBonjour Alice,\nune note a été ajoutée.\n",
        ),
        Some("notSeparated"),
    );
    check_kept(
        &text(
            "Non.\n\n> Ticket: x\n> la marge est de 70 %.\n> You get this mail because you watch this ticket (users.alice.subscriptions.events.noteAdded).\n",
        ),
        Some("notSeparated"),
    );
}

#[test]
fn a_mail_without_text_of_the_agent_is_no_answer() {
    check_kept(&text(""), Some("noOwnText"));
    check_kept(&text("Sent from my iPhone\n"), Some("noOwnText"));
    check_kept(&text("\n-- \nAlice Agent\nCorp\n"), Some("noOwnText"));
    check_kept(&text("> A note was added to this ticket.\n"), Some("noOwnText"));
    check_kept(
        "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIB\r\n",
        Some("noOwnText"),
    );
    check_kept(
        "Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\neJ8+IgEA\r\n",
        Some("noOwnText"),
    );
    check_kept(
        &parts(
            "multipart/encrypted; protocol=\"application/pgp-encrypted\"",
            &[
                "Content-Type: application/pgp-encrypted\n\nVersion: 1\n",
                "Content-Type: application/octet-stream; name=encrypted.asc\n\n-----BEGIN PGP MESSAGE-----\n\nhQ\n-----END PGP MESSAGE-----\n",
            ],
        ),
        Some("noOwnText"),
    );
    check_kept(
        &text("-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PGP MESSAGE-----\n"),
        Some("noOwnText"),
    );
    check_kept(
        &parts("multipart/mixed", &["Content-Type: text/plain\n\n\n", FILE_PART]),
        Some("noOwnText"),
    );
    check_kept(
        &parts(
            "multipart/mixed",
            &[
                "Content-Type: text/plain\n\n[cid:logo@x]\n",
                "Content-Type: image/png\nContent-ID: <logo@x>\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n",
            ],
        ),
        Some("noOwnText"),
    );
}

#[test]
fn what_a_calendar_or_a_mailbox_writes_is_no_answer() {
    let reply = "BEGIN:VCALENDAR\nMETHOD:REPLY\nBEGIN:VEVENT\nATTENDEE;PARTSTAT=ACCEPTED:mailto:alice@agents.example\nEND:VEVENT\nEND:VCALENDAR\n";
    check_kept(
        &format!(
            "Content-Type: text/calendar; method=REPLY; charset=utf-8\r\n\r\n{}",
            reply.replace('\n', "\r\n")
        ),
        None,
    );
    let part = format!("Content-Type: text/calendar; method=REPLY; charset=utf-8\n\n{reply}");
    check_kept(
        &parts(
            "multipart/alternative",
            &["Content-Type: text/plain\n\nAlice Agent accepted.\n", &part],
        ),
        None,
    );
    check_kept(
        &parts(
            "multipart/report; report-type=disposition-notification",
            &[
                "Content-Type: text/plain\n\nThe mail was read.\n",
                "Content-Type: message/disposition-notification\n\nFinal-Recipient: rfc822; alice@agents.example\nDisposition: manual-action/MDN-sent-manually; displayed\n",
            ],
        ),
        None,
    );
}

#[test]
fn files_go_along_but_no_copy_of_a_notification() {
    let scene = &*SCENE;
    let ours = scene.notifications()[4].1.raw.clone();
    let ours = String::from_utf8(ours).unwrap().replace("\r\n", "\n");
    let enclosed =
        format!("Content-Type: message/rfc822\nContent-Disposition: attachment\n\n{ours}");
    let nested = format!(
        "Content-Type: message/rfc822\n\nSubject: Fwd\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nsee\n--c\n{enclosed}\n--c--\n"
    );
    let named = format!(
        "Content-Type: application/octet-stream; name=note.eml\nContent-Disposition: attachment; filename=note.eml\n\n{ours}"
    );
    let rest = "Content-Type: text/html; name=ATT00001.htm; charset=utf-8\nContent-Disposition: attachment; filename=ATT00001.htm\n\n<p>Do not grant a discount ncanarytwo before <b>Friday</b>, whatever they threaten us with</p>\n";
    let tnef = "Content-Type: application/ms-tnef; name=winmail.dat\nContent-Disposition: attachment; filename=winmail.dat\nContent-Transfer-Encoding: base64\n\neJ8+IgEA\n";
    let own = ["The replacement leaves on Monday."];
    check_sent(&parts("multipart/mixed", &[OWN_PART, FILE_PART]), &own, &["prices.csv"]);
    for copy in [enclosed.as_str(), &nested, &named, rest, tnef] {
        check_sent(&parts("multipart/mixed", &[OWN_PART, FILE_PART, copy]), &own, &["prices.csv"]);
    }
    let inline = format!(
        "Content-Type: text/plain; charset=utf-8\n\n{}",
        mail::parse(&scene.notifications()[4].1.raw).text
    );
    check_sent(&parts("multipart/mixed", &[OWN_PART, FILE_PART, &inline]), &own, &["prices.csv"]);
    let other = "Content-Type: message/rfc822\n\nSubject: Delivery\n\nIt leaves on Monday.\n";
    check_sent(&parts("multipart/mixed", &[OWN_PART, other]), &own, &["Delivery.eml"]);
}

/// What is done to a quote, at random.
#[derive(Debug, Clone)]
struct Treatment {
    mark: &'static str,
    columns: usize,
    /// Lines that the agent deleted, as bits.
    deleted: u64,
    /// Every so many words one is another.
    altered: usize,
    /// Lines behind which the agent wrote.
    answers: [usize; 2],
}

fn treatments() -> impl Strategy<Value = (usize, Treatment)> {
    let marks = prop::sample::select(vec!["> ", ">", ">> ", "＞", "AA> ", ""]);
    let altered = prop::sample::select(vec![0_usize, 0, 0, 3, 7, 20]);
    let deleted = prop_oneof![Just(0_u64), any::<u64>()];
    (0..12_usize, marks, 30..100_usize, deleted, altered, [0..30_usize, 0..30_usize]).prop_map(
        |(which, mark, columns, deleted, altered, answers)| {
            // Without marks only whole quotes: a few words alone are no quote that anything tells
            // from the agent's own.
            let (deleted, altered) = if mark.is_empty() { (0, 0) } else { (deleted, altered) };
            (which, Treatment { mark, columns, deleted, altered, answers })
        },
    )
}

fn treated(treatment: &Treatment, text: &str) -> String {
    let mut lines = Vec::new();
    let mut word_count = 0;
    for line in text.lines() {
        let words = line.split(' ').map(|word| {
            word_count += 1;
            let alter = treatment.altered > 0 && word_count % treatment.altered == 0;
            if alter { "traduit" } else { word }
        });
        let line = words.collect::<Vec<_>>().join(" ");
        lines.extend(wrap(&line, Some(treatment.columns)));
    }
    let mut text = format!("{}\n\n", OWN[0]);
    for (at, line) in lines.iter().enumerate() {
        if treatment.deleted >> (at % 64) & 1 == 0 {
            text.push_str(&format!("{}{}\n", treatment.mark, line.trim_end()));
        }
        for (answer, place) in treatment.answers.iter().enumerate() {
            if *place == at {
                text.push_str(&format!("\n{}\n\n", OWN[answer + 1]));
            }
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// However a quote was cut, wrapped, altered and answered: nothing leaves, nothing is lost.
    #[test]
    fn nothing_leaves_however_it_is_quoted((which, treatment) in treatments()) {
        let scene = &*SCENE;
        let notifications = scene.notifications();
        let (event, notification) = &notifications[which % notifications.len()];
        let text = treated(&treatment, &mail::parse(&notification.raw).text);
        let content = format!(
            "Content-Type: text/plain; charset=utf-8\r\n\r\n{}",
            text.replace('\n', "\r\n")
        );
        let own: Vec<&str> = OWN.into_iter().filter(|words| text.contains(words)).collect();
        let decision = scene.answer(notification, &content);
        let came = check(&decision, &own, event, &content);
        prop_assert!(came.is_ok(), "{}", came.unwrap_err());
    }
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| Scene::new(Language::En));
