//! Words of the page that says who would be told of what.

use super::words;
use crate::core::config::Language;
use crate::core::notify::Not;

words! {
    /// Who would be told.
    Audience {
        title: "Who would be told", "通知先の確認";
        about: "As if it happened now, by the rules that run.", "今それが起きた場合の結果です（現在の設定による）。";
        event: "What happens", "出来事";
        by: "Done by", "実行者";
        nobody: "the desk itself", "システム";
        show: "Show", "表示";
        who: "Who", "対象者";
        told: "Told", "通知";
        told_not: "no", "なし";
        when: "Mail", "メール";
        at_once: "at once", "即時";
        why: "Why", "理由";
        decided: "Decided by", "決め手";
        customer: "customer", "お客様";
        mail: "mail", "メール";
        web: "bell", "ベル";
        quiet: "after the quiet hours", "静かな時間帯の後";
        digest: "with the digest", "ダイジェストで";
        full: "with others: this hour is full", "上限に達したため、まとめて";
        none: "There are no users yet.", "ユーザーはまだいません。";
    }
}

/// Why somebody is not told, in the reader's words.
pub fn not(language: Language, reason: &Not) -> String {
    let ja = match (language, reason) {
        (Language::En, _) => return reason.words(),
        (Language::Ja, Not::Undeclared) => "設定から削除されています",
        (Language::Ja, Not::SwitchedOff) => "無効または一時停止中です",
        (Language::Ja, Not::OwnAction) => "本人が行った操作です",
        (Language::Ja, Not::NotSubscribed) => "この出来事を購読していません",
        (Language::Ja, Not::Silenced) => "このキューでは通知方法が選ばれていません",
        (Language::Ja, Not::MineOnly) => "自分のチケットだけを希望しています",
        (Language::Ja, Not::OwnAddress) => {
            "デスク自身のアドレスです（メールが戻ってきてしまいます）"
        }
        (Language::Ja, Not::SameAddress(who)) => {
            return format!("同じアドレスの {who} にメールが届きます");
        }
        (Language::Ja, Not::NotForCustomers) => "お客様には知らせない内容です",
        (Language::Ja, Not::OtherQueue) => "このキューの担当ではありません",
        (Language::Ja, Not::NotConcerned) => "通知対象の役割にありません",
    };
    ja.to_owned()
}
