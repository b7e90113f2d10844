//! OAuth2: providers, profiles, the key that seals sign-ins, and who must sign in anew.

use super::{Both, End, Kind, Start, Told, change, differing, names};
use crate::core::config::{
    Config, Grant, Login, OAuthProfile, OAuthProvider, SmtpRoute, Source, Switch, Text,
};

pub(in super::super) const PROVIDER: Kind<OAuthProvider> = Kind {
    name: "oauth2.providers",
    state: |_| Switch::Enabled,
    begins: |_, _, _: Start| "profiles may name it".into(),
    ends: |_, _, _: End| "no profile names it any more".into(),
    differs: |both, old, new| provider(both, old, new),
    follows: "",
};

pub(in super::super) const PROFILE: Kind<OAuthProfile> = Kind {
    name: "oauth2.profiles",
    state: |_| Switch::Enabled,
    begins: |_, profile, _| match profile.grant {
        Grant::ClientCredentials => "gets tokens with the client secret; nobody signs in".into(),
        Grant::AuthorizationCode | Grant::DeviceCode => {
            "a person signs in once for each account and server that names it".into()
        }
    },
    ends: |_, _, _| "no account or server names it any more".into(),
    differs: profile,
    follows: "",
};

/// The key that encrypts sign-ins in the store.
pub(in super::super) fn seal_key(both: Both<'_>) -> String {
    match (&both.old.oauth2.seal_key, &both.new.oauth2.seal_key) {
        (None, Some(_)) => "people can sign in: what they are given is kept encrypted".into(),
        (Some(_), Some(_)) => {
            "sealKey is read elsewhere; with another key everybody signs in anew".into()
        }
        (Some(_) | None, None) => "sign-ins in the store cannot be read without it".into(),
    }
}

fn provider(both: Both<'_>, old: &OAuthProvider, new: &OAuthProvider) -> Told {
    let mut told = Told::default();
    let asks = differing(&[
        ("tokenUrl", old.token_url != new.token_url),
        ("clientAuth", old.client_auth != new.client_auth),
        ("services", old.services != new.services),
        ("tls", old.tls != new.tls),
    ]);
    told.when(!asks.is_empty(), || {
        format!("{} from the next token on; sign-ins count on", change(&asks))
    });
    let signs_in = differing(&[
        ("authUrl", old.auth_url != new.auth_url),
        ("deviceUrl", old.device_url != new.device_url),
        ("authParams", old.auth_params != new.auth_params),
    ]);
    told.when(!signs_in.is_empty(), || {
        format!("{} for whoever signs in from now on; sign-ins count on", change(&signs_in))
    });
    told.when(old.refresh_token_life != new.refresh_token_life, || {
        "when it is told that a sign-in ends changes".into()
    });
    told.when(old.allow_private != new.allow_private, || match new.allow_private {
        true => "its URLs may lead into a private network".into(),
        false => "URLs that lead into a private network are refused: no tokens from there".into(),
    });
    let profiles = both.new.oauth2.profiles.iter();
    let concerned: Vec<&str> = profiles
        .filter(|(_, one)| both.new.oauth2.providers.get(&one.provider) == Some(new))
        .map(|(name, _)| name.as_str())
        .collect();
    told.when(!concerned.is_empty(), || format!("concerns profiles: {}", names(concerned)));
    told
}

fn profile(both: Both<'_>, old: &OAuthProfile, new: &OAuthProfile) -> Told {
    let mut told = Told::default();
    let client = differing(&[
        ("provider", old.provider != new.provider),
        ("tenant", old.tenant != new.tenant),
        ("clientId", old.client_id != new.client_id),
    ]);
    told.when(!client.is_empty(), || match new.grant {
        Grant::ClientCredentials => {
            format!("{}: the next tokens are asked for there", change(&client))
        }
        // RFC 6749 section 6: a refresh token is bound to the client that it was issued to.
        Grant::AuthorizationCode | Grant::DeviceCode => format!(
            "{}: sign-ins were given to the registration of before, so people sign in anew",
            change(&client)
        ),
    });
    told.when(old.client_secret != new.client_secret, || match &new.client_secret {
        Some(_) => {
            "clientSecret is read elsewhere from the next token on; sign-ins count on".into()
        }
        None => "no client secret is shown from the next token on".into(),
    });
    told.when(old.secret_expires != new.secret_expires, || match new.secret_expires {
        Some(date) => format!("warns before {date} that its secret ends"),
        None => "no longer warns before its secret ends".into(),
    });
    told.when(old.grant != new.grant, || match (old.grant, new.grant) {
        (_, Grant::ClientCredentials) => "tokens come by the client secret; sign-ins rest".into(),
        (Grant::ClientCredentials, Grant::AuthorizationCode | Grant::DeviceCode) => {
            "a person signs in for each account and server that names it".into()
        }
        (
            Grant::AuthorizationCode | Grant::DeviceCode,
            Grant::AuthorizationCode | Grant::DeviceCode,
        ) => "people sign in by the other way; sign-ins count on".into(),
    });
    let users = users_of(both.new, new);
    told.when(!users.is_empty(), || {
        format!("concerns {}", names(users.iter().map(String::as_str)))
    });
    told
}

/// Accounts and servers that sign in with this profile.
fn users_of(config: &Config, profile: &OAuthProfile) -> Vec<String> {
    let named = |login: &Login| match login {
        Login::None | Login::Password { .. } => false,
        Login::OAuth2 { profile: name, .. } => config.oauth2.profiles.get(name) == Some(profile),
    };
    let accounts = config.accounts.values().filter(|account| match &account.connection {
        Source::Imap { login, .. } | Source::Pop3 { login, .. } | Source::Graph { login, .. } => {
            named(login)
        }
        Source::Maildir { .. } => false,
    });
    let servers = config.smtp.values().filter(|server| match &server.route {
        SmtpRoute::Smtp { login, .. } | SmtpRoute::Graph { login, .. } => named(login),
        SmtpRoute::File { .. } | SmtpRoute::Sendmail { .. } => false,
    });
    let accounts = accounts.map(|account| format!("account {}", account.name));
    accounts.chain(servers.map(|server| format!("server {}", server.name))).collect()
}

/// What a new account or server needs of a person, if it does.
pub(super) fn needs_person(
    config: &Config,
    login: Option<&Login>,
    option: &str,
    name: &str,
) -> Option<String> {
    let Login::OAuth2 { profile, .. } = login? else { return None };
    match config.oauth2.profiles.get(profile)?.grant {
        Grant::ClientCredentials => None,
        Grant::AuthorizationCode | Grant::DeviceCode => {
            Some(format!("somebody signs in: postroom oauth login {profile} --{option} {name}"))
        }
    }
}

/// What a changed login means for the sign-in of an account or server, if it means anything.
pub(super) fn wants_sign_in(
    both: Both<'_>,
    old: Option<&Login>,
    new: Option<&Login>,
    option: &str,
    name: &str,
) -> Option<String> {
    let needed = needs_person(both.new, new, option, name)?;
    let parts = |login: Option<&Login>| match login? {
        Login::OAuth2 { profile, username, .. } => Some((profile.clone(), username.clone())),
        Login::None | Login::Password { .. } => None,
    };
    let (before, after) = (parts(old), parts(new));
    let profile =
        |parts: &Option<(String, Text)>| parts.as_ref().map(|(profile, _)| profile.clone());
    if profile(&before) != profile(&after) {
        return Some(needed);
    }
    let counts_on = "the sign-in of before counts on; another person signs in anew";
    (before != after).then(|| counts_on.to_owned())
}
