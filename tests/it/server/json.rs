//! A web server that answers each request with JSON.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::graph::{Request, read_request};

/// Answers every request on any number of connections with the status and the JSON text that this makes
/// of it.
pub(super) fn serve(
    listener: TcpListener,
    answer: impl Fn(&Request) -> (u16, String) + Send + Sync + 'static,
) -> JoinHandle<()> {
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                while let Some(request) = read_request(&mut stream).await {
                    let (status, body) = answer(&request);
                    let answer = format!(
                        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n\
                         content-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    })
}
