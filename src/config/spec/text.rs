//! Texts with a form of their own: durations, sizes, dates, references to secrets.
//!
//! Architecture invariant: the form is part of the schema (a pattern), so that an editor and
//! `check` agree; `compile` reads the value.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A text of a given form: `pattern` for the schema, `form` for the message.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// Anchored regular expression.
    pub pattern: &'static str,
    /// Reads after "must be".
    pub wanted: &'static str,
}

/// All forms; a failing pattern finds its words in here.
pub const FORMS: [Form; 7] = [DURATION, SIZE, DATE, SINCE, SHA256, DIGITS, NAME];

/// `30s`.
const DURATION: Form = Form {
    pattern: "^[0-9]{1,9}(ms|s|m|h|d)$",
    wanted: "a duration such as 500ms, 30s, 10m, 2h or 30d",
};
/// `32MiB`.
const SIZE: Form = Form {
    pattern: "^[0-9]{1,9}(B|KiB|MiB|GiB|kB|MB|GB)$",
    wanted: "a size such as 500kB or 32MiB",
};
/// `2027-06-30`.
const DATE: Form =
    Form { pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", wanted: "a date such as 2027-06-30" };
/// `linked`.
const SINCE: Form = Form {
    pattern: "^(linked|all|[0-9]{4}-[0-9]{2}-[0-9]{2})$",
    wanted: "linked, all, or a date such as 2027-06-30",
};
/// Hex digits.
const SHA256: Form =
    Form { pattern: "^[0-9a-fA-F]{64}$", wanted: "a SHA-256 in 64 hexadecimal digits" };
/// `10`.
const DIGITS: Form = Form { pattern: "^[0-9]{1,8}$", wanted: "one to eight digits, in quotes" };
/// A name of an environment variable or of a file in the secrets directory.
const NAME: Form = Form {
    pattern: "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$",
    wanted: "a name of letters, digits, `_`, `-` and `.`",
};

macro_rules! formed_text {
    ($(#[$doc:meta])* $name:ident, $form:ident, $about:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $form.pattern, "description": $about })
            }
        }
    };
}

formed_text!(
    /// A length of time.
    DurationText, DURATION, "A length of time: a number and `ms`, `s`, `m`, `h` or `d`."
);
formed_text!(
    /// A number of bytes.
    SizeText, SIZE, "A number of bytes: a number and `B`, `kB`, `MB`, `GB`, `KiB`, `MiB` or `GiB`."
);
formed_text!(
    /// A day.
    DateText, DATE, "A day: year, month and day."
);
formed_text!(
    /// From when on mail is taken.
    SinceText, SINCE,
    "Mail that lay there before the account was first seen: `linked` leaves it alone and reports it, `all` takes it, a date takes what arrived on or after that day."
);
formed_text!(
    /// A digest.
    Sha256Text, SHA256, "A SHA-256 in hexadecimal."
);
formed_text!(
    /// Digits that must stay text.
    DigitsText, DIGITS, "Digits, in quotes."
);
formed_text!(
    /// A plain name.
    NameText, NAME, "A name of letters, digits, `_`, `-` and `.`."
);

/// Where a secret is found. Exactly one of the three. The value is read when it is used, so a
/// rotated file needs no reload.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct SecretReference {
    /// Name of an environment variable.
    pub env: Option<NameText>,
    /// Path of a file, relative to this one. A line end at its end is cut.
    pub file: Option<String>,
    /// Name of a file in the directory given with `--secrets-dir`.
    pub secret: Option<NameText>,
}

/// The content of a file.
#[derive(Debug, Clone, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TextFile {
    /// Path relative to the YAML file that names it. It must stay beneath the configuration
    /// directory and be no larger than 64 KiB.
    pub file: String,
}

/// Plain text, or an object in its place.
#[derive(Debug, Clone)]
pub enum TextOr<T> {
    /// Written on the spot.
    Plain(String),
    /// Found elsewhere.
    Other(T),
}

/// Plain text, or a reference to where it is found.
pub type TextOrReference = TextOr<SecretReference>;

/// A template: written on the spot, or in a file.
pub type Template = TextOr<TextFile>;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TextOr<T>, D::Error> {
        deserializer.deserialize_any(TextOrVisitor(PhantomData))
    }
}

struct TextOrVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrVisitor<T> {
    type Value = TextOr<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or an object that says where the text is found")
    }

    fn visit_str<E>(self, text: &str) -> Result<TextOr<T>, E> {
        Ok(TextOr::Plain(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<TextOr<T>, E> {
        Ok(TextOr::Plain(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOr<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(TextOr::Other)
    }
}

impl<T: JsonSchema> JsonSchema for TextOr<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("TextOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let other = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "type": "string" }, other] })
    }
}
