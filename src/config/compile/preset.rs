//! Providers that need not be declared. What is declared under their names replaces single fields.
//!
//! Microsoft: <https://learn.microsoft.com/exchange/client-developer/legacy-protocols/how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth>,
//! <https://learn.microsoft.com/graph/permissions-reference>. Google:
//! <https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>,
//! <https://developers.google.com/identity/protocols/oauth2/native-app>. Life of refresh tokens:
//! <https://learn.microsoft.com/entra/identity-platform/refresh-tokens#token-lifetime>,
//! <https://developers.google.com/identity/protocols/oauth2#expiration>.

use crate::config::spec::oauth2::{ClientAuth, Provider, Service};
use crate::config::spec::text::DurationText;
use crate::core::config::OAuthProvider;

/// Their names.
pub const NAMES: [&str; 2] = ["microsoft", "google"];

/// The provider of this name, if there is one.
pub fn preset(name: &str) -> Option<Provider> {
    match name {
        "microsoft" => Some(microsoft()),
        "google" => Some(google()),
        _ => None,
    }
}

/// Whether a provider's tokens come from where we know that they do, and not from a declared URL.
pub fn knows(name: &str, provider: &OAuthProvider) -> bool {
    preset(name).is_some_and(|known| known.token_url.as_ref() == Some(&provider.token_url))
}

/// What is written goes before what is known.
pub fn merged(written: &Provider, known: Provider) -> Provider {
    let written = written.clone();
    Provider {
        auth_url: written.auth_url.or(known.auth_url),
        token_url: written.token_url.or(known.token_url),
        device_url: written.device_url.or(known.device_url),
        client_auth: written.client_auth.or(known.client_auth),
        auth_params: written.auth_params.or(known.auth_params),
        refresh_token_life: written.refresh_token_life.or(known.refresh_token_life),
        allow_private: written.allow_private.or(known.allow_private),
        tls: written.tls.or(known.tls),
        imap: service_of(written.imap, known.imap),
        pop3: service_of(written.pop3, known.pop3),
        smtp: service_of(written.smtp, known.smtp),
        graph: service_of(written.graph, known.graph),
    }
}

fn service_of(written: Option<Service>, known: Option<Service>) -> Option<Service> {
    match (written, known) {
        (Some(written), Some(known)) => Some(Service {
            host: written.host.or(known.host),
            port: written.port.or(known.port),
            // Scopes that are written are meant for both grants.
            app_scopes: written.app_scopes.or(match written.scopes {
                Some(_) => None,
                None => known.app_scopes,
            }),
            scopes: written.scopes.or(known.scopes),
        }),
        (written, known) => written.or(known),
    }
}

fn service(host: &str, port: Option<u16>, scopes: &[&str], app_scopes: &[&str]) -> Service {
    let all = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let app_scopes = if app_scopes.is_empty() { None } else { Some(all(app_scopes)) };
    Service { host: Some(host.into()), port, scopes: Some(all(scopes)), app_scopes }
}

fn microsoft() -> Provider {
    const BASE: &str = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0";
    const APP: &[&str] = &["https://outlook.office365.com/.default"];
    let office = |host: &str, port, scope: &str| {
        let scope = format!("https://outlook.office.com/{scope}");
        Some(service(host, port, &["offline_access", &scope], APP))
    };
    Provider {
        auth_url: Some(format!("{BASE}/authorize")),
        token_url: Some(format!("{BASE}/token")),
        device_url: Some(format!("{BASE}/devicecode")),
        client_auth: Some(ClientAuth::Post),
        refresh_token_life: Some(DurationText("90d".into())),
        imap: office("outlook.office365.com", None, "IMAP.AccessAsUser.All"),
        pop3: office("outlook.office365.com", Some(995), "POP.AccessAsUser.All"),
        smtp: office("smtp.office365.com", None, "SMTP.Send"),
        graph: Some(Service {
            scopes: Some(graph_scopes(Use::default())),
            ..service("graph.microsoft.com", None, &[], &["https://graph.microsoft.com/.default"])
        }),
        // Somebody with a live session at Microsoft would else sign in as themselves unasked.
        auth_params: Some([("prompt".to_owned(), "select_account".to_owned())].into()),
        ..Provider::default()
    }
}

/// What a delegated sign-in at Microsoft Graph is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// To send, beside what is needed to find what was sent.
    pub sends: bool,
    /// To open a mailbox of another user.
    pub shared: bool,
}

/// The scopes for it and no others: each may need the consent of an administrator
/// (`permissions-reference`). `openid` and `profile` tell us who signed in.
pub fn graph_scopes(purpose: Use) -> Vec<String> {
    let shared = if purpose.shared { ".Shared" } else { "" };
    let mut scopes = vec!["openid".to_owned(), "profile".into(), "offline_access".into()];
    scopes.push(format!("https://graph.microsoft.com/Mail.ReadWrite{shared}"));
    if purpose.sends {
        scopes.push(format!("https://graph.microsoft.com/Mail.Send{shared}"));
    }
    scopes
}

fn google() -> Provider {
    let mail = |host: &str, port| Some(service(host, port, &["https://mail.google.com/"], &[]));
    // Without these two Google gives no refresh token, or only the first time.
    let params = [("access_type", "offline"), ("prompt", "consent")];
    Provider {
        auth_url: Some("https://accounts.google.com/o/oauth2/v2/auth".into()),
        token_url: Some("https://oauth2.googleapis.com/token".into()),
        client_auth: Some(ClientAuth::Post),
        refresh_token_life: Some(DurationText("180d".into())),
        auth_params: Some(params.map(|(name, value)| (name.into(), value.into())).into()),
        imap: mail("imap.gmail.com", None),
        pop3: mail("pop.gmail.com", Some(995)),
        smtp: mail("smtp.gmail.com", None),
        ..Provider::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_preset() {
        assert!(NAMES.iter().all(|name| preset(name).is_some()));
        assert!(preset("keycloak").is_none());
    }

    #[test]
    fn single_fields_are_replaced() {
        let imap = Service { host: Some("imap.test".into()), ..Service::default() };
        let token_url = Some("https://login.test/token".to_owned());
        let written = Provider { token_url, imap: Some(imap), ..Provider::default() };
        let merged = merged(&written, microsoft());
        assert_eq!(merged.token_url.as_deref(), Some("https://login.test/token"));
        assert!(merged.auth_url.unwrap().starts_with("https://login.microsoftonline.com/"));
        let imap = merged.imap.unwrap();
        assert_eq!(imap.host.as_deref(), Some("imap.test"));
        assert_eq!(imap.scopes.unwrap().len(), 2);
        assert!(imap.app_scopes.is_some());
    }

    #[test]
    fn written_scopes_are_for_both_grants() {
        let imap = Service { scopes: Some(vec!["mail".into()]), ..Service::default() };
        let merged = merged(&Provider { imap: Some(imap), ..Provider::default() }, microsoft());
        let imap = merged.imap.unwrap();
        assert_eq!((imap.scopes, imap.app_scopes), (Some(vec!["mail".to_owned()]), None));
    }
}
