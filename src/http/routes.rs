//! The one table of routes: method, path, who may, what it is for, and what answers.
//!
//! Architecture invariant: there is no route beside this table. The router, the access rules,
//! the OpenAPI document and `docs/api.md` are all made from it.

use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, Extension, Request, State};
use axum::handler::Handler;
use axum::http::header::ACCEPT;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyDeadlineLayer;

use super::api::{
    accounts, audience, bulk, config, customers, explain, mails, notifications, oauth, outbox,
    people, quarantine, replay, tickets,
};
use super::dto::PageView;
use super::dto::audience::AudienceView;
use super::dto::config::{CheckView, FilesView, ReloadView};
use super::dto::customer::{CustomerDetail, KnownCustomerView};
use super::dto::mail::{MailView, ReleasedView};
use super::dto::notification::{NotificationView, ReadRequest};
use super::dto::oauth::{CodeRequest, SignInRequest, SignInView, StandingView};
use super::dto::outbox::{OutgoingView, OwedHookView};
use super::dto::people::{MeView, UserDetail, UserView};
use super::dto::status::{BackupRequest, DoneView, StatusView, TrialView};
use super::dto::ticket::{
    BulkRequest, BulkView, NoteRequest, PreviewView, QueueCountView, ReplyRequest, TicketDetail,
    TicketPatch, TicketView,
};
use super::pages::{self, sign_in};
use super::problem::Problem;
use super::{
    ANSWER_TIMEOUT_SECS, BACKUP_TIMEOUT_SECS, BODY_BYTES_MAX, MAIL_BODY_BYTES_MAX,
    READ_TIMEOUT_SECS, REPLAY_TIMEOUT_SECS, Web, guard, once, ops,
};
use crate::core::config::Role;
use crate::http::api::BodyLimit;
use crate::http::explain::{ExplainRequest, Explanation};
use crate::http::replay::{ReplayRequest, ReplayView};

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// A token of role `admin`; or whoever asks from this machine itself, while neither an external
    /// URL nor a proxy is declared.
    AdminOrLoopback,
    /// A token of this role or a higher one.
    Role(Role),
    /// A page: a session of this role or a higher one, or everybody.
    Page(Option<Role>),
}

/// What becomes of a request that is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The same: it only looks, or says how something is to be.
    Same,
    /// With a key nothing more: its answer is written in the transaction of its effect.
    Committed,
    /// With a key nothing more: its answer is kept after its effect.
    Kept,
}

/// What travels in a body.
#[derive(Clone, Copy)]
pub enum Payload {
    /// Nothing.
    None,
    /// JSON of this schema.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Bytes of this media type.
    Bytes(&'static str),
}

/// One route.
pub struct Route {
    /// Method.
    pub method: Method,
    /// Path with its parameters in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Names and meanings of what may stand in the query.
    pub query: &'static [(&'static str, &'static str)],
    /// What it takes.
    pub takes: Payload,
    /// What it answers.
    pub gives: Payload,
    /// What becomes of it when it is asked for again.
    pub again: Again,
    /// Whether a mail comes in its body, which is larger then.
    pub takes_mail: bool,
    /// Seconds until it must be answered.
    pub within_secs: u64,
    handler: MethodRouter<Web>,
}

/// Reads.
const VIEWER: Access = Access::Role(Role::Viewer);
/// Works on tickets.
const USER: Access = Access::Role(Role::User);
/// Deals with quarantine and outbox.
const MANAGER: Access = Access::Role(Role::Manager);
/// Everything.
const ADMIN: Access = Access::Role(Role::Admin);

/// A page that everybody may see.
const OPEN_PAGE: Access = Access::Page(None);
/// A page to read.
const VIEWER_PAGE: Access = Access::Page(Some(Role::Viewer));
/// A page to work on.
const USER_PAGE: Access = Access::Page(Some(Role::User));
/// A page of those who deal with quarantine and outbox.
const MANAGER_PAGE: Access = Access::Page(Some(Role::Manager));
/// A page of those who run the desk.
const ADMIN_PAGE: Access = Access::Page(Some(Role::Admin));
/// Until a trial of an account or a server must have ended.
const PROBE_TIMEOUT_SECS: u64 = 180;

/// What a check of files understands.
const CHECK: &[(&str, &str)] =
    &[("withSignIns", "`true`: also sign-ins of people that this daemon knows and that end soon")];

/// What every listing understands.
const PAGE: &[(&str, &str)] =
    &[("limit", "rows, at most 200; default 50"), ("cursor", "`next` of the page before")];
const MAILS: &[(&str, &str)] = &[
    ("outcome", "only those of this outcome"),
    ("account", "only those of this account"),
    ("limit", "rows, at most 200; default 50"),
    ("cursor", "`next` of the page before"),
];
const TICKETS: &[(&str, &str)] = &[
    ("queue", "only those in this queue"),
    ("state", "only those in this state, or in one of several: `new,open`"),
    ("owner", "only those of this owner; empty for those of nobody"),
    ("customer", "only those of this customer's address"),
    (
        "q",
        "only those with all these words in number, title, customer or articles; a word is found by its beginning, Japanese by any run of characters",
    ),
    ("sort", "`created` (default), `updated` or `priority`"),
    ("order", "`desc` (default) or `asc`"),
    ("limit", "rows, at most 200; default 50"),
    ("cursor", "`next` of the page before"),
];
const CUSTOMERS: &[(&str, &str)] = &[
    ("q", "only those with all these words in address, name or company"),
    ("limit", "rows, at most 200; default 50"),
    ("cursor", "`next` of the page before"),
];
const HISTORY: &[(&str, &str)] = &[
    ("limit", "tickets, at most 200; default 50"),
    ("cursor", "`tickets.next` of the page before"),
];
const AUDIENCE: &[(&str, &str)] = &[
    ("event", "the event, as in `subscriptions`"),
    ("by", "name of the user who does it; default the desk itself"),
];
const NOTIFICATIONS: &[(&str, &str)] = &[
    ("user", "name of the user"),
    ("limit", "rows, at most 200; default 50"),
    ("cursor", "`next` of the page before"),
];
const OUTBOX: &[(&str, &str)] = &[
    ("state", "`due`, `sent` or `dead`; default all"),
    ("limit", "rows, at most 200; default 50"),
    ("cursor", "`next` of the page before"),
];
const CALLBACK: &[(&str, &str)] = &[
    ("state", "which sign-in it belongs to"),
    ("code", "what the provider gave"),
    ("error", "why it gave nothing"),
];
const RELOAD: &[(&str, &str)] =
    &[("allowMassDelete", "`true` lifts the guard against removing most accounts for this once")];
const FILES: &[(&str, &str)] =
    &[("revision", "begin of the hash of another revision; the last ten are kept")];
const EXPLAIN: &[(&str, &str)] =
    &[("account", "name of the mail account it is taken to come through")];

/// Every route, in the order of the documentation.
#[rustfmt::skip]
pub fn all() -> Vec<Route> {
    vec![
        get("/metrics", Access::Open, "Metrics in the text format of Prometheus", ops::metrics).bytes(crate::metrics::CONTENT_TYPE),
        get("/-/healthy", Access::Open, "Whether the daemon turns and its store answers", ops::healthy).bytes("text/plain"),
        get("/-/ready", Access::Open, "Whether a revision was applied", ops::ready).bytes("text/plain"),
        post("/-/reload", Access::AdminOrLoopback, "Look at the configuration files now; 422 lists what is wrong with them, 409 says that the mass-delete guard holds the revision back", ops::reload).kept().query(RELOAD).json::<ReloadView>(),
        get(oauth::CALLBACK, Access::Open, "Where a browser comes back to after a person signed in at a provider", oauth::callback).query(CALLBACK).bytes("text/plain"),
        get("/api/v1/openapi.json", Access::Open, "This interface as an OpenAPI 3.1 document", super::openapi::serve).json::<serde_json::Value>(),
        get("/api/v1/status", VIEWER, "How the daemon, its accounts and its SMTP servers are", ops::status).json::<StatusView>(),
        post("/api/v1/accounts/{name}/fetch", USER, "Look into a mailbox now", accounts::fetch).kept().json::<DoneView>(),
        post("/api/v1/accounts/{name}/test", MANAGER, "Try a mail account step by step; nothing is fetched", accounts::test).json::<TrialView>().within(PROBE_TIMEOUT_SECS),
        post("/api/v1/servers/{name}/test", MANAGER, "Try an SMTP server step by step; no mail is sent", accounts::test_server).json::<TrialView>().within(PROBE_TIMEOUT_SECS),

        get("/api/v1/me", VIEWER, "Whose token this is, its role, and everything that it opens", people::me).json::<MeView>(),
        get("/api/v1/users", VIEWER, "The people of the desk, in the order of their names", people::list).query(PAGE).json::<PageView<UserView, String>>(),
        get("/api/v1/users/{name}", USER, "One of them, with how much rang for him and was not read", people::show).json::<UserDetail>(),
        delete("/api/v1/users/{name}/sessions", ADMIN, "End every session of one of them", people::sign_out).json::<DoneView>(),

        get("/api/v1/oauth", VIEWER, "How everybody who logs in with OAuth2 stands, and when each thing expires", oauth::list).query(PAGE).json::<PageView<StandingView, String>>(),
        post("/api/v1/oauth/logins", ADMIN, "Begin a sign-in with OAuth2", oauth::begin).kept().takes::<SignInRequest>().json::<SignInView>(),
        get("/api/v1/oauth/logins/{id}", ADMIN, "What came of a sign-in: `waiting` or done; 409 says why it failed", oauth::show).json::<DoneView>(),
        post("/api/v1/oauth/codes", ADMIN, "Redeem the code that a browser brought to the command", oauth::code).kept().takes::<CodeRequest>().json::<DoneView>(),

        get("/api/v1/tickets", VIEWER, "Tickets, newest first unless asked otherwise", tickets::list).query(TICKETS).json::<PageView<TicketView, String>>(),
        get("/api/v1/queues", VIEWER, "How many tickets lie in each queue and state; a queue without any is named with none", tickets::counts).query(PAGE).json::<PageView<QueueCountView, String>>(),
        post("/api/v1/tickets/bulk", USER, "Change several tickets, each for itself, and say what came of each", bulk::change).kept().takes::<BulkRequest>().json::<BulkView>(),
        get("/api/v1/tickets/{number}", VIEWER, "One ticket with its articles and history", tickets::show).json::<TicketDetail>(),
        get("/api/v1/tickets/{number}/audience", MANAGER, "Who would be told of an event on a ticket, who would not, and which line decides it", audience::show).query(AUDIENCE).json::<AudienceView>(),
        patch("/api/v1/tickets/{number}", USER, "Change a ticket: all of it or nothing", tickets::change).once().takes::<TicketPatch>().json::<TicketView>(),
        post("/api/v1/tickets/{number}/notes", USER, "Add a note", tickets::note).once().takes::<NoteRequest>().json::<TicketView>(),
        post("/api/v1/tickets/{number}/replies", USER, "Send an answer to the customer", tickets::reply).once().takes::<ReplyRequest>().json::<TicketView>(),
        post("/api/v1/tickets/{number}/replies/preview", USER, "What an answer would look like, with salutation and signature; nothing is sent", tickets::preview).takes::<ReplyRequest>().json::<PreviewView>(),
        put("/api/v1/tickets/{number}/watchers/{who}", USER, "Let an agent or a customer follow a ticket", tickets::watch).json::<TicketView>(),
        delete("/api/v1/tickets/{number}/watchers/{who}", USER, "Let nobody of this name follow a ticket", tickets::unwatch).json::<TicketView>(),
        get("/api/v1/tickets/{number}/articles/{id}/html", VIEWER, "The HTML of a mail, written anew without scripts, forms and remote content; 404 if it has none", pages::ticket::alone).html(),
        get("/api/v1/tickets/{number}/articles/{id}/raw", MANAGER, "The mail of an article as it came or went", tickets::raw).bytes("message/rfc822"),
        get("/api/v1/tickets/{number}/articles/{id}/attachments/{index}", VIEWER, "One attachment of an article; attached mails and reports only for managers", tickets::attachment).bytes("application/octet-stream"),

        get("/api/v1/customers", VIEWER, "Customers, declared or remembered from mail, in the order of their addresses", customers::list).query(CUSTOMERS).json::<PageView<KnownCustomerView, String>>(),
        get("/api/v1/customers/{address}", VIEWER, "One customer with his tickets, last changed first", customers::show).query(HISTORY).json::<CustomerDetail>(),

        get("/api/v1/mails", VIEWER, "What became of each mail, newest first", mails::list).query(MAILS).json::<PageView<MailView>>(),
        get("/api/v1/mails/{id}", VIEWER, "What became of one mail and why", mails::show).json::<MailView>(),

        get("/api/v1/mails/{id}/raw", MANAGER, "The bytes of a mail", mails::raw).bytes("message/rfc822"),

        get("/api/v1/notifications", USER, "What rang for a user on the page, newest first", notifications::list).query(NOTIFICATIONS).json::<PageView<NotificationView>>(),
        post("/api/v1/notifications/read", USER, "Mark what rang for a user as read", notifications::read).kept().takes::<ReadRequest>().json::<DoneView>(),

        get("/api/v1/outbox", MANAGER, "Mail we owe, newest first", outbox::list).query(OUTBOX).json::<PageView<OutgoingView>>(),
        post("/api/v1/outbox/{id}/retry", MANAGER, "Try a mail again now, also one that was given up", outbox::retry).kept().json::<OutgoingView>(),
        delete("/api/v1/outbox/{id}", MANAGER, "Give a mail up", outbox::abandon).json::<OutgoingView>(),
        get("/api/v1/outbox/webhooks", MANAGER, "Messages we owe to webhooks, newest first", outbox::list_hooks).query(OUTBOX).json::<PageView<OwedHookView>>(),
        post("/api/v1/outbox/webhooks/{id}/retry", MANAGER, "Try a message to a webhook again now, also one that was given up", outbox::retry_hook).kept().json::<OwedHookView>(),
        delete("/api/v1/outbox/webhooks/{id}", MANAGER, "Give a message to a webhook up", outbox::abandon_hook).json::<OwedHookView>(),

        get("/api/v1/quarantine", MANAGER, "Mails kept for a person to look at, newest first", quarantine::list).query(PAGE).json::<PageView<MailView>>(),
        get("/api/v1/quarantine/{id}", MANAGER, "One quarantined mail and why it is there", quarantine::show).json::<MailView>(),
        get("/api/v1/quarantine/{id}/raw", MANAGER, "The bytes of a quarantined mail", quarantine::raw).bytes("message/rfc822"),
        post("/api/v1/quarantine/{id}/release", MANAGER, "Judge a quarantined mail again and let it go on", quarantine::release).kept().json::<ReleasedView>(),
        delete("/api/v1/quarantine/{id}", MANAGER, "Take a mail off the list without releasing it", quarantine::abandon).json::<DoneView>(),

        get("/api/v1/config", ADMIN, "The configuration that runs, secrets as references", config::show).json::<serde_json::Value>(),
        get("/api/v1/config/files", ADMIN, "The files of the revision that was applied last", config::files).query(FILES).json::<FilesView>(),
        post("/api/v1/check", ADMIN, "What is wrong with this configuration", config::check).query(CHECK).takes_bytes("application/yaml").json::<CheckView>(),
        post("/api/v1/explain", USER, "What would become of this mail, with what the store knows; nothing is recorded", explain::explain).query(EXPLAIN).takes_bytes("message/rfc822").takes_mail().json::<Explanation>(),
        post("/api/v1/explain/files", ADMIN, "What would become of this mail under these files, with what the store knows; nothing is recorded", replay::explain).takes::<ExplainRequest>().takes_mail().json::<Explanation>(),
        post("/api/v1/replay", ADMIN, "Which of the newest mails would fare differently under these files; nothing is recorded", replay::replay).takes::<ReplayRequest>().takes_mail().json::<ReplayView>().within(REPLAY_TIMEOUT_SECS),
        post("/api/v1/store/backup", ADMIN, "Copy the store into an empty directory on the machine of the daemon", ops::backup).kept().takes::<BackupRequest>().json::<DoneView>().within(BACKUP_TIMEOUT_SECS),

        get("/assets/{file}", OPEN_PAGE, "Style, script and icon of the page", pages::assets::serve).bytes("text/css"),
        get("/sign-in", OPEN_PAGE, "The form to sign in", sign_in::form).html(),
        post("/sign-in", OPEN_PAGE, "Sign in with a password", sign_in::submit).html(),
        get("/sign-in/oidc", OPEN_PAGE, "Go to the declared OpenID provider", pages::oidc::begin).html(),
        get("/sign-in/oidc/callback", OPEN_PAGE, "Come back from the OpenID provider", pages::oidc::back).html(),
        post("/sign-out", VIEWER_PAGE, "End this session", sign_in::out).html(),
        post("/sign-out/everywhere", VIEWER_PAGE, "End every session of this user", sign_in::out_everywhere).html(),
        get("/me", VIEWER_PAGE, "Who one is", pages::me::show).html(),
        get("/", VIEWER_PAGE, "Tickets: queues, filter, search", pages::tickets::show).html(),
        post("/tickets/bulk", USER_PAGE, "Close or move several tickets", pages::tickets::bulk).html(),
        get("/tickets/{number}", VIEWER_PAGE, "One ticket", pages::ticket::show).html(),
        post("/tickets/{number}/reply", USER_PAGE, "Send an answer", pages::ticket::reply).html(),
        post("/tickets/{number}/preview", USER_PAGE, "Look at an answer before it is sent", pages::ticket::preview).html(),
        post("/tickets/{number}/note", USER_PAGE, "Add a note", pages::ticket::note).html(),
        post("/tickets/{number}/change", USER_PAGE, "Change a ticket: all of it or nothing", pages::ticket::change).html(),
        post("/tickets/{number}/merge", USER_PAGE, "Make a ticket part of another one", pages::ticket::merge).html(),
        post("/tickets/{number}/watch", USER_PAGE, "Follow a ticket, or let somebody follow it", pages::ticket::watch).html(),
        post("/tickets/{number}/unwatch", USER_PAGE, "Follow a ticket no longer", pages::ticket::unwatch).html(),
        get("/tickets/{number}/audience", MANAGER_PAGE, "Who would be told of an event on a ticket, who would not, and which line decides it", pages::audience::show).html(),
        get("/tickets/{number}/articles/{id}/html", VIEWER_PAGE, "The HTML of a mail, for a frame that may do nothing", pages::ticket::frame).html(),
        get("/tickets/{number}/articles/{id}/source", MANAGER_PAGE, "The mail of an article, to be looked at", pages::ticket::source).bytes("text/plain"),
        get("/tickets/{number}/articles/{id}/raw", MANAGER_PAGE, "The mail of an article, to be kept", pages::ticket::download).bytes("message/rfc822"),
        get("/tickets/{number}/articles/{id}/attachments/{index}", VIEWER_PAGE, "One attachment of an article; attached mails and reports only for managers", pages::ticket::attachment).bytes("application/octet-stream"),
        get("/customers", VIEWER_PAGE, "Customers: search, and when each was seen", pages::customers::list).html(),
        get("/customers/{address}", VIEWER_PAGE, "One customer with his tickets", pages::customers::show).html(),
        get("/notifications", VIEWER_PAGE, "What rang for the reader, and why", pages::notifications::list).html(),
        post("/notifications/read", VIEWER_PAGE, "Mark what rang as read", pages::notifications::read).html(),
        get("/mails", VIEWER_PAGE, "What became of each mail", pages::mails::list).html(),
        get("/mails/{id}", VIEWER_PAGE, "What became of one mail and why; for managers also its source", pages::mails::show).html(),
        get("/mails/{id}/raw", MANAGER_PAGE, "The bytes of a mail", pages::mails::raw).bytes("message/rfc822"),
        get("/quarantine", MANAGER_PAGE, "Mails kept for a person to look at", pages::quarantine::list).html(),
        post("/quarantine/{id}/release", MANAGER_PAGE, "Judge a quarantined mail again and let it go on", pages::quarantine::release).html(),
        post("/quarantine/{id}/drop", MANAGER_PAGE, "Take a mail off the list without releasing it", pages::quarantine::abandon).html(),
        get("/outbox", MANAGER_PAGE, "Mail we owe", pages::outbox::list).html(),
        post("/outbox/{id}/retry", MANAGER_PAGE, "Try a mail again now, also one that was given up", pages::outbox::retry).html(),
        post("/outbox/{id}/drop", MANAGER_PAGE, "Give a mail up", pages::outbox::abandon).html(),
        get("/accounts", VIEWER_PAGE, "How mail accounts and SMTP servers are", pages::accounts::list).html(),
        post("/accounts/{name}/fetch", USER_PAGE, "Look into a mailbox now", pages::accounts::fetch).html(),
        post("/accounts/{name}/test", MANAGER_PAGE, "Try a mail account step by step", pages::accounts::test_account).html().within(PROBE_TIMEOUT_SECS),
        post("/servers/{name}/test", MANAGER_PAGE, "Try an SMTP server step by step; no mail is sent", pages::accounts::test_server).html().within(PROBE_TIMEOUT_SECS),
        get("/configuration", ADMIN_PAGE, "Revision, what was refused and where, what the last reload changed, files", pages::configuration::show).html(),
        post("/configuration/reload", ADMIN_PAGE, "Look at the configuration files now", pages::configuration::reload).html(),
    ]
}

/// Makes the router from the table.
pub fn router(web: Web) -> Router {
    let mut router = Router::new();
    for route in all() {
        let admit = from_fn_with_state((web.clone(), route.access), guard::admit);
        let in_time = from_fn_with_state(Duration::from_secs(route.within_secs), in_time);
        let handler = route.handler;
        let handler: MethodRouter<Web> = match route.takes_mail {
            true => limited(handler, MAIL_BODY_BYTES_MAX)
                .layer(from_fn_with_state(web.clone(), with_room)),
            false => limited(handler, BODY_BYTES_MAX),
        };
        let handler = match route.again {
            Again::Same | Again::Committed => handler,
            Again::Kept => handler.layer(from_fn_with_state(web.clone(), once::answer)),
        };
        router = router.route(route.path, handler.layer(in_time).layer(admit));
    }
    let for_people = from_fn_with_state(web.clone(), for_people);
    router
        .fallback(nothing_here.layer(for_people.clone()))
        .method_not_allowed_fallback(wrong_method.layer(for_people))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(RequestBodyDeadlineLayer::new(Duration::from_secs(READ_TIMEOUT_SECS)))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(web.clone(), guard::observe))
        .with_state(web)
}

/// Bounds the body, and lets a refusal name the bound.
fn limited(handler: MethodRouter<Web>, bytes_max: usize) -> MethodRouter<Web> {
    let handler: MethodRouter<Web> = handler.layer(Extension(BodyLimit(bytes_max)));
    handler.layer(DefaultBodyLimit::max(bytes_max))
}

/// Name of a role as in YAML.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::User => "user",
        Role::Manager => "manager",
        Role::Admin => "admin",
    }
}

/// The page `docs/api.md`.
pub fn documentation() -> String {
    let mut page = String::from(
        "# HTTP interface\n\n\
         `GET /api/v1/openapi.json` describes every field. A request carries its token as\n\
         `Authorization: Bearer TOKEN`; tokens are declared under `apiTokens` by their SHA-256, and the\n\
         commands on the same machine read `api-token` in the data directory. Roles include those\n\
         before them: viewer, user, manager, admin. Listings answer `items` and `next`; pass `next`\n\
         as `cursor` for the following page. Errors are `application/problem+json` (RFC 9457).\n\n\
         Every `POST`, and the `PATCH` of a ticket, may bear the header `Idempotency-Key` (1 to 255 bytes):\n\
         for 24 hours, also after a restart, the same request with the same key, from the same token, is\n\
         answered as before and changes nothing. Another request with that key is refused (422). What was\n\
         refused changed nothing and may be tried again with its key. `PUT` and `DELETE` have the same effect\n\
         when they are repeated, and so has a `POST` that only looks: preview, test, check, explain, replay.\n\n\
         A body may have 1 MiB, and 48 MiB where a mail or the files of two desks come in it (explain,\n\
         replay); it must have come within 10 seconds. What is larger is refused (413).\n\n\
         This page is made from the table in `src/http/routes.rs`.\n\n",
    );
    list(&mut page, |route| !route.access.is_page());
    page.push_str(
        "\n## Pages\n\n\
         For people, in a browser. A page takes the cookie of somebody who has signed in, never a\n\
         token; `/api/v1` takes a token, never a cookie. A form carries the token of its session in\n\
         the field `csrf`. Who is not signed in is sent to `/sign-in`. Pages are served under the\n\
         name given with `--external-url`, under addresses and under `localhost`, and under no other\n\
         name (421).\n\n",
    );
    list(&mut page, |route| route.access.is_page());
    page
}

fn list(page: &mut String, which: impl Fn(&Route) -> bool) {
    page.push_str("| method | path | role | what it does |\n|---|---|---|---|\n");
    for route in all().iter().filter(|route| which(route)) {
        let (method, path, access) = (&route.method, route.path, route.access.words());
        page.push_str(&format!("| {method} | `{path}` | {access} | {} |\n", route.summary));
    }
}

impl Access {
    /// Whether it is a page for people.
    pub fn is_page(&self) -> bool {
        matches!(self, Access::Page(_))
    }

    /// In words, for the documentation.
    pub fn words(&self) -> &'static str {
        match self {
            Access::Open => "open",
            Access::AdminOrLoopback => {
                "admin; from this machine none, without `--external-url` and `--trusted-proxies`"
            }
            Access::Role(role) | Access::Page(Some(role)) => role_name(*role),
            Access::Page(None) => "open",
        }
    }
}

impl Route {
    fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Route {
        self.query = query;
        self
    }

    fn takes<T: JsonSchema + Any>(mut self) -> Route {
        self.takes = Payload::Json(|generator| generator.subschema_for::<T>());
        self
    }

    fn takes_mail(mut self) -> Route {
        self.takes_mail = true;
        self
    }

    fn within(mut self, secs: u64) -> Route {
        self.within_secs = secs;
        self
    }

    fn once(mut self) -> Route {
        self.again = Again::Committed;
        self
    }

    fn kept(mut self) -> Route {
        self.again = Again::Kept;
        self
    }

    fn takes_bytes(mut self, media_type: &'static str) -> Route {
        self.takes = Payload::Bytes(media_type);
        self
    }

    fn json<T: JsonSchema + Any>(mut self) -> Route {
        self.gives = Payload::Json(|generator| generator.subschema_for::<T>());
        self
    }

    fn html(self) -> Route {
        self.bytes("text/html")
    }

    fn bytes(mut self, media_type: &'static str) -> Route {
        self.gives = Payload::Bytes(media_type);
        self
    }
}

fn route<H: Handler<T, Web>, T: 'static>(
    method: Method,
    path: &'static str,
    access: Access,
    summary: &'static str,
    handler: H,
) -> Route {
    let filter = MethodFilter::try_from(method.clone()).expect("a method of the table is known");
    Route {
        method,
        path,
        access,
        summary,
        query: &[],
        takes: Payload::None,
        gives: Payload::None,
        again: Again::Same,
        takes_mail: false,
        within_secs: ANSWER_TIMEOUT_SECS,
        handler: on(filter, handler),
    }
}

macro_rules! by_method {
    ($($name:ident $method:ident),*) => {$(
        fn $name<H: Handler<T, Web>, T: 'static>(
            path: &'static str,
            access: Access,
            summary: &'static str,
            handler: H,
        ) -> Route {
            route(Method::$method, path, access, summary, handler)
        }
    )*};
}
by_method!(get GET, post POST, put PUT, patch PATCH, delete DELETE);

/// Somebody who mistypes the address of a page gets a page.
async fn for_people(State(web): State<Web>, request: Request, next: Next) -> Response {
    let accepts = request.headers().get(ACCEPT).and_then(|accepts| accepts.to_str().ok());
    let browses = accepts.is_some_and(|accepts| accepts.contains("text/html"));
    let asks = matches!(*request.method(), Method::GET | Method::HEAD);
    if browses && asks && !request.uri().path().starts_with("/api/") {
        pages::door::admit(&web, None, request, next).await
    } else {
        next.run(request).await
    }
}

async fn nothing_here(guest: Option<Extension<pages::door::Guest>>) -> Problem {
    pointing(guest, Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
}

async fn wrong_method(guest: Option<Extension<pages::door::Guest>>) -> Problem {
    let detail = "this path does not know this method";
    pointing(guest, Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail))
}

/// A program is told where it finds what there is.
fn pointing(guest: Option<Extension<pages::door::Guest>>, problem: Problem) -> Problem {
    match guest {
        Some(_) => problem,
        None => problem.hint("GET /api/v1/openapi.json lists what there is"),
    }
}

/// How often a mail is in memory while it is judged: as it was sent, and decoded.
const COPIES: u64 = 2;

/// Takes room for a body with a mail before it is read.
async fn with_room(State(web): State<Web>, request: Request, next: Next) -> Response {
    let longest = MAIL_BODY_BYTES_MAX as u64;
    // A body of unknown length may be the longest.
    let bytes = request.body().size_hint().upper().unwrap_or(longest).min(longest);
    match web.mails.take(bytes * COPIES).await {
        Ok(_room) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("no answer within {} seconds", limit.as_secs());
            Problem::new(StatusCode::GATEWAY_TIMEOUT, detail).into_response()
        }
    }
}

// The message of a panic may hold anything; it goes to the log by the panic hook, not out.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_stands_there_once() {
        let mut seen = BTreeSet::new();
        for route in all() {
            assert!(seen.insert((route.method.to_string(), route.path)), "{}", route.path);
        }
    }

    #[test]
    fn only_what_machines_need_is_open() {
        let open: Vec<_> = all()
            .iter()
            .filter(|route| route.access == Access::Open)
            .map(|route| route.path)
            .collect();
        assert_eq!(
            open,
            ["/metrics", "/-/healthy", "/-/ready", "/oauth2/callback", "/api/v1/openapi.json"]
        );
    }

    #[test]
    fn everybody_may_see_how_to_sign_in() {
        let mut open = all();
        open.retain(|route| route.access == OPEN_PAGE);
        let open: Vec<_> = open.iter().map(|route| route.path).collect();
        assert_eq!(
            open,
            ["/assets/{file}", "/sign-in", "/sign-in", "/sign-in/oidc", "/sign-in/oidc/callback",]
        );
    }

    #[test]
    fn viewers_only_read() {
        for route in all().iter().filter(|route| route.access == VIEWER) {
            assert_eq!(route.method, Method::GET, "{}", route.path);
        }
    }

    /// What may be asked twice without a key: it changes nothing.
    const ONLY_LOOKS: [&str; 7] = [
        "/api/v1/accounts/{name}/test",
        "/api/v1/servers/{name}/test",
        "/api/v1/tickets/{number}/replies/preview",
        "/api/v1/check",
        "/api/v1/explain",
        "/api/v1/explain/files",
        "/api/v1/replay",
    ];

    #[test]
    fn what_changes_something_takes_a_key() {
        for route in all().iter().filter(|route| !route.access.is_page()) {
            let changes = match route.method {
                Method::POST => !ONLY_LOOKS.contains(&route.path),
                Method::PATCH => true,
                _ => false,
            };
            assert_eq!(route.again != Again::Same, changes, "{} {}", route.method, route.path);
        }
    }

    #[test]
    fn what_may_be_long_comes_in_pages() {
        for route in all() {
            let Payload::Json(schema) = route.gives else { continue };
            let schema = schema(&mut SchemaGenerator::default());
            assert_ne!(
                schema.get("type").and_then(|it| it.as_str()),
                Some("array"),
                "{}",
                route.path
            );
            let named = schema.get("$ref").and_then(|it| it.as_str()).unwrap_or_default();
            let is_page = named.contains("/PageView");
            let takes_cursor = route.query.iter().any(|(name, _)| *name == "cursor");
            // The history of a customer is a page within his own.
            let within = route.path == "/api/v1/customers/{address}";
            assert_eq!(is_page || within, takes_cursor, "{}", route.path);
        }
    }

    #[test]
    fn pages_take_forms_and_nothing_else() {
        for route in all().iter().filter(|route| route.access.is_page()) {
            let method = &route.method;
            assert!(matches!(*method, Method::GET | Method::POST), "{method} {}", route.path);
        }
    }
}
