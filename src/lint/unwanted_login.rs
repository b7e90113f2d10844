//! A way to sign in that the provider is closing.

use super::{Found, Rule, Subject};
use crate::config::Severity;
use crate::core::config::{Grant, Login, SmtpRoute, Switch, Text};

/// Where Microsoft 365 takes mail.
const MICROSOFT_SMTP: &str = "smtp.office365.com";
/// Part of the URLs of Microsoft's sign-in, in all clouds.
const MICROSOFT_SIGN_IN: &str = "https://login.microsoftonline.";

/// The rule.
pub const RULE: Rule = Rule {
    id: "unwanted-login",
    severity: Severity::Warning,
    title: "a way to sign in that the provider is closing",
    about: "Microsoft switches passwords for SMTP (basic authentication) off for all tenants, by \
            default from the end of December 2026 on; declare an OAuth2 profile, or type `graph`. It \
            also recommends to block the device code flow, which attackers use, and tenants get \
            policies that do; use `authorizationCode` or `clientCredentials`.",
    failing: "smtp:\n\
              \x20 m365: {type: smtptls, host: smtp.office365.com, auth: {username: desk@contoso.example, password: {secret: smtp}}}\n\
              senders: {default: {from: desk@contoso.example, via: [m365]}}\n",
    passing: "oauth2:\n\
              \x20 profiles: {m365: {provider: microsoft, tenant: contoso.example, clientId: desk, clientSecret: {secret: smtp}, grant: clientCredentials}}\n\
              smtp:\n\
              \x20 m365: {type: smtptls, auth: {username: desk@contoso.example, oauth2Profile: m365}}\n\
              senders: {default: {from: desk@contoso.example, via: [m365]}}\n",
    find: Some(find),
};

fn find(subject: &Subject<'_>, found: &mut Vec<Found>) {
    for (name, server) in &subject.config.smtp {
        if let SmtpRoute::Smtp { endpoint, login: Login::Password { .. } } = &server.route
            && matches!(&endpoint.host, Text::Plain(host) if host.eq_ignore_ascii_case(MICROSOFT_SMTP))
            && server.state != Switch::Disabled
        {
            let message = "Microsoft 365 is switching passwords for SMTP off";
            let hint =
                "declare a profile under oauth2.profiles and `auth: {username, oauth2Profile}`";
            found.push(Found::at_key(&["smtp", name, "auth"], message, hint));
        }
    }
    let oauth2 = &subject.config.oauth2;
    for (name, profile) in &oauth2.profiles {
        let provider = oauth2.providers.get(&profile.provider);
        if profile.grant == Grant::DeviceCode
            && provider.is_some_and(|it| it.token_url.starts_with(MICROSOFT_SIGN_IN))
        {
            let message = "Microsoft recommends to block device codes, and many tenants do";
            let hint = "use `grant: authorizationCode` or `clientCredentials`";
            found.push(Found::at(&["oauth2", "profiles", name, "grant"], message, hint));
        }
    }
}
