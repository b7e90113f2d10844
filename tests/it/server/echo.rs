//! A web server that throws everything it hears back at whoever asks: as a token endpoint that
//! refuses, as an OpenID provider, as a webhook.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::net::TcpListener;

use super::json;

/// A running one.
pub struct Echo {
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    heard: Arc<Mutex<String>>,
    task: tokio::task::JoinHandle<()>,
}

impl Echo {
    /// Starts one.
    pub async fn start() -> Echo {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Arc<Mutex<String>> = Arc::default();
        let shared = heard.clone();
        let task = json::serve(listener, move |request| {
            let asked = request.whole();
            shared.lock().unwrap().push_str(&asked);
            answer(port, &asked)
        });
        Echo { port, heard, task }
    }

    /// All it has heard.
    pub fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(port: u16, asked: &str) -> (u16, String) {
    let issuer = format!("http://127.0.0.1:{port}");
    if asked.starts_with("GET /.well-known/openid-configuration") {
        let found = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        return (200, found.to_string());
    }
    // Of what it hears, a token endpoint says the login alone: anything beside it might be what makes
    // the answer be left out.
    let login = asked.lines().find(|line| line.starts_with("authorization: "));
    let description = login.unwrap_or(asked);
    let said =
        json!({ "error": "invalid_client", "error_description": description, "hint": asked });
    (400, said.to_string())
}
