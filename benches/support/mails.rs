//! Mails to measure with: alike from run to run, and no two of them equal.

use std::fmt::Write;

/// Characters of base64, and as many lines of it as are asked for.
const BASE64_LINE: &str =
    "UG9zdHJvb20gbWVhc3VyZXMgaXRzZWxmIHdpdGggYXR0YWNobWVudHMgbGlrZSB0aGlzIG9uZS4u";
const SENTENCE: &str = "The printer on the third floor prints one page and then stops again.\r\n";

/// A plain mail of this length in bytes, from a sender of its own.
pub fn plain(number: usize, bytes: usize) -> Vec<u8> {
    let mut mail = header(number);
    mail.push_str("Content-Type: text/plain; charset=utf-8\r\n\r\n");
    fill(&mut mail, SENTENCE, bytes);
    mail.into_bytes()
}

/// A mail of this length with a short text and an attachment.
pub fn attached(number: usize, bytes: usize) -> Vec<u8> {
    let mut mail = header(number);
    mail.push_str("Content-Type: multipart/mixed; boundary=\"part\"\r\n\r\n");
    mail.push_str("--part\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n");
    let text = mail.len() + 600;
    fill(&mut mail, SENTENCE, text);
    mail.push_str("\r\n--part\r\nContent-Type: application/pdf; name=\"scan.pdf\"\r\n");
    mail.push_str("Content-Disposition: attachment; filename=\"scan.pdf\"\r\n");
    mail.push_str("Content-Transfer-Encoding: base64\r\n\r\n");
    fill(&mut mail, &format!("{BASE64_LINE}\r\n"), bytes);
    mail.push_str("\r\n--part--\r\n");
    mail.into_bytes()
}

/// The mixture of a real mailbox, 90 KB in the mean: of ten mails six of 2 to 10 KB, three of
/// 50 to 200 KB and one of 500 KB.
pub fn mixed(number: usize) -> Vec<u8> {
    // A spread that is the same in every run.
    let spread = number * 7919 % 1000;
    match number % 10 {
        0..6 => plain(number, 2_000 + 8 * spread),
        6..9 => attached(number, 50_000 + 150 * spread),
        _ => attached(number, 500_000),
    }
}

fn header(number: usize) -> String {
    format!(
        "Return-Path: <customer{number}@customer.example>\r\n\
         Received: from mx.customer.example by mx.example.com; Wed, 4 Mar 2026 08:00:00 +0000\r\n\
         From: Customer {number} <customer{number}@customer.example>\r\n\
         To: Support <support@desk.example>\r\n\
         Subject: The printer has stopped again ({number})\r\n\
         Message-ID: <measure-{number}@customer.example>\r\n\
         Date: Wed, 4 Mar 2026 08:00:00 +0000\r\n\
         MIME-Version: 1.0\r\n"
    )
}

fn fill(mail: &mut String, line: &str, bytes: usize) {
    let mut count = 0;
    while mail.len() + line.len() + 12 <= bytes {
        count += 1;
        // Every tenth line differs, so that the disk cannot compress them away.
        if count % 10 == 0 {
            let _ = write!(mail, "{:08}\r\n", bytes * 31 + count);
        }
        mail.push_str(line);
    }
    while mail.len() + 2 < bytes {
        mail.push('x');
    }
    mail.push_str("\r\n");
}
