//! What a refusal with 5xx is about: this mail and its recipient, or us.
//!
//! Servers refuse with one reply code whether the recipient does not exist or our account has sent
//! its thousand mails of the day. The enhanced code (RFC 3463) tells them apart at some servers, at
//! the others only the words do. What is not recognised here counts against the recipient.
//!
//! Architecture invariant: decides from one reply; knows no connection and no mail.

use lettre::transport::smtp::response::{Response, Severity};

use super::Step;

/// What a server refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Our account has sent as much as it may for now.
    Quota,
    /// Our account, network or subscription may not send at all.
    Account,
    /// This sender may not be used with this login.
    Sender,
}

/// All causes of refusals that are about us.
pub(super) const CAUSES: [&str; 3] = ["quota", "policy", "sender"];

impl Refused {
    /// The cause as the outbox and the metrics call it.
    pub(super) fn cause(self) -> &'static str {
        match self {
            Refused::Quota => "quota",
            Refused::Account => "policy",
            Refused::Sender => "sender",
        }
    }
}

/// Words of refusals that are about us, in lower case: all of a row must be found. The comment names
/// a public report or the provider's own list.
const ABOUT_US: [(&[&str], Refused); 30] = [
    // Exchange Online, MicrosoftDocs/OfficeDocs-Support#1150.
    (&["submissionquotaexceeded"], Refused::Quota),
    // Gmail: gen-smtp/gen_smtp#140, PHPMailer/PHPMailer#2113; also with `550 5.4.5`.
    (&["sending quota exceeded"], Refused::Quota),
    // Gmail: gophish/gophish#1604. Another hoster: nodemailer/nodemailer#1137.
    (&["sending limit", "exceeded"], Refused::Quota),
    // Google Workspace relay, support.google.com/a/answer/6140680 and /3726730.
    (&["relay", "limit exceeded"], Refused::Quota),
    (&["exceeded", "relay limit"], Refused::Quota),
    (&["email quota exceeded"], Refused::Quota),
    // Amazon SES, "Amazon SES SMTP response codes".
    (&["daily message quota exceeded"], Refused::Quota),
    (&["maximum sending rate exceeded"], Refused::Quota),
    // Exchange Online, NDR 5.1.90: MicrosoftDocs/OfficeDocs-Exchange#2729.
    (&["reached your daily limit"], Refused::Quota),
    // Zotonic's relay: zotonic/zotonic#3508.
    (&["limit", "exceeded", "try again later"], Refused::Quota),
    // Hosters with a limit for each hour: gophish/gophish#3231.
    (&["exceeded hour limit"], Refused::Quota),
    (&["messages per hour", "exceeded"], Refused::Quota),
    // Exim as cPanel configures it, docs.cpanel.net "Tweak Settings", "Max hourly emails".
    (&["exceeded the max emails per hour"], Refused::Quota),
    (&["exceeded the max defers and failures per hour"], Refused::Quota),
    // root-io/vmail#67: "only 10 messages per day".
    (&["only", "messages per day"], Refused::Quota),
    // aschroder/Magento-SMTP-Pro-Email-Extension#94.
    (&["too many emails"], Refused::Quota),
    // ChangemakerStudios/Papercut-SMTP#199.
    (&["exceeded outgoing email quota"], Refused::Quota),
    // Zoho, zoho.com/mail/help "Unusual sending activity".
    (&["unusual sending activity"], Refused::Quota),
    // Generic words of rate limiters, such as policyd.
    (&["rate limit", "exceeded"], Refused::Quota),
    (&["throttl"], Refused::Quota),
    // Exchange Online 5.7.705, MicrosoftDocs/microsoft-365-docs#986.
    (&["tenant has exceeded threshold"], Refused::Account),
    // Exchange Online 5.7.501 to 5.7.508 and 5.7.708, the same list of NDR codes.
    (&["access denied", "spam abuse detected"], Refused::Account),
    (&["access denied", "traffic not accepted"], Refused::Account),
    // Amazon SES: hcengineering/platform#8899, faiscadev/fakecloud#1110.
    (&["sending paused for this account"], Refused::Account),
    (&["email sending for the account is paused"], Refused::Account),
    // Postfix `reject_sender_login_mismatch`; Yandex: fisharebest/webtrees#2370.
    (&["not owned by"], Refused::Sender),
    // 163.com: splitbrain/dokuwiki-plugin-smtp#1.
    (&["must equal authorized user"], Refused::Sender),
    // Exchange 5.7.60 and 5.2.252, "SendAsDenied".
    (&["send as this sender"], Refused::Sender),
    (&["sendasdenied"], Refused::Sender),
    // Amazon SES, "Message rejected: Email address is not verified".
    (&["email address is not verified"], Refused::Sender),
];

/// Words that make a limit that of the mail or of its recipient, whatever else is said.
const ABOUT_THE_MAIL: [&str; 10] = [
    "size",
    "mailbox",
    "over quota",
    "recipient has",
    "recipient is",
    "this recipient",
    "trying to contact",
    "tried to reach",
    "attachment",
    "hop",
];

/// What a refusal for good says about us; `None` if it is about the mail or its recipient.
pub(super) fn about_us(reply: &Response) -> Option<Refused> {
    if reply.code().severity != Severity::PermanentNegativeCompletion {
        return None;
    }
    let words = words(reply);
    let named = ABOUT_US.iter().find(|(row, _)| row.iter().all(|word| words.contains(word)));
    let named = named.map(|(_, refused)| *refused);
    match enhanced(reply) {
        // RFC 3463 section 3.5: "mail system congestion".
        Some((4, 5)) => return Some(Refused::Quota),
        // RFC 3463 section 3.2: the sender's mailbox, the sender's system.
        Some((1, 7 | 8)) => return Some(Refused::Sender),
        _ => {}
    }
    // Microsoft's word for a quota of ours is clear, and comes with the code for a full mailbox.
    let is_clear = words.contains("submissionquotaexceeded") || named == Some(Refused::Sender);
    let about_the_mail = ABOUT_THE_MAIL.iter().any(|word| words.contains(word));
    // RFC 3463 section 3.3: the state of the recipient's mailbox.
    let of_mailbox = matches!(enhanced(reply), Some((2, _)));
    named.filter(|_| is_clear || !(about_the_mail || of_mailbox))
}

/// Whether a refusal of a mail with the null sender may be for that sender: the answer to MAIL, or
/// one to RCPT that names the sender, as servers say that judge both together.
pub(super) fn may_be_for_the_null_sender(step: Step, reply: &Response) -> bool {
    let permanent = reply.code().severity == Severity::PermanentNegativeCompletion;
    match step {
        Step::Mail => permanent,
        Step::Rcpt => permanent && about_us(reply) == Some(Refused::Sender),
        Step::Data | Step::End => false,
    }
}

/// Subject and detail of the enhanced code (RFC 2034 section 4), if the reply begins with one.
fn enhanced(reply: &Response) -> Option<(u16, u16)> {
    let first = reply.message().next()?.split_whitespace().next()?;
    code(first)
}

/// `5.4.5`, also as qmail writes it: `(#5.4.5)`.
fn code(word: &str) -> Option<(u16, u16)> {
    let word = word.trim_matches(|sign| matches!(sign, '(' | ')' | '#' | '[' | ']' | ':' | ','));
    let mut parts = word.split('.');
    let class: u16 = parts.next()?.parse().ok()?;
    let (subject, detail) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (matches!(class, 2 | 4 | 5) && parts.next().is_none()).then_some((subject, detail))
}

/// The words in lower case, without the codes that each line may begin with.
fn words(reply: &Response) -> String {
    let words = reply.message().flat_map(str::split_whitespace);
    let words: Vec<String> =
        words.filter(|word| code(word).is_none()).map(str::to_lowercase).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reply: &str, expected: Option<Refused>) {
        assert_eq!(about_us(&format!("{reply}\r\n").parse().unwrap()), expected, "{reply}");
    }

    #[test]
    fn quotas() {
        let quota = Some(Refused::Quota);
        check("550 5.4.5 Daily user sending quota exceeded. o65 - gsmtp", quota);
        check("550-5.4.5 Daily user sending limit\r\n550 5.4.5 exceeded.", quota);
        check("550-5.7.1 Daily SMTP relay\r\n550 5.7.1 limit exceeded for customer.", quota);
        check("554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", quota);
        check("554 5.7.0 Your limit of 100 was exceeded. Try again later", quota);
        check("550 Domain desk.test has exceeded the max emails per hour (100/100) allowed", quota);
        check("550 User desk@x.test has exceeded its 24-hour sending limit.", quota);
        check("554 5.7.1 <DATA>: Data command rejected: only 10 messages per day", quota);
        check("550 send spam mail rejected: exceeded hour limit", quota);
    }

    #[test]
    fn the_account_itself() {
        let account = Some(Refused::Account);
        check("550 5.7.705 Access denied, tenant has exceeded threshold", account);
        check("554 Sending paused for this account. For more information, see", account);
    }

    #[test]
    fn the_sender() {
        let sender = Some(Refused::Sender);
        check("553 5.7.1 <a@b.test>: Sender address rejected: not owned by user desk", sender);
        check("553 Mail from must equal authorized user", sender);
        check("550 5.7.60 SMTP; Client does not have permissions to send as this sender", sender);
        check("550 5.1.8 <a@b.test>: Sender address rejected: Domain not found", sender);
    }

    #[test]
    fn the_mail_and_its_recipient() {
        for reply in [
            "550 5.1.1 no such user",
            "552 5.2.2 The email account that you tried to reach is over quota",
            "552 5.2.2 mailbox full: quota exceeded, try again later",
            "552 5.3.4 Message size limit exceeded, try again later",
            "550 5.2.1 The user you are trying to contact exceeded its rate limit",
            "550 5.7.1 recipient has exceeded their message rate limit",
            "554 5.4.6 hop limit exceeded, try again later",
            "554 5.7.1 spam",
            "552 too big",
        ] {
            check(reply, None);
        }
        check("450 4.2.1 Peak SMTP relay limit exceeded for customer", None);
    }

    #[test]
    fn the_null_sender() {
        let check = |step, reply: &str, expected| {
            let reply = format!("{reply}\r\n").parse().unwrap();
            assert_eq!(may_be_for_the_null_sender(step, &reply), expected);
        };
        check(Step::Mail, "501 Invalid MAIL FROM address provided", true);
        check(Step::Mail, "451 4.3.0 later", false);
        check(Step::Rcpt, "553 5.7.1 <>: Sender address rejected: not owned by user desk", true);
        check(Step::Rcpt, "550 5.1.1 no such user", false);
        check(Step::End, "550 5.1.8 bad sender", false);
    }
}
