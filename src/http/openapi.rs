//! The OpenAPI 3.1 document, made from the table of routes and the types that travel.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::problem;
use super::routes::{self, Access, Again, Payload, Route, role_name};

/// The document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let failure = generator.subschema_for::<problem::Problem>().to_value();
    let mut paths: Map<String, Value> = Map::new();
    for route in routes::all().into_iter().filter(|route| !route.access.is_page()) {
        let operation = operation(&route, &mut generator, &failure);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Postroom",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Tickets, mails, outbox and quarantine of one desk.",
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
}

/// The same bytes for everybody: slow readers hold them once.
pub(super) async fn serve() -> Response {
    static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}

fn operation(route: &Route, generator: &mut SchemaGenerator, failure: &Value) -> Value {
    let mut responses = json!({ "200": answer(route.gives, generator) });
    for status in failures(route) {
        let words = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        responses[status.to_string()] = json!({
            "description": words.unwrap_or("Why it was not carried out"),
            "content": { problem::CONTENT_TYPE: { "schema": failure } },
        });
    }
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "responses": responses,
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = content(route.takes, generator) {
        operation["requestBody"] = json!({ "required": true, "content": body });
    }
    if let Access::Role(role) = route.access {
        operation["security"] = json!([{ "bearer": [] }]);
        operation["x-role"] = role_name(role).into();
    }
    operation
}

/// Statuses with which a route can say no. No other is answered: a test asks.
fn failures(route: &Route) -> BTreeSet<u16> {
    // What was asked makes no sense; and what can befall any request.
    let mut statuses = BTreeSet::from([400, 500, 503, 504]);
    match route.access {
        Access::Open | Access::Page(_) => {}
        Access::AdminOrLoopback | Access::Role(_) => statuses.extend([401, 403]),
    }
    if route.path.contains('{') {
        statuses.insert(404);
    }
    if !route.query.is_empty() {
        statuses.extend([404, 422]);
    }
    if !matches!(route.takes, Payload::None) {
        statuses.extend([404, 408, 413, 415, 422]);
    }
    if route.method != Method::GET {
        // From another host's page, against what stands there, and when the disk is full.
        statuses.extend([403, 409, 422, 507]);
    }
    statuses
}

fn answer(payload: Payload, generator: &mut SchemaGenerator) -> Value {
    let mut answer = json!({ "description": "Done" });
    if let Some(content) = content(payload, generator) {
        answer["content"] = content;
    }
    answer
}

fn content(payload: Payload, generator: &mut SchemaGenerator) -> Option<Value> {
    match payload {
        Payload::None => None,
        Payload::Json(schema) => {
            Some(json!({ "application/json": { "schema": schema(generator).to_value() } }))
        }
        Payload::Bytes(media_type) => {
            Some(json!({ media_type: { "schema": { "type": "string" } } }))
        }
    }
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = names_in_braces(route.path).map(|name| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = route.query.iter().map(|(name, meaning)| {
        let schema = json!({ "type": "string" });
        json!({ "name": name, "in": "query", "description": meaning, "schema": schema })
    });
    let once = (route.again != Again::Same).then(|| {
        let meaning = "the same request with the same key has one effect within 24 hours";
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 255 });
        let name = "Idempotency-Key";
        json!({ "name": name, "in": "header", "description": meaning, "schema": schema })
    });
    in_path.chain(in_query).chain(once).collect()
}

fn names_in_braces(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// `get /api/v1/tickets/{number}` becomes `getTicketsNumber`.
fn operation_id(route: &Route) -> String {
    let words = route.path.trim_start_matches("/api/v1").split(|c: char| !c.is_alphanumeric());
    let mut id = route.method.as_str().to_lowercase();
    for word in words.filter(|word| !word.is_empty()) {
        let (first, rest) = word.split_at(1);
        id.push_str(&first.to_uppercase());
        id.push_str(rest);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects every `$ref` of a document.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    found.insert(target.clone());
                }
                map.values().for_each(|inner| references(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for target in found {
            let pointer = target.strip_prefix('#').expect("references stay inside");
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut routes = routes::all();
        routes.retain(|route| !route.access.is_page());
        let names: BTreeSet<_> = routes.iter().map(operation_id).collect();
        assert_eq!(names.len(), routes.len());
        assert!(names.contains("patchTicketsNumber"));
    }

    #[test]
    fn what_needs_a_token_says_so() {
        let document = document();
        let path = &document["paths"]["/api/v1/outbox"]["get"];
        assert_eq!(path["x-role"], "manager");
        assert!(document["paths"]["/metrics"]["get"].get("security").is_none());
    }
}
