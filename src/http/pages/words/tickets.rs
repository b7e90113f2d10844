//! Words of the lists of tickets and of one ticket.

use super::words;
use crate::core::config::Language;
use crate::core::ticket::{ArticleKind, Priority, State};

words! {
    /// Lists of tickets.
    List {
        queues: "Queues", "キュー";
        all_queues: "All queues", "すべてのキュー";
        open: "Not finished", "未完了";
        any_state: "Any state", "すべての状態";
        state: "State", "状態";
        queue: "Queue", "キュー";
        owner: "Owner", "担当者";
        anybody: "Anybody", "全員";
        mine: "Mine", "自分";
        nobody: "Nobody", "なし";
        customer: "Customer", "お客様";
        sort: "Sort by", "並び順";
        by_updated: "Last change, newest first", "更新日時（新しい順）";
        by_waiting: "Last change, oldest first", "更新日時（古い順）";
        by_created: "Created, newest first", "作成日時（新しい順）";
        by_oldest: "Created, oldest first", "作成日時（古い順）";
        by_priority: "Priority", "優先度";
        words: "Words", "検索語";
        show: "Show", "表示";
        title: "Title", "件名";
        priority: "Priority", "優先度";
        updated: "Changed", "更新";
        none: "No tickets.", "チケットはありません。";
        none_found: "No ticket has all these words.", "検索語をすべて含むチケットはありません。";
        none_found_why: "A Latin word is found by its beginning, Japanese by any run of characters.", "英単語は先頭から、日本語は途中の文字列でも検索できます。";
        with_finished: "Finished ones, too", "完了したものも表示";
        without_filter: "All that are not finished", "未完了のチケットをすべて表示";
        all_done: "Everything is done.", "対応が必要なチケットはありません。";
        no_account: "No mail account is declared yet; mail to one becomes tickets here.", "メールアカウントがまだ宣言されていません。宣言すると、届いたメールがここでチケットになります。";
        my_tickets: "My tickets", "自分のチケット";
        without_owner: "Without owner", "担当者なし";
        take: "Take", "担当する";
        no_queue: "Choose the queue to move to.", "移動先のキューを選択してください。";
        select: "Select", "選択";
        select_all: "Select all of this page", "このページをすべて選択";
        with_selected: "Selected tickets:", "選択したチケット:";
        close: "Close", "完了にする";
        move_to: "Move to", "移動先";
        do_move: "Move", "移動";
        nothing_selected: "Select tickets first.", "先にチケットを選択してください。";
        done: "Done.", "変更しました。";
        some_failed: "Not done for:", "次のチケットは処理できませんでした:";
        locked: "locked", "ロック中";
    }
}

words! {
    /// One ticket.
    One {
        articles: "Articles", "記事";
        history: "History", "履歴";
        facts: "Ticket", "チケット";
        created: "Created", "作成";
        updated: "Changed", "更新";
        pending_until: "Waits until", "保留期限";
        lock: "Lock", "ロック";
        locked: "locked", "ロック中";
        unlocked: "not locked", "ロックなし";
        responsible: "Responsible", "責任者";
        company: "Company", "会社";
        answers_to: "Answers to", "返信先";
        merged_into: "This ticket is part of another one:", "このチケットは統合されました:";
        undeliverable: "Mail to this address failed:", "次の宛先への送信に失敗しました:";
        complained: "Reported our mail as unwanted; gets no automatic mail:", "迷惑メールとして報告されたため自動送信を停止:";
        to: "To", "宛先";
        cc: "Cc", "Cc";
        subject: "Subject", "件名";
        doubtful: "This address is not what it looks like.", "このアドレスは見た目と異なります。";
        internal: "not for the customer", "社内のみ";
        not_verified: "not verified", "本人未確認";
        visible: "The customer may see it", "お客様に公開";
        show_html: "Show as HTML", "HTML で表示";
        show_text: "Show as text", "テキストで表示";
        html_title: "The mail as HTML, without scripts and remote content", "HTML 表示（スクリプト・外部コンテンツなし）";
        blocked: "Pictures from elsewhere are not loaded.", "外部の画像は読み込みません。";
        no_html: "This mail has no HTML, or too much of it. Its text is shown on the page before.", "このメールに HTML はないか、大きすぎます。前のページのテキストをご覧ください。";
        source: "Source", "ソース";
        download: "Download", "ダウンロード";
        attachments: "Attachments", "添付ファイル";
        quoted: "lines quoted", "行の引用";
        signature: "lines of signature", "行の署名";
        files_left_out: "More attachments are only in the source of the mail:", "次の数の添付ファイルはメールのソースにのみ含まれています:";
        text_cut: "The text is longer than what is shown; the rest is in the source of the mail.", "本文は途中まで表示しています。残りはメールのソースにあります。";
        signature_unverified: "This text comes out of a signed (S/MIME) mail. Postroom did not verify the signature.", "この本文は署名付き (S/MIME) メールから取り出したものです。署名は検証していません。";
        empty: "No text.", "本文はありません。";
        list: "The list of this ticket", "このチケットの一覧";
        next: "Next", "次";
        take: "Take", "担当する";
        take_why: "Become its owner and lock it", "担当者になり、ロックします";
        release: "Release", "担当を外れる";
        release_why: "Unlock it and give it to nobody", "ロックを解除し、担当者なしに戻します";
        close: "Close", "完了にする";
        reply: "Reply", "返信";
        reply_hint: "Goes to the customer by mail, in the thread of this ticket.", "このチケットのスレッドとしてメールでお客様に送信されます。";
        takes_part: "Takes part, too", "ほかの参加者";
        to_all: "Send it to them, too", "全員に送信する";
        note: "Note", "メモ";
        text: "Text", "本文";
        send: "Send", "送信";
        preview: "Preview", "プレビュー";
        preview_title: "This would be sent", "この内容で送信されます";
        around: "What stands around the text", "本文の前後に付く文面";
        add_note: "Add note", "メモを追加";
        sent_as: "Sent from", "送信元";
        customer_language: "Language of the customer", "お客様の言語";
        then: "Then", "送信後の状態";
        keep_state: "leave the state", "状態を変えない";
        change: "Change", "変更";
        save: "Save", "保存";
        pending_time: "Wait until (for pending)", "保留期限（保留の場合）";
        watchers: "Watchers", "ウォッチャー";
        nobody_watches: "Nobody.", "いません。";
        watch: "Watch", "ウォッチする";
        add: "Add", "追加";
        remove: "Remove", "削除";
        who: "User or mail address", "ユーザーまたはメールアドレス";
        audience: "Who would be told of what", "誰に何が通知されるか";
        merge: "Merge into", "統合先";
        do_merge: "Merge", "統合";
        merge_ask: "This ticket becomes part of the other one and can only be read afterwards. Go on?", "このチケットは統合先の一部になり、以後は閲覧のみになります。続けますか？";
        links: "See also", "関連";
        why: "why", "理由";
        done: "Done.", "変更しました。";
        taken: "This ticket is yours now.", "このチケットはあなたの担当になりました。";
        sent: "Your answer is on its way.", "返信を送信しました。";
        noted: "The note was added.", "メモを追加しました。";
        not_done: "Not done:", "実行できませんでした:";
        bad_time: "This time cannot be read.", "日時を読み取れません。";
        keys: "Keys: j and k go through the articles, r replies, n adds a note, t takes, ] goes to the next ticket, u back to the list, / searches.", "キー: j / k で記事を移動、r で返信、n でメモ、t で担当、] で次のチケット、u で一覧、/ で検索。";
    }
}

/// A state in the reader's words.
pub fn state(language: Language, state: State) -> &'static str {
    let (en, ja) = match state {
        State::New => ("new", "新規"),
        State::Open => ("open", "対応中"),
        State::Pending => ("pending", "保留中"),
        State::Resolved => ("resolved", "解決済み"),
        State::Closed { successful: true } => ("closed", "完了"),
        State::Closed { successful: false } => ("closed unsuccessful", "完了（未解決）"),
        State::Merged => ("merged", "統合済み"),
    };
    choose(language, en, ja)
}

/// A priority in the reader's words.
pub fn priority(language: Language, priority: Priority) -> &'static str {
    let ja = match priority {
        Priority::VeryLow => "1 最低",
        Priority::Low => "2 低",
        Priority::Normal => "3 通常",
        Priority::High => "4 高",
        Priority::VeryHigh => "5 最高",
    };
    choose(language, priority.label(), ja)
}

/// What an article is, in the reader's words.
pub fn kind(language: Language, kind: ArticleKind) -> &'static str {
    let (en, ja) = match kind {
        ArticleKind::MailIn => ("mail", "受信メール"),
        ArticleKind::MailOut => ("answer", "返信"),
        ArticleKind::Note => ("note", "メモ"),
        ArticleKind::AutoReply => ("automatic answer", "自動返信"),
        ArticleKind::Bounce => ("bounce", "配信エラー"),
    };
    choose(language, en, ja)
}

fn choose(language: Language, en: &'static str, ja: &'static str) -> &'static str {
    match language {
        Language::En => en,
        Language::Ja => ja,
    }
}
