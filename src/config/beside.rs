//! Paths in YAML are relative to the file that names them, wherever Postroom is started.
//!
//! Architecture invariant: looks at no disk. Absolute paths stay as they are; texts and mails of
//! tests have their own rules (`files`), because they are read with the configuration.

use std::path::Path;

use super::spec::Document;
use super::spec::smtp::Tls;
use super::spec::text::{SecretReference, TextOr, TextOrReference};

/// Makes the paths of a document relative to what its file's name is relative to.
pub fn resolve(document: &mut Document, file: &str) {
    let beside = Path::new(file).parent().unwrap_or(Path::new(""));
    for path in paths(document).into_iter().filter(|path| !path.is_empty()) {
        *path = beside.join(&*path).display().to_string();
    }
}

fn paths(document: &mut Document) -> Vec<&mut String> {
    let mut paths = Vec::new();
    for account in document.mail_accounts.values_mut() {
        paths.extend(account.path.as_mut());
        paths.extend(account.tls.as_deref_mut().map(of_tls).into_iter().flatten());
        paths.extend(account.host.as_mut().and_then(of_text));
        paths.extend(account.username.as_mut().and_then(of_text));
        paths.extend(account.password.as_mut().and_then(of_secret));
        paths.extend(account.mailbox.as_mut().and_then(of_text));
    }
    let defaults = document.defaults.as_mut().and_then(|all| all.mail_accounts.as_mut());
    let tls = defaults.and_then(|defaults| defaults.tls.as_deref_mut());
    paths.extend(tls.map(of_tls).into_iter().flatten());
    for server in document.smtp.values_mut() {
        paths.extend(server.directory.as_mut());
        paths.extend(server.tls.as_mut().map(of_tls).into_iter().flatten());
        paths.extend(server.host.as_mut().and_then(of_text));
        paths.extend(server.mailbox.as_mut().and_then(of_text));
        if let Some(auth) = &mut server.auth {
            paths.extend(of_text(&mut auth.username));
            paths.extend(auth.password.as_mut().and_then(of_secret));
        }
    }
    if let Some(oauth2) = &mut document.oauth2 {
        paths.extend(oauth2.seal_key.as_mut().and_then(of_secret));
        for provider in oauth2.providers.values_mut() {
            paths.extend(provider.tls.as_mut().map(of_tls).into_iter().flatten());
        }
        for profile in oauth2.profiles.values_mut() {
            paths.extend(of_text(&mut profile.client_id));
            paths.extend(profile.client_secret.as_mut().and_then(of_secret));
        }
    }
    if let Some(oidc) = document.sign_in.as_mut().and_then(|sign_in| sign_in.oidc.as_mut()) {
        paths.extend(of_text(&mut oidc.client_id));
        paths.extend(oidc.client_secret.as_mut().and_then(of_secret));
        paths.extend(oidc.tls.as_mut().map(of_tls).into_iter().flatten());
    }
    for user in document.users.values_mut() {
        paths.extend(user.password_hash.as_mut().and_then(of_secret));
    }
    for webhook in document.webhooks.values_mut() {
        paths.extend(of_text(&mut webhook.url));
        paths.extend(of_secret(&mut webhook.secret));
        paths.extend(webhook.tls.as_mut().map(of_tls).into_iter().flatten());
    }
    paths
}

fn of_tls(tls: &mut Tls) -> impl Iterator<Item = &mut String> {
    [&mut tls.ca, &mut tls.client_cert, &mut tls.client_key].into_iter().flatten()
}

fn of_text(text: &mut TextOrReference) -> Option<&mut String> {
    match text {
        TextOr::Plain(_) => None,
        TextOr::Other(reference) => of_secret(reference),
    }
}

fn of_secret(reference: &mut SecretReference) -> Option<&mut String> {
    reference.file.as_mut()
}

#[cfg(test)]
mod tests {
    use crate::config::load_saved;
    use crate::core::config::{Config, Login, SecretRef, SmtpRoute, Source};

    const YAML: &str = "version: 1\n\
        mailAccounts:\n\
        \x20 dir: {type: maildir, path: mail, dispatch: {by: recipient}, afterFetch: keep}\n\
        \x20 imap: {type: imaps, host: a.example, username: u, password: {file: pass}, \
        tls: {ca: /etc/ca.pem, clientCert: c.pem, clientKey: k.pem}, \
        dispatch: {by: recipient}, afterFetch: keep}\n\
        smtp:\n\
        \x20 files: {type: file, directory: ../outgoing}\n";

    fn loaded(name: &str) -> Config {
        let loaded = load_saved(&[(name.into(), YAML.into())]);
        loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems))
    }

    #[track_caller]
    fn check(name: &str, maildir: &str, outgoing: &str, password: &str, certificate: &str) {
        let config = loaded(name);
        let Source::Maildir { path } = &config.accounts["dir"].connection else {
            panic!("maildir")
        };
        assert_eq!(path.to_str(), Some(maildir));
        let SmtpRoute::File { directory } = &config.smtp["files"].route else { panic!("file") };
        assert_eq!(directory.to_str(), Some(outgoing));
        let Source::Imap { endpoint, login, .. } = &config.accounts["imap"].connection else {
            panic!("imap")
        };
        let Login::Password { password: SecretRef::File(found), .. } = login else {
            panic!("password")
        };
        assert_eq!(found.to_str(), Some(password));
        assert_eq!(endpoint.tls.ca.as_deref().and_then(|ca| ca.to_str()), Some("/etc/ca.pem"));
        let client = endpoint.tls.client.as_ref().expect("a certificate of ours");
        assert_eq!(client.0.to_str(), Some(certificate));
    }

    #[test]
    fn beside_a_file_in_a_folder() {
        let [maildir, outgoing] = ["conf/desk/mail", "conf/desk/../outgoing"];
        check("conf/desk/desk.yaml", maildir, outgoing, "conf/desk/pass", "conf/desk/c.pem");
    }

    #[test]
    fn beside_a_file_right_here() {
        check("desk.yaml", "mail", "../outgoing", "pass", "c.pem");
    }

    #[test]
    fn beside_an_absolute_file() {
        let [maildir, outgoing] = ["/etc/desk/mail", "/etc/desk/../outgoing"];
        check("/etc/desk/desk.yaml", maildir, outgoing, "/etc/desk/pass", "/etc/desk/c.pem");
    }
}
