//! A server that takes every mail: postfix `smtp-sink` if it is installed, else a small one in
//! threads of this process.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Where Debian puts postfix's test server.
const SMTP_SINK: &str = "/usr/sbin/smtp-sink";

/// The other end. A child is ended with the value.
pub struct Peer {
    /// What it is.
    pub name: &'static str,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
    child: Option<Child>,
}

impl Peer {
    /// Starts one.
    pub fn start() -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if !Path::new(SMTP_SINK).exists() {
            std::thread::spawn(move || serve(listener));
            return Peer { name: "a server of our own", port, child: None };
        }
        drop(listener);
        let mut command = Command::new(SMTP_SINK);
        let owner = std::fs::metadata("/proc/self").unwrap();
        // As root it wants to become somebody else.
        if std::os::unix::fs::MetadataExt::uid(&owner) == 0 {
            command.args(["-u", "daemon"]);
        }
        let child = command
            .args([format!("127.0.0.1:{port}"), "1000".into()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let peer = Peer { name: "postfix smtp-sink", port, child: Some(child) };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return peer;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("smtp-sink does not listen");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn serve(listener: TcpListener) {
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let _ = talk(stream);
        });
    }
}

/// Says yes to everything.
fn talk(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    writer.write_all(b"220 bench\r\n")?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let answer = match line.trim_end() {
            hello if hello.starts_with("EHLO") => "250-bench\r\n250 PIPELINING\r\n",
            "DATA" => {
                writer.write_all(b"354 go on\r\n")?;
                while line != ".\r\n" {
                    line.clear();
                    reader.read_line(&mut line)?;
                }
                "250 taken\r\n"
            }
            _ => "250 ok\r\n",
        };
        writer.write_all(answer.as_bytes())?;
        line.clear();
    }
    Ok(())
}
