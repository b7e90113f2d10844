//! `oauth2`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::preset::{self, Use, graph_scopes, preset};
use super::{Context, each, server, value};
use crate::config::problem::{Scope, hint_of_names};
use crate::config::spec::oauth2 as spec;
use crate::core::config::{
    ClientAuth, Grant, OAuth2, OAuthProfile, OAuthProvider, OAuthService, Security, TENANT,
};

/// Key, providers and profiles.
pub fn oauth2(context: &Context<'_>, top: &Scope<'_>) -> OAuth2 {
    let scope = &top.at("oauth2");
    let united = context.united;
    let key = united.seal_key;
    let mut providers = each(scope, "providers", &united.providers, |name, spec, scope| {
        let known = preset(name).unwrap_or_default();
        provider(&preset::merged(spec, known), scope)
    });
    for profile in united.profiles.values() {
        let name = &profile.provider;
        if !united.providers.contains_key(name.as_str())
            && let Some(known) = preset(name)
            && let Some(known) = provider(&known, scope)
        {
            providers.insert(name.clone(), known);
        }
    }
    OAuth2 {
        seal_key: key.and_then(|key| value::secret(key, &scope.at("sealKey"))),
        providers,
        profiles: each(scope, "profiles", &united.profiles, |_, spec, scope| {
            profile(context, spec, scope)
        }),
    }
}

/// The provider of this name: as declared, as known, or both.
pub fn provider_of(context: &Context<'_>, name: &str) -> Option<spec::Provider> {
    match (context.united.providers.get(name), preset(name)) {
        (Some(written), known) => Some(preset::merged(written, known.unwrap_or_default())),
        (None, known) => known,
    }
}

fn provider(spec: &spec::Provider, scope: &Scope<'_>) -> Option<OAuthProvider> {
    let url = |url: Option<&String>, key: &str| match url {
        Some(url) => {
            check_url(url, &scope.at(key));
            Some(url.clone())
        }
        None => {
            scope.error_at_key(format!("key \"{key}\" is missing"), format!("add `{key}:`"));
            None
        }
    };
    let (auth_url, token_url) =
        (url(spec.auth_url.as_ref(), "authUrl"), url(spec.token_url.as_ref(), "tokenUrl"));
    let device_url = spec.device_url.as_ref().and_then(|it| url(Some(it), "deviceUrl"));
    let tls = spec.tls.as_ref();
    let tls = tls.map(|tls| server::tls_options(tls, Security::Tls, &scope.at("tls")));
    let offered =
        [("imap", &spec.imap), ("pop3", &spec.pop3), ("smtp", &spec.smtp), ("graph", &spec.graph)];
    let service = |service: &spec::Service| {
        let scopes = service.scopes.clone().unwrap_or_default();
        OAuthService {
            host: service.host.clone(),
            app_scopes: service.app_scopes.clone().unwrap_or_else(|| scopes.clone()),
            scopes,
        }
    };
    let mut services: BTreeMap<_, _> = offered
        .into_iter()
        .filter_map(|(name, offer)| Some((name.to_owned(), service(offer.as_ref()?))))
        .collect();
    if let Some(graph) = services.get("graph").cloned()
        && graph.scopes == graph_scopes(Use::default())
    {
        // Nobody has written others.
        for (sends, shared) in [(false, true), (true, false), (true, true)] {
            let scopes = graph_scopes(Use { sends, shared });
            let name = OAuthService::name("graph", sends, shared);
            services.insert(name, OAuthService { scopes, ..graph.clone() });
        }
    }
    let life = spec.refresh_token_life.as_ref();
    let day = Duration::from_secs(86_400);
    let refresh_token_life =
        life.and_then(|life| value::duration(life, day, &scope.at("refreshTokenLife")));
    Some(OAuthProvider {
        auth_url: auth_url?,
        token_url: token_url?,
        device_url,
        client_auth: match spec.client_auth {
            None | Some(spec::ClientAuth::Basic) => ClientAuth::Basic,
            Some(spec::ClientAuth::Post) => ClientAuth::Post,
        },
        auth_params: spec.auth_params.clone().unwrap_or_default(),
        refresh_token_life,
        allow_private: spec.allow_private.unwrap_or(false),
        tls: tls.unwrap_or_default(),
        services,
    })
}

fn profile(context: &Context<'_>, spec: &spec::Profile, scope: &Scope<'_>) -> Option<OAuthProfile> {
    let provider = provider_of(context, &spec.provider);
    provider_is_known(context, spec, provider.is_some(), scope);
    if let Some(provider) = &provider {
        grant_fits(spec, provider, scope);
    }
    if spec.grant == spec::Grant::ClientCredentials && spec.client_secret.is_none() {
        scope
            .error_at_key("key \"clientSecret\" is missing", "this grant has nothing else to show");
    }
    if spec.grant != spec::Grant::ClientCredentials && context.united.seal_key.is_none() {
        let hint = "add `oauth2: {sealKey: {secret: NAME}}`; `openssl rand -base64 32` makes a key";
        scope.at("grant").error("stores tokens, and there is no key to encrypt them", hint);
    }
    let secret = spec.client_secret.as_ref();
    let client_secret = secret.and_then(|s| value::secret(s, &scope.at("clientSecret")));
    let expires = spec.secret_expires.as_ref();
    let secret_expires = expires.and_then(|day| value::date(day, &scope.at("secretExpires")));
    Some(OAuthProfile {
        provider: spec.provider.clone(),
        tenant: spec.tenant.as_ref().map(|tenant| tenant.0.clone()),
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

fn provider_is_known(context: &Context<'_>, spec: &spec::Profile, known: bool, scope: &Scope<'_>) {
    let name = &spec.provider;
    if known || context.united.left_out("oauth2.providers").any(|left| left == name) {
        return;
    }
    let declared = context.united.providers.keys().copied();
    let hint = hint_of_names("provider", name, declared.chain(preset::NAMES));
    scope.at("provider").error(format!("provider {name:?} is not declared"), hint);
}

fn grant_fits(spec: &spec::Profile, provider: &spec::Provider, scope: &Scope<'_>) {
    if spec.grant == spec::Grant::DeviceCode && provider.device_url.is_none() {
        scope
            .at("grant")
            .error("the provider has no deviceUrl", "add `deviceUrl:` to the provider");
    }
    let urls = [&provider.auth_url, &provider.token_url, &provider.device_url];
    let by_tenant = urls.into_iter().flatten().any(|url| url.contains(TENANT));
    if spec.grant == spec::Grant::ClientCredentials && by_tenant && spec.tenant.is_none() {
        let hint = "add `tenant:` with the identifier of the directory, or a domain of it";
        scope.error_at_key("key \"tenant\" is missing", hint);
    }
    if spec.tenant.is_some() && !by_tenant {
        let hint = "write {tenant} where it belongs in the provider's URLs, or remove it";
        scope.at("tenant").error_at_key("has no effect at this provider", hint);
    }
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
