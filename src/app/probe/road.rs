//! The way to a server: its name, TCP, and TLS where that comes first. It is walked once before the
//! protocol is spoken, so that each step can be told apart.

use std::net::IpAddr;

use jiff::tz::TimeZone;

use super::{ProbeFailure, Step, advice};
use crate::core::config::{Endpoint, Security};
use crate::net::{self, Stream};

/// Addresses that are shown of one name.
const ADDRESSES_SHOWN: usize = 4;

/// Walks to the server and hangs up.
pub(super) async fn walk(
    endpoint: &Endpoint,
    host: &str,
    steps: &mut Vec<Step>,
) -> Result<(), ProbeFailure> {
    let (port, within) = (endpoint.port, endpoint.connect_timeout);
    let found = net::resolve(host, port, within).await.map_err(|error| {
        ProbeFailure::new("name", format!("{host:?} has no address: {error}"), advice::NAME)
    })?;
    if host.parse::<IpAddr>().is_err() {
        steps.push(Step::new("name", format!("{host} is {}", listed(&found))));
    }
    let tcp = net::connect(host, port, within).await;
    let tcp = tcp.map_err(|error| ProbeFailure::new("tcp", error.to_string(), advice::CONNECT))?;
    let at = tcp.peer_addr().map_or_else(|_| format!("port {port}"), |at| at.to_string());
    steps.push(Step::new("tcp", format!("{at} answers")));
    if endpoint.security == Security::Tls {
        let stream = net::encrypt(tcp, host, &endpoint.tls, within).await;
        let stream = stream.map_err(|error| {
            ProbeFailure::new("tls", error.to_string(), advice::tls(&error, endpoint.port))
        })?;
        steps.push(Step::new("tls", encrypted(&stream, endpoint.tls.insecure)));
    }
    Ok(())
}

/// The first of several addresses.
pub(super) fn listed(found: &[IpAddr]) -> String {
    let shown: Vec<String> = found.iter().take(ADDRESSES_SHOWN).map(IpAddr::to_string).collect();
    let more = if found.len() > ADDRESSES_SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn encrypted(stream: &Stream, insecure: bool) -> String {
    let version = stream.tls_version().unwrap_or("TLS");
    let last = stream.peer_certificate().and_then(net::expires);
    let valid = match last {
        _ if insecure => "whose certificate is not looked at (tls.insecure)".to_owned(),
        Some(at) => {
            format!("a certificate valid until {}", at.to_zoned(TimeZone::UTC).date())
        }
        None => "a valid certificate".to_owned(),
    };
    format!("{version}, {valid}")
}
