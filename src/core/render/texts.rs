//! Built-in texts of notifications, in English and Japanese, and the words for states and roles.
//!
//! Architecture invariant: texts only. Who gets which one is decided in [`super`] and
//! [`crate::core::notify`].

use crate::core::config::Language;
use crate::core::notify::EventKind;
use crate::core::ticket::{ArticleKind, State};

/// All built-in templates by name; see [`name`].
pub const BUILT_IN: &[(&str, &str)] = &[
    ("en/ticketCreated/subject", "New ticket: {{ ticket.title }}"),
    ("en/followUpLocked/subject", "Follow-up: {{ ticket.title }}"),
    ("en/followUpUnlocked/subject", "Follow-up to an unlocked ticket: {{ ticket.title }}"),
    ("en/lockTimeout/subject", "No longer locked by you: {{ ticket.title }}"),
    ("en/noteAdded/subject", "New note: {{ ticket.title }}"),
    ("en/queueUpdated/subject", "Moved to {{ ticket.queue }}: {{ ticket.title }}"),
    ("en/ownerChanged/subject", "Owner changed: {{ ticket.title }}"),
    ("en/responsibleChanged/subject", "Responsible agent changed: {{ ticket.title }}"),
    ("en/deliveryFailed/subject", "Mail could not be delivered: {{ ticket.title }}"),
    ("en/pendingReached/subject", "Pending time reached: {{ ticket.title }}"),
    ("ja/ticketCreated/subject", "新しいチケット: {{ ticket.title }}"),
    ("ja/followUpLocked/subject", "返信がありました: {{ ticket.title }}"),
    ("ja/followUpUnlocked/subject", "未ロックのチケットに返信がありました: {{ ticket.title }}"),
    ("ja/lockTimeout/subject", "ロックが解除されました: {{ ticket.title }}"),
    ("ja/noteAdded/subject", "メモが追加されました: {{ ticket.title }}"),
    ("ja/queueUpdated/subject", "{{ ticket.queue }} へ移動しました: {{ ticket.title }}"),
    ("ja/ownerChanged/subject", "担当者が変わりました: {{ ticket.title }}"),
    ("ja/responsibleChanged/subject", "責任者が変わりました: {{ ticket.title }}"),
    ("ja/deliveryFailed/subject", "メールを配信できませんでした: {{ ticket.title }}"),
    ("ja/pendingReached/subject", "保留期限になりました: {{ ticket.title }}"),
    ("en/ticketCreated/text", EN_TICKET_CREATED),
    ("en/followUpLocked/text", EN_FOLLOW_UP_LOCKED),
    ("en/followUpUnlocked/text", EN_FOLLOW_UP_UNLOCKED),
    ("en/lockTimeout/text", EN_LOCK_TIMEOUT),
    ("en/noteAdded/text", EN_NOTE_ADDED),
    ("en/queueUpdated/text", EN_QUEUE_UPDATED),
    ("en/ownerChanged/text", EN_OWNER_CHANGED),
    ("en/responsibleChanged/text", EN_RESPONSIBLE_CHANGED),
    ("en/deliveryFailed/text", EN_DELIVERY_FAILED),
    ("en/pendingReached/text", EN_PENDING_REACHED),
    ("ja/ticketCreated/text", JA_TICKET_CREATED),
    ("ja/followUpLocked/text", JA_FOLLOW_UP_LOCKED),
    ("ja/followUpUnlocked/text", JA_FOLLOW_UP_UNLOCKED),
    ("ja/lockTimeout/text", JA_LOCK_TIMEOUT),
    ("ja/noteAdded/text", JA_NOTE_ADDED),
    ("ja/queueUpdated/text", JA_QUEUE_UPDATED),
    ("ja/ownerChanged/text", JA_OWNER_CHANGED),
    ("ja/responsibleChanged/text", JA_RESPONSIBLE_CHANGED),
    ("ja/deliveryFailed/text", JA_DELIVERY_FAILED),
    ("ja/pendingReached/text", JA_PENDING_REACHED),
    (
        "en/digest/subject",
        "{{ count }} {% if count == 1 %}notification{% else %}notifications{% endif %}",
    ),
    ("ja/digest/subject", "通知 {{ count }} 件"),
    ("en/digest/text", EN_DIGEST),
    ("ja/digest/text", JA_DIGEST),
    ("en/notProven/subject", "Not sent to the customer: {{ ticket.title }}"),
    ("ja/notProven/subject", "お客様には送信されていません: {{ ticket.title }}"),
    ("en/notProven/text", EN_NOT_PROVEN),
    ("ja/notProven/text", JA_NOT_PROVEN),
    ("en/notSeparated/subject", "Not sent to the customer: {{ ticket.title }}"),
    ("ja/notSeparated/subject", "お客様には送信されていません: {{ ticket.title }}"),
    ("en/notSeparated/text", EN_NOT_SEPARATED),
    ("ja/notSeparated/text", JA_NOT_SEPARATED),
    ("en/noOwnText/subject", "Not sent to the customer: {{ ticket.title }}"),
    ("ja/noOwnText/subject", "お客様には送信されていません: {{ ticket.title }}"),
    ("en/noOwnText/text", EN_NO_OWN_TEXT),
    ("ja/noOwnText/text", JA_NO_OWN_TEXT),
];

/// Mails to an agent about a mail of theirs, by the name of their template.
pub const TO_AGENTS: [&str; 3] = ["notProven", "notSeparated", "noOwnText"];

/// What lines of notifications begin with that hold a value: however the value has changed, such a
/// line of a quote is ours.
pub const FRAME_BEGINNINGS: [&str; 9] = [
    "You get this mail",
    "You get at most",
    "A new ticket has arrived",
    "This ticket was moved",
    "This ticket now has",
    "A mail of this ticket",
    "このメールは、",
    "チケットがキュー",
    "チケットの担当者",
];

/// Stands below a letter whose files stay with the ticket.
pub fn files_kept(language: Language, files: &str) -> String {
    match language {
        Language::En => format!("[Not sent along, but kept with the ticket: {files}]"),
        Language::Ja => format!("[添付ファイルは送信せず、チケットに保管しています: {files}]"),
    }
}

/// Name of a built-in template; `part` is `subject` or `text`.
pub fn name(language: Language, event: EventKind, part: &str) -> String {
    let language = match language {
        Language::En => "en",
        Language::Ja => "ja",
    };
    format!("{language}/{}/{part}", event.label())
}

/// Name of a built-in template of a mail that is about no event.
pub fn own(language: Language, name: &str, part: &str) -> String {
    let language = match language {
        Language::En => "en",
        Language::Ja => "ja",
    };
    format!("{language}/{name}/{part}")
}

/// Stands behind the author of a mail that has an agent's address in From without proof.
pub fn not_verified(language: Language) -> &'static str {
    match language {
        Language::En => "not verified",
        Language::Ja => "本人未確認",
    }
}

/// A state, for people.
pub fn state(language: Language, state: State) -> &'static str {
    match (language, state) {
        (Language::En, state) => state.label(),
        (Language::Ja, State::New) => "新規",
        (Language::Ja, State::Open) => "対応中",
        (Language::Ja, State::Pending) => "保留",
        (Language::Ja, State::Resolved) => "解決済み",
        (Language::Ja, State::Closed { successful: true }) => "完了（成功）",
        (Language::Ja, State::Closed { successful: false }) => "完了（未解決）",
        (Language::Ja, State::Merged) => "統合済み",
    }
}

/// A role of [`crate::core::notify::Notice`], for people.
pub fn role(language: Language, role: &str) -> String {
    match language {
        Language::En => english_role(role),
        Language::Ja => japanese_role(role),
    }
}

fn english_role(role: &str) -> String {
    match (role, role.strip_prefix("queue ")) {
        (_, Some(queue)) => format!("you work in queue {queue}"),
        ("watcher", None) => "you watch this ticket".into(),
        (role, None) => format!("you are its {role}"),
    }
}

fn japanese_role(role: &str) -> String {
    match (role, role.strip_prefix("queue ")) {
        (_, Some(queue)) => format!("キュー「{queue}」のメンバー"),
        ("owner", None) => "担当者".into(),
        ("previous owner", None) => "これまでの担当者".into(),
        ("responsible", None) => "責任者".into(),
        ("previous responsible", None) => "これまでの責任者".into(),
        ("watcher", None) => "ウォッチャー".into(),
        (role, None) => role.into(),
    }
}

/// What an article is, as labelled in the API.
pub fn article_kind(kind: ArticleKind) -> &'static str {
    match kind {
        ArticleKind::MailIn => "mailIn",
        ArticleKind::MailOut => "mailOut",
        ArticleKind::Note => "note",
        ArticleKind::AutoReply => "autoReply",
        ArticleKind::Bounce => "bounce",
    }
}

/// Opening, the event in a sentence, the ticket in short, the article if any, and why he is told.
macro_rules! english {
    ($sentence:literal) => {
        concat!(
            "Hello {{ recipient.name }},\n\n",
            $sentence,
            "\n\n",
            "Ticket:   {{ ticket.number }}\n",
            "Title:    {{ ticket.title }}\n",
            "Queue:    {{ ticket.queue }}\n",
            "State:    {{ ticket.state }}\n",
            "{% if article.from %}From:     {{ article.from }}\n{% endif %}",
            "{% if article.quoted %}\n{{ article.quoted }}\n{% endif %}",
            "\n-- \n{{ desk.name }}\nYou get this mail because {{ role }}{% if rule %} ({{ rule }}){% endif %}.\n"
        )
    };
}

macro_rules! japanese {
    ($sentence:literal) => {
        concat!(
            "{{ recipient.name }} 様\n\n",
            $sentence,
            "\n\n",
            "チケット番号: {{ ticket.number }}\n",
            "件名: {{ ticket.title }}\n",
            "キュー: {{ ticket.queue }}\n",
            "状態: {{ ticket.state }}\n",
            "{% if article.from %}差出人: {{ article.from }}\n{% endif %}",
            "{% if article.quoted %}\n{{ article.quoted }}\n{% endif %}",
            "\n-- \n{{ desk.name }}\nこのメールは、{{ role }}の方にお送りしています。\
             {% if rule %}（設定: {{ rule }}）{% endif %}\n"
        )
    };
}

const EN_TICKET_CREATED: &str = english!("A new ticket has arrived in queue {{ ticket.queue }}.");
const EN_FOLLOW_UP_LOCKED: &str = english!("An answer to this ticket has arrived.");
const EN_FOLLOW_UP_UNLOCKED: &str =
    english!("An answer to this ticket has arrived. Nobody has locked it.");
const EN_LOCK_TIMEOUT: &str = english!(
    "This ticket is no longer yours to work on: it was closed or unlocked by somebody else, or \
     its lock ran out."
);
const EN_NOTE_ADDED: &str = english!("A note was added to this ticket.");
const EN_QUEUE_UPDATED: &str = english!("This ticket was moved to queue {{ ticket.queue }}.");
const EN_OWNER_CHANGED: &str = english!(
    "This ticket now has {% if ticket.owner %}the owner {{ ticket.owner }}\
     {% else %}no owner{% endif %}."
);
const EN_RESPONSIBLE_CHANGED: &str = english!(
    "{% if ticket.responsible %}{{ ticket.responsible }}{% else %}nobody{% endif %} \
     is now responsible for this ticket."
);
const EN_DELIVERY_FAILED: &str = english!(
    "A mail of this ticket could not be delivered. Addresses that failed so far: \
     {{ ticket.undeliverable }}"
);
const EN_PENDING_REACHED: &str = english!("The time until which this ticket was pending is over.");

const JA_TICKET_CREATED: &str =
    japanese!("キュー「{{ ticket.queue }}」に新しいチケットが届きました。");
const JA_FOLLOW_UP_LOCKED: &str = japanese!("チケットに返信がありました。");
const JA_FOLLOW_UP_UNLOCKED: &str =
    japanese!("チケットに返信がありました。このチケットはまだ誰もロックしていません。");
const JA_LOCK_TIMEOUT: &str = japanese!(
    "チケットがあなたの手を離れました。ほかの人が完了またはロック解除したか、ロックの期限が切れました。"
);
const JA_NOTE_ADDED: &str = japanese!("チケットにメモが追加されました。");
const JA_QUEUE_UPDATED: &str =
    japanese!("チケットがキュー「{{ ticket.queue }}」に移動されました。");
const JA_OWNER_CHANGED: &str = japanese!(
    "{% if ticket.owner %}チケットの担当者が {{ ticket.owner }} さんに変わりました。\
     {% else %}チケットの担当者がいなくなりました。{% endif %}"
);
const JA_RESPONSIBLE_CHANGED: &str = japanese!(
    "{% if ticket.responsible %}チケットの責任者が {{ ticket.responsible }} さんに変わりました。\
     {% else %}チケットの責任者がいなくなりました。{% endif %}"
);
const JA_DELIVERY_FAILED: &str = japanese!(
    "チケットのメールを配信できませんでした。これまでに配信できなかった宛先: \
     {{ ticket.undeliverable }}"
);
const JA_PENDING_REACHED: &str = japanese!("チケットの保留期限になりました。");

const EN_DIGEST: &str = "Hello {{ recipient.name }},

{% if bound %}there were more than {{ bound }} notifications in an hour. These are the ones that
had no mail of their own:
{% else %}this is what happened since your last digest:
{% endif %}{% for ticket in tickets %}
{{ ticket.tag }}
{% for line in ticket.lines %}  {{ line.time }}  {{ line.text }} ({{ line.role }})
{% endfor %}{% endfor %}{% if more %}
And {{ more }} more, which the page shows under notifications.
{% endif %}
To answer a customer, answer the mail of his ticket or use the page; this mail is about none.

-- 
{{ desk.name }}
{% if bound %}You get at most {{ bound }} notifications in an hour, and the rest as one mail ({{ rule }}).{% else %}You get this mail once a day ({{ rule }}).{% endif %}
";
const JA_DIGEST: &str = "{{ recipient.name }} 様

{% if bound %}1 時間の通知が {{ bound }} 件を超えたため、残りをまとめてお送りします。
{% else %}前回のまとめ以降の通知です。
{% endif %}{% for ticket in tickets %}
{{ ticket.tag }}
{% for line in ticket.lines %}  {{ line.time }}  {{ line.text }}（{{ line.role }}）
{% endfor %}{% endfor %}{% if more %}
ほかに {{ more }} 件あります。画面の通知一覧をご覧ください。
{% endif %}
お客様への返信は、各チケットのメールへの返信か、画面から行ってください。

-- 
{{ desk.name }}
{% if bound %}1 時間に {{ bound }} 件を超える通知は 1 通にまとめられます（設定: {{ rule }}）。{% else %}このメールは 1 日 1 回お送りしています（設定: {{ rule }}）。{% endif %}
";

const EN_NOT_PROVEN: &str = "Hello {{ recipient.name }},

a mail from your address about ticket {{ ticket.number }} was kept on the desk. It was not sent to
{{ customer.address }}, because nothing proves that you wrote it: anybody can write your address
into From.

To send it, answer a notification of this ticket that came to you alone, or write on the page.
An answer to this mail is not sent to the customer.
If you did not write that mail, somebody else used your address: tell your administrator.

-- 
{{ desk.name }}
";
const EN_NOT_SEPARATED: &str = "Hello {{ recipient.name }},

your mail about ticket {{ ticket.number }} was kept as an internal note. It was not sent to
{{ customer.address }}: it quotes a notification, which can hold notes and other internal text,
and your own words could not be separated from it.

To send it, answer this mail with your text and without any quoted text, or write the answer on
the page of the ticket.

-- 
{{ desk.name }}
";
const JA_NOT_SEPARATED: &str = "{{ recipient.name }} 様

チケット {{ ticket.number }} へのメールは、社内メモとして保管しました。
引用された通知には社内メモなどが含まれることがあり、ご本人の文章と区別できなかったため、
{{ customer.address }} には送信していません。

送信するには、引用を付けずに本文だけを書いてこのメールに返信するか、チケットの画面から返信してください。

-- 
{{ desk.name }}
";

const EN_NO_OWN_TEXT: &str = "Hello {{ recipient.name }},

your mail about ticket {{ ticket.number }} was kept as an internal note. It was not sent to
{{ customer.address }}, because no text of yours could be read in it. It may be empty, encrypted,
signed in a form that hides the text (S/MIME: choose \"send clear text signed message\"), in
Outlook's rich text format (choose HTML or plain text), or hold attachments only.

To send it, answer this mail with your text, or write the answer on the page of the ticket.

-- 
{{ desk.name }}
";
const JA_NO_OWN_TEXT: &str = "{{ recipient.name }} 様

チケット {{ ticket.number }} へのメールは、社内メモとして保管しました。
本文を読み取れなかったため、{{ customer.address }} には送信していません。本文が空、暗号化、
本文を隠す形式の S/MIME 署名（クリアテキスト署名を選択してください）、Outlook のリッチテキスト形式
（HTML またはテキスト形式を選択してください）、または添付ファイルのみの可能性があります。

送信するには、本文を書いてこのメールに返信するか、チケットの画面から返信してください。

-- 
{{ desk.name }}
";

const JA_NOT_PROVEN: &str = "{{ recipient.name }} 様

チケット {{ ticket.number }} についてあなたのアドレスから届いたメールは、社内に保管しました。
差出人の欄は誰でも書けるため、ご本人のメールと確認できず、{{ customer.address }} には送信していません。

送信するには、あなただけに届いたこのチケットの通知に返信するか、画面から書いてください。
このメールに返信しても、お客様には送信されません。
お心当たりがない場合は、第三者があなたのアドレスを使用しています。管理者にお知らせください。

-- 
{{ desk.name }}
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::render::{page, template};

    #[test]
    fn every_event_has_its_texts_in_every_language() {
        for event in EventKind::ALL {
            for language in [Language::En, Language::Ja] {
                for part in ["subject", "text"] {
                    let name = name(language, event, part);
                    let text = template::fill_built_in(&name, &page::sample());
                    assert!(text.is_some_and(|text| text.contains("Printer broken")), "{name}");
                }
            }
        }
    }

    #[track_caller]
    fn check(language: Language, internal: &str, expected: &str) {
        assert_eq!(role(language, internal), expected);
    }

    #[test]
    fn roles_in_words() {
        check(Language::En, "previous owner", "you are its previous owner");
        check(Language::En, "queue sales", "you work in queue sales");
        check(Language::En, "watcher", "you watch this ticket");
        check(Language::Ja, "queue 営業", "キュー「営業」のメンバー");
        check(Language::Ja, "responsible", "責任者");
    }
}
