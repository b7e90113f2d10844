//! What happened to a ticket, as a sentence in the reader's words.

use crate::core::config::Language;
use crate::core::ticket::What;

use super::tickets::{kind, priority, state};

/// A sentence.
pub fn sentence(language: Language, what: &What) -> String {
    let ja = language == Language::Ja;
    let say = |en: String, japanese: String| if ja { japanese } else { en };
    let change = |en: &str, japanese: &str, from: &str, to: &str| {
        let (from, to) = (or_dash(from), or_dash(to));
        say(format!("{en}: {from} → {to}"), format!("{japanese}: {from} → {to}"))
    };
    match what {
        What::Created => say("created".into(), "作成".into()),
        What::ArticleAdded { article, kind: added } => say(
            format!("#{}: {} added", article.0, kind(language, *added)),
            format!("#{}: {}を追加", article.0, kind(language, *added)),
        ),
        What::FollowedUp { article, .. } => say(
            format!("#{}: follow-up arrived", article.0),
            format!("#{}: 追加のメールを受信", article.0),
        ),
        What::FollowUpRejected { article } => say(
            format!("#{}: follow-up rejected", article.0),
            format!("#{}: 追加のメールを拒否", article.0),
        ),
        What::State { from, to } => {
            change("state", "状態", state(language, *from), state(language, *to))
        }
        What::Queue { from, to } => change("queue", "キュー", from, to),
        What::Priority { from, to } => {
            change("priority", "優先度", priority(language, *from), priority(language, *to))
        }
        What::Title { from, to } => change("title", "件名", from, to),
        What::Owner { from, to } => change("owner", "担当者", text(from), text(to)),
        What::Responsible { from, to } => change("responsible", "責任者", text(from), text(to)),
        What::Customer { from, to } => {
            let text = |address: &Option<crate::core::address::Address>| {
                address.as_ref().map(|address| address.to_string()).unwrap_or_default()
            };
            change("customer", "お客様", &text(from), &text(to))
        }
        What::Locked => say("locked".into(), "ロック".into()),
        What::Unlocked => say("unlocked".into(), "ロック解除".into()),
        What::LockTimedOut => say("lock ran out".into(), "ロックの期限切れ".into()),
        What::PendingReached => say("pending time reached".into(), "保留期限に到達".into()),
        What::WatcherAdded { who } => {
            say(format!("{who} watches"), format!("{who} がウォッチを開始"))
        }
        What::WatcherRemoved { who } => {
            say(format!("{who} watches no longer"), format!("{who} のウォッチが終了"))
        }
        What::MergedInto { number } => {
            say(format!("merged into {number}"), format!("{number} に統合"))
        }
        What::MergedFrom { number } => {
            say(format!("{number} became part of it"), format!("{number} を統合"))
        }
        What::Linked { number } => {
            say(format!("linked with {number}"), format!("{number} と関連付け"))
        }
        What::AutoReplyOwed { to, reply } => say(
            format!("automatic answer {reply} to {to}"),
            format!("自動返信 {reply} を {to} へ送信"),
        ),
        What::AutoReplySuppressed { reason } => {
            say(format!("no automatic answer: {reason}"), format!("自動返信なし: {reason}"))
        }
        What::Notified { who, event } => {
            say(format!("{who} notified: {event}"), format!("{who} に通知: {event}"))
        }
        What::DeliveryFailed { to, reason } => {
            say(format!("mail to {to} failed: {reason}"), format!("{to} への送信に失敗: {reason}"))
        }
        What::Complained { by } => say(
            format!("{by} reported our mail as unwanted"),
            format!("{by} が迷惑メールとして報告"),
        ),
    }
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

fn or_dash(value: &str) -> &str {
    if value.is_empty() { "–" } else { value }
}
