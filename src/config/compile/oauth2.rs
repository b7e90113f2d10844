//! `oauth2`.

use std::collections::BTreeMap;

use super::{Context, each, value};
use crate::config::problem::Scope;
use crate::config::spec::oauth2 as spec;
use crate::core::config::{Grant, OAuth2, OAuthProfile, OAuthProvider, OAuthService};

/// Providers and profiles.
pub fn oauth2(context: &Context<'_>, top: &Scope<'_>) -> OAuth2 {
    let scope = &top.at("oauth2");
    let united = context.united;
    OAuth2 {
        providers: each(scope, "providers", &united.providers, |_, spec, scope| {
            Some(provider(spec, scope))
        }),
        profiles: each(scope, "profiles", &united.profiles, |_, spec, scope| {
            profile(context, spec, scope)
        }),
    }
}

fn provider(spec: &spec::Provider, scope: &Scope<'_>) -> OAuthProvider {
    check_url(&spec.auth_url, &scope.at("authUrl"));
    check_url(&spec.token_url, &scope.at("tokenUrl"));
    if let Some(url) = &spec.device_url {
        check_url(url, &scope.at("deviceUrl"));
    }
    let offered =
        [("imap", &spec.imap), ("pop3", &spec.pop3), ("smtp", &spec.smtp), ("graph", &spec.graph)];
    let service = |service: &spec::Service| OAuthService {
        host: service.host.clone(),
        scopes: service.scopes.clone(),
    };
    let services: BTreeMap<_, _> = offered
        .into_iter()
        .filter_map(|(name, offer)| Some((name.to_owned(), service(offer.as_ref()?))))
        .collect();
    OAuthProvider {
        auth_url: spec.auth_url.clone(),
        token_url: spec.token_url.clone(),
        device_url: spec.device_url.clone(),
        services,
    }
}

fn profile(context: &Context<'_>, spec: &spec::Profile, scope: &Scope<'_>) -> Option<OAuthProfile> {
    let providers = &context.united.providers;
    let at = scope.at("provider");
    context.must_exist("provider", "oauth2.providers", providers, &spec.provider, &at);
    let declared = providers.get(spec.provider.as_str());
    if spec.grant == spec::Grant::DeviceCode && declared.is_some_and(|p| p.device_url.is_none()) {
        scope
            .at("grant")
            .error("the provider has no deviceUrl", "add `deviceUrl:` to the provider");
    }
    if spec.grant == spec::Grant::ClientCredentials && spec.client_secret.is_none() {
        scope
            .error_at_key("key \"clientSecret\" is missing", "this grant has nothing else to show");
    }
    let secret = spec.client_secret.as_ref();
    let client_secret = secret.and_then(|s| value::secret(s, &scope.at("clientSecret")));
    let expires = spec.secret_expires.as_ref();
    let secret_expires = expires.and_then(|day| value::date(day, &scope.at("secretExpires")));
    Some(OAuthProfile {
        provider: spec.provider.clone(),
        client_id: value::text(&spec.client_id, &scope.at("clientId"))?,
        client_secret,
        secret_expires,
        grant: match spec.grant {
            spec::Grant::AuthorizationCode => Grant::AuthorizationCode,
            spec::Grant::DeviceCode => Grant::DeviceCode,
            spec::Grant::ClientCredentials => Grant::ClientCredentials,
        },
    })
}

/// Tokens travel over these URLs: they are encrypted, except to this machine itself.
pub fn check_url(url: &str, scope: &Scope<'_>) {
    let local = ["http://localhost", "http://127.0.0.1", "http://[::1]"].into_iter().any(|start| {
        url.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    });
    let odd = url.chars().any(|c| c.is_control() || c.is_whitespace());
    if odd || !(url.starts_with("https://") && url.len() > "https://".len() || local) {
        scope.error("must be an https:// URL", "plain http is allowed to localhost only");
    }
}
