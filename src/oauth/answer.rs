//! What a token endpoint says, read with suspicion (RFC 6749 section 5).
//!
//! Architecture invariant: nothing of a body reaches an error but the `error` code and a
//! description without our secrets, both cut and cleaned.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::OAuthError;
use crate::net::http::{Answer, StatusCode, percent_encoded};

/// Longest token we take. Those of Microsoft have about 2,500 bytes. Bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest name of a person. Bytes.
const NAME_BYTES_MAX: usize = 320;
/// Characters of a description that are kept.
const DESCRIPTION_CHARS_MAX: usize = 200;
/// Shorter ones are words, such as the name of a grant.
const SECRET_CHARS_MIN: usize = 8;
/// Characters of an id for the provider's support that are kept. A UUID has 36.
const TRACE_CHARS_MAX: usize = 64;
/// Characters of an error code that are kept.
const CODE_CHARS_MAX: usize = 64;
/// Life of an access token whose answer says nothing of it.
pub const LIFE_UNSAID: Duration = Duration::from_secs(3600);
/// Life of an access token that is said to be over already: it is used, and not asked for again
/// at once.
pub const LIFE_MIN: Duration = Duration::from_secs(60);
/// Longest life of an access token that is believed.
pub const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);

/// What was issued.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// What is shown to the mail server.
    pub access: SecretString,
    /// How long it is valid.
    pub life: Duration,
    /// What gives the next one; absent if the one we have stays valid.
    pub refresh: Option<SecretString>,
    /// How long that one is valid, where the provider says so.
    pub refresh_life: Option<Duration>,
    /// Names of the person who signed in, where the provider tells: user name, address, object ID.
    pub person: Vec<String>,
}

/// Reads the answer of a token endpoint. `secrets` are what we sent.
pub fn tokens(answer: &Answer, secrets: &[&str]) -> Result<Tokens, OAuthError> {
    let object = object(answer, secrets)?;
    let kind = object.get("token_type").and_then(Value::as_str).unwrap_or("Bearer");
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(OAuthError::Answer("it is no Bearer token"));
    }
    let token = |name: &str| object.get(name).map(secret).transpose();
    let access = token("access_token")?.ok_or(OAuthError::Answer("there is no access token"))?;
    let refresh = token("refresh_token")?;
    let refresh_life = ["refresh_token_expires_in", "refresh_expires_in"]
        .into_iter()
        .find_map(|name| seconds(object.get(name)?))
        .filter(|secs| *secs > 0.0 && *secs < 1e10)
        .map(Duration::from_secs_f64);
    let person = object.get("id_token").and_then(Value::as_str).map(person).unwrap_or_default();
    Ok(Tokens { access, life: life(object.get("expires_in")), refresh, refresh_life, person })
}

/// Names in an ID token that came from the token endpoint itself, so that its signature need not be
/// checked (OpenID Connect Core 1.0 section 3.1.3.7, item 6). Empty if it cannot be read.
fn person(id_token: &str) -> Vec<String> {
    let payload = id_token.split('.').nth(1).unwrap_or_default();
    let Ok(payload) = URL_SAFE_NO_PAD.decode(payload) else { return Vec::new() };
    let Ok(Value::Object(claims)) = serde_json::from_slice(&payload) else { return Vec::new() };
    // learn.microsoft.com/entra/identity-platform/id-token-claims-reference
    ["preferred_username", "upn", "email", "oid"]
        .into_iter()
        .filter_map(|name| claims.get(name).and_then(Value::as_str))
        .filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX)
        .filter(|name| !name.chars().any(char::is_control))
        .map(str::to_owned)
        .collect()
}

/// Reads an answer that is to be an object of JSON, or says why it is none.
pub(super) fn object(answer: &Answer, secrets: &[&str]) -> Result<Map<String, Value>, OAuthError> {
    let status = answer.status.as_u16();
    let object = match serde_json::from_slice(&answer.body) {
        Ok(Value::Object(object)) => Some(object),
        Ok(_) | Err(_) => None,
    };
    if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS {
        return Err(OAuthError::Busy { status, retry_after: answer.retry_after() });
    }
    if answer.status.is_redirection() {
        return Err(OAuthError::Answer("it is a redirect, which is never followed"));
    }
    match object {
        // Some providers say an error with status 200.
        Some(object) if object.contains_key("error") => Err(refusal(&object, secrets)),
        Some(object) if answer.status.is_success() => Ok(object),
        None if answer.status.is_success() => Err(OAuthError::Answer("it is not JSON")),
        Some(_) | None => Err(OAuthError::Refused(format!("status {status}"))),
    }
}

/// What an error code means (RFC 6749 section 5.2, RFC 8628 section 3.5, OpenID Connect Core
/// section 3.1.2.6).
fn refusal(object: &Map<String, Value>, secrets: &[&str]) -> OAuthError {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || "_-.".contains(*c);
    let code: String = text("error").chars().filter(plain).take(CODE_CHARS_MAX).collect();
    let code = if repeats(text("error"), secrets) { "unreadable".into() } else { code };
    let suberror = text("suberror");
    let named = match suberror {
        "" => code.clone(),
        suberror if repeats(suberror, secrets) => code.clone(),
        suberror => {
            let plain: String = suberror.chars().filter(plain).take(CODE_CHARS_MAX).collect();
            format!("{code}/{plain}")
        }
    };
    let mut said = match description(text("error_description"), secrets) {
        Some(description) => format!("{named}: {description}"),
        None => named,
    };
    // What the provider's support asks for. Their text stands behind what is cut.
    for name in ["trace_id", "correlation_id"] {
        let id: String = text(name).chars().filter(plain).take(TRACE_CHARS_MAX).collect();
        if !id.is_empty() && !said.contains(&id) && !repeats(text(name), secrets) {
            said.push_str(&format!(", {name} {id}"));
        }
    }
    match who_must_act(object) {
        Some(Act::Administrator) => return OAuthError::Administrator(said),
        Some(Act::Person) => return OAuthError::SignIn(said),
        Some(Act::Wait) => return OAuthError::Busy { status: 503, retry_after: None },
        None => {}
    }
    match code.as_str() {
        "consent_required" => OAuthError::Administrator(said),
        "invalid_grant" | "interaction_required" | "login_required" | "expired_token" => {
            OAuthError::SignIn(said)
        }
        "invalid_client" | "unauthorized_client" => OAuthError::Client(said),
        "authorization_pending" => OAuthError::Pending { slow_down: false },
        "slow_down" => OAuthError::Pending { slow_down: true },
        "temporarily_unavailable" | "server_error" => {
            OAuthError::Busy { status: 503, retry_after: None }
        }
        _ => OAuthError::Refused(said),
    }
}

/// Who can help.
enum Act {
    Administrator,
    Person,
    Wait,
}

/// Who can help, as far as Microsoft says more than the standard: by number
/// (learn.microsoft.com/entra/identity-platform/reference-error-codes), else by `suberror`
/// (learn.microsoft.com/entra/msal/dotnet/advanced/exceptions/msal-error-handling).
fn who_must_act(object: &Map<String, Value>) -> Option<Act> {
    let numbers = object.get("error_codes").and_then(Value::as_array);
    let listed = numbers.into_iter().flatten().filter_map(Value::as_u64);
    let text = object.get("error_description").and_then(Value::as_str).unwrap_or_default();
    let written = text.strip_prefix("AADSTS").and_then(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    });
    let by_number = listed.chain(written).find_map(|number| match number {
        // No consent, or one that only an administrator may give; an application that is disabled;
        // a user who is not assigned; Conditional Access that no sign-in satisfies.
        65001 | 65004 | 90094 | 7_000_112 | 50105 | 53000..=53099 | 530_000..=530_999 => {
            Some(Act::Administrator)
        }
        // A refresh token that ended; a password that was changed; a second factor; an age limit.
        700_082 | 700_084 | 50173 | 50076 | 50078 | 50079 | 70008 | 70043 => Some(Act::Person),
        // A fault of the service for now; a loop of requests.
        90033 | 50196 => Some(Act::Wait),
        _ => None,
    });
    let suberror = object.get("suberror").and_then(Value::as_str);
    let by_suberror = suberror.and_then(|suberror| match suberror {
        "consent_required" | "message_only" | "protection_policy_required" => {
            Some(Act::Administrator)
        }
        "basic_action"
        | "additional_action"
        | "user_password_expired"
        | "bad_token"
        | "token_expired" => Some(Act::Person),
        _ => None,
    });
    by_number.or(by_suberror)
}

/// Whether it repeats what we sent.
fn repeats(text: &str, secrets: &[&str]) -> bool {
    secrets
        .iter()
        .filter(|secret| secret.len() >= SECRET_CHARS_MIN)
        .any(|secret| text.contains(secret) || text.contains(&percent_encoded(secret)))
}

/// A description on one line. One that repeats what we sent is left out.
fn description(text: &str, secrets: &[&str]) -> Option<String> {
    if repeats(text, secrets) {
        return None;
    }
    let clean: String = text
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
        .take(DESCRIPTION_CHARS_MAX)
        .collect();
    let words: Vec<&str> = clean.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A token (RFC 6750 section 2.1, RFC 6749 appendix A): printable and without blanks, so that it
/// cannot end a line or a message of SASL.
pub(super) fn secret(value: &Value) -> Result<SecretString, OAuthError> {
    let text = value.as_str().unwrap_or_default();
    let usable = !text.is_empty()
        && text.len() <= TOKEN_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if usable {
        Ok(SecretString::from(text))
    } else {
        Err(OAuthError::Answer("a token is empty, too long, or no token"))
    }
}

fn life(value: Option<&Value>) -> Duration {
    match value.and_then(seconds) {
        None => LIFE_UNSAID,
        Some(secs) if secs <= 0.0 => LIFE_MIN,
        Some(secs) if secs >= LIFE_MAX.as_secs_f64() => LIFE_MAX,
        Some(secs) => Duration::from_secs_f64(secs),
    }
}

/// A number, which some providers write as a text.
pub(super) fn seconds(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: Default::default(),
            body: body.to_owned().into(),
        }
    }

    fn shown(status: u16, body: &str) -> String {
        match tokens(&answer(status, body), &["s3cret-refresh"]) {
            Ok(tokens) => format!(
                "{} {}s {}",
                tokens.access.expose_secret(),
                tokens.life.as_secs(),
                tokens.refresh.map(|it| it.expose_secret().to_owned()).unwrap_or_default()
            ),
            Err(error) => format!("{}: {error}", error.label()),
        }
    }

    #[track_caller]
    fn check(status: u16, body: &str, expected: &str) {
        assert_eq!(shown(status, body), expected);
    }

    #[test]
    fn tokens_are_read() {
        check(
            200,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":3599,"refresh_token":"r"}"#,
            "a 3599s r",
        );
        check(200, r#"{"access_token":"a","token_type":"bearer","expires_in":"60"}"#, "a 60s ");
    }

    #[test]
    fn lives_that_make_no_sense() {
        for (life, expected) in [
            ("0", "a 60s "),
            ("-1", "a 60s "),
            ("1e12", "a 86400s "),
            ("1e999", "answer: the provider's answer cannot be used: it is not JSON"),
            ("\"soon\"", "a 3600s "),
            ("null", "a 3600s "),
            ("[]", "a 3600s "),
        ] {
            check(200, &format!(r#"{{"access_token":"a","expires_in":{life}}}"#), expected);
        }
    }

    #[test]
    fn tokens_that_are_none() {
        let unusable = "answer: the provider's answer cannot be used: ";
        for body in [
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b"}"#,
            r#"{"access_token":"a\u0001b"}"#,
            r#"{"access_token":"a\r\nNOOP"}"#,
            r#"{"access_token":7}"#,
            r#"{"access_token":"a","refresh_token":""}"#,
        ] {
            check(200, body, &format!("{unusable}a token is empty, too long, or no token"));
        }
        check(200, "{}", &format!("{unusable}there is no access token"));
        check(
            200,
            r#"{"access_token":"a","token_type":"mac"}"#,
            &format!("{unusable}it is no Bearer token"),
        );
        check(200, "<html>", &format!("{unusable}it is not JSON"));
        check(200, "[]", &format!("{unusable}it is not JSON"));
        check(302, "", &format!("{unusable}it is a redirect, which is never followed"));
    }

    #[test]
    fn refusals() {
        check(
            400,
            r#"{"error":"invalid_grant","error_description":"AADSTS70008: expired\r\nlevel=error"}"#,
            "sign_in: the provider wants a person to sign in \
             (invalid_grant: AADSTS70008: expired level=error)",
        );
        check(
            401,
            r#"{"error":"invalid_client"}"#,
            "client: the provider does not take clientId or clientSecret (invalid_client)",
        );
        check(
            400,
            r#"{"error":"invalid_grant","suberror":"token_expired","trace_id":"t-1",
                "correlation_id":"c-2\r\n","error_description":"no"}"#,
            "sign_in: the provider wants a person to sign in \
             (invalid_grant/token_expired: no, trace_id t-1, correlation_id c-2)",
        );
        check(400, r#"{"error":"invalid_scope"}"#, "refused: the provider refused (invalid_scope)");
        check(400, "nonsense", "refused: the provider refused (status 400)");
        check(500, "<html>", "busy: the provider answered with status 500");
        check(429, "{}", "busy: the provider answered with status 429");
    }

    #[track_caller]
    fn check_who(body: &str, expected: &str) {
        let error = tokens(&answer(400, body), &[]).unwrap_err();
        assert_eq!(error.label(), expected, "{body}");
    }

    #[test]
    fn who_must_act_at_microsoft() {
        let numbers = [
            ("administrator", &[65001, 90094, 53003, 530_032, 50105, 7_000_112][..]),
            ("sign_in", &[700_082, 50173, 50076, 50079, 70008]),
            ("busy", &[90033, 50196]),
        ];
        for (expected, numbers) in numbers {
            for number in numbers {
                check_who(
                    &format!(r#"{{"error":"invalid_grant","error_codes":[{number}]}}"#),
                    expected,
                );
                let text = format!("AADSTS{number}: words");
                check_who(
                    &format!(r#"{{"error":"interaction_required","error_description":"{text}"}}"#),
                    expected,
                );
            }
        }
        check_who(r#"{"error":"invalid_grant","suberror":"consent_required"}"#, "administrator");
        check_who(r#"{"error":"invalid_grant","suberror":"message_only"}"#, "administrator");
        check_who(r#"{"error":"interaction_required","suberror":"basic_action"}"#, "sign_in");
        check_who(r#"{"error":"consent_required"}"#, "administrator");
        check_who(r#"{"error":"temporarily_unavailable"}"#, "busy");
        check_who(r#"{"error":"invalid_grant","error_codes":"x","suberror":7}"#, "sign_in");
        // A number of others, and one that is no number.
        check_who(r#"{"error":"invalid_client","error_codes":[7000222]}"#, "client");
        check_who(r#"{"error":"invalid_grant","error_description":"AADSTS: x"}"#, "sign_in");
    }

    #[test]
    fn who_signed_in() {
        let told = |claims: &str| {
            let token = format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
            let body = format!(r#"{{"access_token":"a","id_token":"{token}"}}"#);
            tokens(&answer(200, &body), &[]).unwrap().person
        };
        assert_eq!(
            told(r#"{"preferred_username":"eve@x.test","oid":"1-2","name":"Eve"}"#),
            ["eve@x.test", "1-2"]
        );
        assert_eq!(told(r#"{"preferred_username":"eve\r\n","upn":7,"email":""}"#), [""; 0]);
        assert_eq!(told("[]"), [""; 0]);
    }

    #[test]
    fn what_we_sent_is_not_repeated() {
        check(
            400,
            r#"{"error":"invalid_grant","error_description":"unknown token s3cret-refresh"}"#,
            "sign_in: the provider wants a person to sign in (invalid_grant)",
        );
        check(400, r#"{"error":"s3cret-refresh"}"#, "refused: the provider refused (unreadable)");
    }
}
