//! `signIn`.

use super::{oauth2, server, value};
use crate::config::problem::Scope;
use crate::config::spec::sign_in as spec;
use crate::core::config::{Oidc, Security, SignIn};

/// Scopes that are asked for unless others are declared.
const SCOPES: [&str; 3] = ["openid", "email", "profile"];

/// How people sign in on the page, beside passwords.
pub fn sign_in(spec: &spec::SignIn, scope: &Scope<'_>) -> SignIn {
    SignIn { oidc: spec.oidc.as_ref().and_then(|spec| oidc(spec, &scope.at("oidc"))) }
}

fn oidc(spec: &spec::Oidc, scope: &Scope<'_>) -> Option<Oidc> {
    oauth2::check_url(&spec.issuer, &scope.at("issuer"));
    let scopes = spec.scopes.clone().unwrap_or_else(|| SCOPES.map(str::to_owned).into());
    if !scopes.iter().any(|name| name == "openid") {
        let hint = "without it a provider does not say who signed in";
        scope.at("scopes").error("the scope \"openid\" is missing", hint);
    }
    if spec.user_claim.as_deref().is_some_and(|claim| claim.trim().is_empty()) {
        scope.at("userClaim").error("is empty", "name a claim, or leave the key out");
    }
    let secret = spec.client_secret.as_ref();
    let tls =
        spec.tls.as_ref().map(|tls| server::tls_options(tls, Security::Tls, &scope.at("tls")));
    Some(Oidc {
        issuer: spec.issuer.clone(),
        name: spec.name.clone().unwrap_or_else(|| host(&spec.issuer).to_owned()),
        client_id: value::text(&spec.client_id, &scope.at("clientId"))?,
        client_secret: secret.and_then(|it| value::secret(it, &scope.at("clientSecret"))),
        scopes,
        user_claim: spec.user_claim.clone(),
        allow_private: spec.allow_private,
        tls: tls.unwrap_or_default(),
    })
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', ':']).next().unwrap_or(rest)
}
