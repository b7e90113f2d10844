//! Is this ID token one of the issuer's, for us, for this attempt, and of now? Pure.
//!
//! OpenID Connect Core 1.0 section 3.1.3.7, RFC 7515 (signatures), RFC 7517 (keys). Two algorithms
//! are understood: RS256, which every provider has, and ES256. `none` and the symmetric ones never
//! are: the token says how it is signed, and must not choose something weaker than a key of the
//! issuer's.
//!
//! Architecture invariant: nothing of a token is looked at before its signature was verified,
//! except which key and algorithm it names; and nothing of it is part of an error.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 32 * 1024;
/// Keys of a set that are looked at.
const KEYS_MAX: usize = 100;
/// Clocks may differ by this much.
const LEEWAY_SECS: i64 = 120;
/// A token for an attempt of now was made lately.
const AGE_SECS_MAX: i64 = 3600;

/// Keys of a provider.
#[derive(Debug, Clone, Deserialize)]
pub struct Keys {
    keys: Vec<Value>,
}

#[derive(Debug, Deserialize)]
struct Key {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who issued it.
    pub issuer: &'a str,
    /// For whom.
    pub client_id: &'a str,
    /// For which attempt.
    pub nonce: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// Why a token does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is no signed token.
    #[error("it is not a signed token")]
    Shape,
    /// Signed in a way that is not understood.
    #[error("it is signed neither with RS256 nor with ES256")]
    Algorithm,
    /// No key of the issuer's made the signature.
    #[error("its signature is of no key of the issuer's")]
    Signature,
    /// Of another issuer.
    #[error("it is of another issuer")]
    Issuer,
    /// For somebody else.
    #[error("it is for another client")]
    Audience,
    /// Of another attempt.
    #[error("it belongs to another attempt to sign in")]
    Nonce,
    /// About somebody else.
    #[error("what the provider tells beside it is about somebody else")]
    Subject,
    /// Too old, or of the future.
    #[error("it is not of now; are the clocks right?")]
    Time,
}

/// What a provider says of a person.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// With what the provider tells beside the token; it must be about the same person (Core 1.0
    /// section 5.3.2), and what the token says stays.
    pub fn with(mut self, more: Map<String, Value>) -> Result<Claims, Invalid> {
        if self.text("sub").is_none() || more.get("sub") != self.0.get("sub") {
            return Err(Invalid::Subject);
        }
        for (name, value) in more {
            self.0.entry(name).or_insert(value);
        }
        Ok(self)
    }

    /// A claim that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// The address of the person, if the provider says that it has made sure of it.
    pub fn verified_email(&self) -> Option<&str> {
        // Some providers say it as a text.
        let verified = match self.0.get("email_verified")? {
            Value::Bool(verified) => *verified,
            Value::String(text) => text == "true",
            _ => false,
        };
        self.text("email").filter(|_| verified)
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515 section 4.1.11). None is.
    #[serde(default)]
    crit: Option<Value>,
}

/// The claims of a token that counts.
pub fn verify(token: &str, keys: &Keys, expected: &Expected<'_>) -> Result<Claims, Invalid> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Invalid::Shape);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Invalid::Shape)?;
    let (header, payload) = signed.split_once('.').ok_or(Invalid::Shape)?;
    let header: Header = json(header)?;
    if header.crit.is_some() {
        return Err(Invalid::Shape);
    }
    let signature = bytes(signature)?;
    is_signed(&header, keys, signed.as_bytes(), &signature)?;
    let claims = Claims(json(payload)?);
    is_meant(&claims, expected)?;
    Ok(claims)
}

/// Whether a key of the issuer's made this signature.
fn is_signed(header: &Header, keys: &Keys, signed: &[u8], signature: &[u8]) -> Result<(), Invalid> {
    let kind = match header.alg.as_str() {
        "RS256" => "RSA",
        "ES256" => "EC",
        _ => return Err(Invalid::Algorithm),
    };
    // Keys of kinds that we do not know stand in many sets; they are passed over.
    let known = keys.keys.iter().take(KEYS_MAX);
    let known = known.filter_map(|key| Key::deserialize(key).ok());
    let fits = |key: &Key| {
        let named = header.kid.is_none() || key.kid.is_none() || key.kid == header.kid;
        key.kty == kind && named && key.usage.as_deref().is_none_or(|usage| usage == "sig")
    };
    let made = |key: Key| made_by(&key, signed, signature).is_some();
    if known.filter(fits).any(made) { Ok(()) } else { Err(Invalid::Signature) }
}

/// RFC 7518 sections 6.2 and 6.3; `None` if it was not this key.
fn made_by(key: &Key, signed: &[u8], signature: &[u8]) -> Option<()> {
    let part = |part: &Option<String>| bytes(part.as_deref()?).ok();
    if key.kty == "RSA" {
        let (n, e) = (part(&key.n)?, part(&key.e)?);
        let components = RsaPublicKeyComponents { n: without_zeros(&n), e: without_zeros(&e) };
        return components.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).ok();
    }
    if key.crv.as_deref() != Some("P-256") {
        return None;
    }
    let point = [vec![4], part(&key.x)?, part(&key.y)?].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).ok()
}

fn is_meant(claims: &Claims, expected: &Expected<'_>) -> Result<(), Invalid> {
    if claims.text("iss") != Some(expected.issuer) {
        return Err(Invalid::Issuer);
    }
    let ours = match claims.0.get("aud") {
        Some(Value::String(one)) => one == expected.client_id,
        // Of several, the one it was issued to has to be us.
        Some(Value::Array(all)) => {
            all.iter().any(|one| one == expected.client_id)
                && (all.len() == 1 || claims.text("azp").is_some())
        }
        _ => false,
    };
    if !ours || claims.text("azp").is_some_and(|azp| azp != expected.client_id) {
        return Err(Invalid::Audience);
    }
    if claims.text("nonce") != Some(expected.nonce) {
        return Err(Invalid::Nonce);
    }
    let second = |name| claims.0.get(name).and_then(Value::as_f64).map(|at| at as i64);
    let now = expected.now.as_second();
    let (Some(ends), Some(made)) = (second("exp"), second("iat")) else {
        return Err(Invalid::Time);
    };
    let begins = second("nbf").unwrap_or(made);
    let of_now = ends > now.saturating_sub(LEEWAY_SECS)
        && made <= now.saturating_add(LEEWAY_SECS)
        && begins <= now.saturating_add(LEEWAY_SECS)
        && made > now.saturating_sub(AGE_SECS_MAX);
    if of_now { Ok(()) } else { Err(Invalid::Time) }
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Invalid> {
    serde_json::from_slice(&bytes(part)?).map_err(|_| Invalid::Shape)
}

fn bytes(part: &str) -> Result<Vec<u8>, Invalid> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Invalid::Shape)
}

/// Numbers begin with their first digit that is not zero; some providers send more.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    struct Issuer {
        pair: EcdsaKeyPair,
        random: SystemRandom,
    }

    impl Issuer {
        fn new() -> Issuer {
            let random = SystemRandom::new();
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap();
            Issuer { pair, random }
        }

        fn keys(&self) -> Keys {
            let point = self.pair.public_key().as_ref();
            let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
            let key =
                json!({ "kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "x": x, "y": y });
            Keys { keys: vec![json!({ "kty": "oct" }), json!(7), key] }
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let signature = self.pair.sign(&self.random, signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn claims() -> Value {
        json!({ "iss": "https://login.example", "aud": "desk", "nonce": "n", "sub": "7",
                "iat": NOW, "exp": NOW + 300, "email": "a@b.example", "email_verified": true })
    }

    fn expected() -> Expected<'static> {
        Expected {
            issuer: "https://login.example",
            client_id: "desk",
            nonce: "n",
            now: Timestamp::from_second(NOW).unwrap(),
        }
    }

    #[track_caller]
    fn check(change: &Value, expected_result: Result<(), Invalid>) {
        let issuer = Issuer::new();
        let mut claims = claims();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let token = issuer.sign(&json!({ "alg": "ES256", "kid": "1" }), &claims);
        let result = verify(&token, &issuer.keys(), &expected()).map(drop);
        assert_eq!(result, expected_result, "{change}");
    }

    #[test]
    fn claims_that_count_and_claims_that_do_not() {
        check(&json!({}), Ok(()));
        check(&json!({ "iss": "https://login.example/" }), Err(Invalid::Issuer));
        check(&json!({ "aud": "other" }), Err(Invalid::Audience));
        check(&json!({ "aud": ["desk"] }), Ok(()));
        check(&json!({ "aud": ["desk", "other"] }), Err(Invalid::Audience));
        check(&json!({ "aud": ["desk", "other"], "azp": "desk" }), Ok(()));
        check(&json!({ "azp": "other" }), Err(Invalid::Audience));
        check(&json!({ "aud": null }), Err(Invalid::Audience));
        check(&json!({ "nonce": "m" }), Err(Invalid::Nonce));
        check(&json!({ "nonce": null }), Err(Invalid::Nonce));
        check(&json!({ "exp": NOW - LEEWAY_SECS }), Err(Invalid::Time));
        check(&json!({ "exp": null }), Err(Invalid::Time));
        check(&json!({ "iat": NOW + LEEWAY_SECS + 1 }), Err(Invalid::Time));
        check(&json!({ "iat": NOW - AGE_SECS_MAX, "exp": NOW + 9 }), Err(Invalid::Time));
        check(&json!({ "nbf": NOW + LEEWAY_SECS + 1 }), Err(Invalid::Time));
        check(&json!({ "iat": 1e300, "exp": 1e300 }), Err(Invalid::Time));
    }

    #[test]
    fn only_a_key_of_the_issuer_signs() {
        let (issuer, thief) = (Issuer::new(), Issuer::new());
        let header = json!({ "alg": "ES256", "kid": "1" });
        let token = thief.sign(&header, &claims());
        let verify = |token: &str| verify(token, &issuer.keys(), &expected()).map(drop);
        assert_eq!(verify(&token), Err(Invalid::Signature));
        let token = issuer.sign(&header, &claims());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(verify(&format!("{signed}.")), Err(Invalid::Signature));
        let other = URL_SAFE_NO_PAD.encode(claims().to_string().replace("\"7\"", "\"8\""));
        let head = signed.split('.').next().unwrap();
        assert_eq!(verify(&format!("{head}.{other}.{signature}")), Err(Invalid::Signature));
        let unknown = issuer.sign(&json!({ "alg": "ES256", "kid": "2" }), &claims());
        assert_eq!(verify(&unknown), Err(Invalid::Signature));
        let nameless = issuer.sign(&json!({ "alg": "ES256" }), &claims());
        assert_eq!(verify(&nameless), Ok(()));
    }

    #[test]
    fn a_token_does_not_choose_how_it_is_verified() {
        let issuer = Issuer::new();
        for algorithm in ["none", "HS256", "es256", "", "RS512"] {
            let token = issuer.sign(&json!({ "alg": algorithm }), &claims());
            let result = verify(&token, &issuer.keys(), &expected()).map(drop);
            assert_eq!(result, Err(Invalid::Algorithm), "{algorithm}");
        }
        let token = issuer.sign(&json!({ "alg": "ES256", "crit": ["b64"] }), &claims());
        assert_eq!(verify(&token, &issuer.keys(), &expected()).map(drop), Err(Invalid::Shape));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let keys = Issuer::new().keys();
        for token in ["", ".", "..", "a.b.c", "a.b", &"x".repeat(TOKEN_BYTES_MAX + 1)] {
            assert_eq!(verify(token, &keys, &expected()).map(drop), Err(Invalid::Shape));
        }
    }

    #[test]
    fn more_is_told_of_the_same_person_only() {
        let claims = Claims(claims().as_object().unwrap().clone());
        let more = |value: Value| value.as_object().unwrap().clone();
        let told = claims.clone().with(more(json!({ "sub": "7", "name": "A", "iss": "x" })));
        let told = told.unwrap();
        assert_eq!((told.text("name"), told.text("iss")), (Some("A"), claims.text("iss")));
        let other = claims.clone().with(more(json!({ "sub": "8", "name": "B" })));
        assert_eq!(other, Err(Invalid::Subject));
        assert_eq!(claims.with(more(json!({}))), Err(Invalid::Subject));
    }

    #[track_caller]
    fn check_email(verified: &Value, expected: Option<&str>) {
        let mut claims = claims();
        claims["email_verified"] = verified.clone();
        let claims = Claims(claims.as_object().unwrap().clone());
        assert_eq!(claims.verified_email(), expected);
    }

    #[test]
    fn an_address_counts_only_if_it_was_verified() {
        check_email(&json!(true), Some("a@b.example"));
        check_email(&json!("true"), Some("a@b.example"));
        check_email(&json!(false), None);
        check_email(&json!("false"), None);
        check_email(&json!(1), None);
        check_email(&Value::Null, None);
    }
}
