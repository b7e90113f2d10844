//! Where the tokens of a profile come from: whose URL that is, where it leads, and whether it may be
//! asked. Nothing is sent to the provider yet.

use super::{ProbeFailure, Step, advice, road};
use crate::config::compile::preset;
use crate::core::config::{OAuthProfile, OAuthProvider};
use crate::net::http::{self, HttpError};
use crate::oauth;

/// Name of the step.
const STEP: &str = "discovery";

/// Finds the provider of a profile.
pub(super) async fn provider(
    name: &str,
    profile: &OAuthProfile,
    provider: &OAuthProvider,
) -> Result<Step, ProbeFailure> {
    let url = oauth::token_url(profile, provider);
    let asks = asks(name, profile, preset::knows(&profile.provider, provider), &url);
    match oauth::client(provider).addresses(&url).await {
        Ok(found) => Ok(Step::new(STEP, format!("{asks} ({})", road::listed(&found)))),
        Err(error) => Err(ProbeFailure::new(
            STEP,
            format!("{asks}: {error}"),
            advice(&profile.provider, &error),
        )),
    }
}

fn asks(name: &str, profile: &OAuthProfile, known: bool, url: &str) -> String {
    let how = if known { "known" } else { "declared" };
    format!("profile {name} asks {}, as {how}: {}", profile.provider, http::shown(url))
}

fn advice(provider: &str, error: &HttpError) -> String {
    match error {
        HttpError::Private(..) => format!(
            "if it is yours, write `allowPrivate: true` at oauth2.providers.{provider}; if not, whose \
             answer is that of the resolver?"
        ),
        HttpError::Request(..)
        | HttpError::Net(_)
        | HttpError::Timeout(..)
        | HttpError::TooLarge(..)
        | HttpError::Broken(..) => advice::PROVIDER.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// What is said of the profile `desk` of these providers and profiles.
    #[track_caller]
    fn check(yaml: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("desk.yaml");
        std::fs::write(&file, format!("version: 1\noauth2: {{{yaml}}}\n")).unwrap();
        let loaded = config::load(&[file]);
        let oauth2 = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.problems)).oauth2;
        let profile = &oauth2.profiles["desk"];
        let provider = &oauth2.providers[&profile.provider];
        let known = preset::knows(&profile.provider, provider);
        let url = oauth::token_url(profile, provider);
        assert_eq!(asks("desk", profile, known, &url), expected);
    }

    fn profile(provider: &str) -> String {
        format!(
            "profiles: {{desk: {{provider: {provider}, clientId: a, clientSecret: {{env: B}}, \
             grant: clientCredentials, tenant: contoso.example}}}}"
        )
    }

    #[test]
    fn who_is_asked_and_how_that_is_known() {
        check(
            &profile("microsoft"),
            "profile desk asks microsoft, as known: \
             https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token",
        );
        let cloud = "providers: {microsoft: {tokenUrl: \"https://login.test/{tenant}/token\"}}, ";
        check(
            &format!("{cloud}{}", profile("microsoft")),
            "profile desk asks microsoft, as declared: https://login.test/contoso.example/token",
        );
        let own = "providers: {own: {authUrl: \"https://a.test/{tenant}\", tokenUrl: \"https://a.test/t?x=y\"}}, ";
        check(
            &format!("{own}{}", profile("own")),
            "profile desk asks own, as declared: https://a.test/t",
        );
    }
}
