//! Mails that have the Message-ID of another mail: the copy that went to a second account, and what
//! somebody wrote who knows it.

use postroom::core::intake::Outcome;
use postroom::store::MailRecord;

use crate::daemon::{Daemon, deliver};

/// Two accounts of one desk; `anyone` says who may join a ticket of support by a reference.
fn desk(follow_up: &str) -> String {
    format!(
        "version: 1\nmailAccounts:\n  box: {{type: maildir, path: \"{{dir}}/box\", pollInterval: 1s, afterFetch: keep, since: all, \
         dispatch: {{by: queue, queue: support}}}}\n  other: {{type: maildir, path: \
         \"{{dir}}/other\", pollInterval: 1s, afterFetch: keep, since: all, dispatch: {{by: queue, queue: sales}}}}\nsmtp:\n  \
         files: {{type: file, directory: \"{{dir}}/sent\"}}\nsenders:\n  default: {{from: \"Desk \
         <desk@desk.example>\", via: [files]}}\nqueues:\n  support: {{{follow_up}}}\n  sales: {{{follow_up}}}\n\
         systemAddresses:\n  support@desk.example: {{queue: support}}\n  sales@desk.example: {{queue: sales}}\n"
    )
}

async fn start(follow_up: &str) -> Daemon {
    let mut daemon = Daemon::prepare(&desk(follow_up));
    for account in ["box", "other"] {
        for part in ["tmp", "new", "cur"] {
            std::fs::create_dir_all(daemon.path(account).join(part)).unwrap();
        }
    }
    daemon.again().await;
    daemon
}

fn mail(from: &str, id: &str, answers: &str, text: &str) -> Vec<u8> {
    let references = match answers {
        "" => String::new(),
        id => format!("In-Reply-To: <{id}>\r\nReferences: <{id}>\r\n"),
    };
    format!(
        "From: {from}\r\nTo: support@desk.example, sales@desk.example\r\nSubject: {text}\r\n\
         Message-ID: <{id}>\r\n{references}\r\n{text}\r\n"
    )
    .into_bytes()
}

/// Delivers to an account, and answers what became of it.
async fn take(daemon: &Daemon, account: &str, count: usize, mail: &[u8]) -> MailRecord {
    deliver(&daemon.path(account), &format!("m{count}"), mail);
    daemon.mails(count).await[count - 1].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_account_threads_its_own_copies() {
    let daemon = start("").await;
    let first = mail("eve@cust.example", "one@cust.example", "", "Where is it?");
    let here = take(&daemon, "box", 1, &first).await;
    let there = take(&daemon, "other", 2, &first).await;
    assert_eq!([&here.outcome, &there.outcome], [&Outcome::Created; 2]);
    assert_ne!(here.ticket, there.ticket);
    let second = mail("eve@cust.example", "two@cust.example", "one@cust.example", "It came.");
    // In the other order than the first.
    let there_again = take(&daemon, "other", 3, &second).await;
    let here_again = take(&daemon, "box", 4, &second).await;
    assert_eq!((&there_again.outcome, &there_again.ticket), (&Outcome::FollowUp, &there.ticket));
    assert_eq!((&here_again.outcome, &here_again.ticket), (&Outcome::FollowUp, &here.ticket));
}

/// Whoever knows a Message-ID can write it before its owner does, or after.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_several_mails_claim_leads_to_the_senders_own_or_to_none() {
    for follow_up in ["", "followUp: {from: anyone}"] {
        for own_first in [false, true] {
            let daemon = start(follow_up).await;
            let forged = mail("mallory@evil.example", "one@cust.example", "", "Send it to me.");
            let own = mail("eve@cust.example", "one@cust.example", "", "Where is it?");
            let order = if own_first { [&own, &forged] } else { [&forged, &own] };
            let first = take(&daemon, "box", 1, order[0]).await;
            let second = take(&daemon, "box", 2, order[1]).await;
            assert_ne!(first.ticket, second.ticket);
            let (eves, mallorys) = if own_first { (first, second) } else { (second, first) };
            let answer = |from: &str, id: &str| mail(from, id, "one@cust.example", "And now?");
            let eve = take(&daemon, "box", 3, &answer("eve@cust.example", "3@x.example")).await;
            assert_eq!((&eve.outcome, &eve.ticket), (&Outcome::FollowUp, &eves.ticket));
            let mallory =
                take(&daemon, "box", 4, &answer("mallory@evil.example", "4@x.example")).await;
            assert_eq!((&mallory.outcome, &mallory.ticket), (&Outcome::FollowUp, &mallorys.ticket));
            // It cannot be said which ticket a third person means.
            let bob = take(&daemon, "box", 5, &answer("bob@cust.example", "5@x.example")).await;
            assert_eq!(bob.outcome, Outcome::Created, "{bob:?}");
        }
    }
}

/// Where one mail alone has the id, it leads there, as the queue allows.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_one_mail_leads_to_its_ticket() {
    for (follow_up, outcome) in
        [("", Outcome::Created), ("followUp: {from: anyone}", Outcome::FollowUp)]
    {
        let daemon = start(follow_up).await;
        let own = mail("eve@cust.example", "one@cust.example", "", "Where is it?");
        take(&daemon, "box", 1, &own).await;
        let bob = mail("bob@cust.example", "2@x.example", "one@cust.example", "And now?");
        assert_eq!(take(&daemon, "box", 2, &bob).await.outcome, outcome);
    }
}
