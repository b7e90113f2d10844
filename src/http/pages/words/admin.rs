//! Words of the administrators' pages and of the bell.

use super::words;

words! {
    /// The communication log, the quarantine and the outbox.
    Mails {
        title: "Mails", "メール";
        no_mail: "No mail like this was fetched.", "該当するメールはまだ取得されていません。";
        no_quarantine: "No mail waits for a decision.", "判断を待っているメールはありません。";
        no_owed: "No such mail is owed.", "該当する送信メールはありません。";
        about: "Every mail that was ever fetched, and what became of it.", "これまでに取得したすべてのメールと、その処理結果です。";
        outcome: "Outcome", "処理結果";
        account: "Account", "アカウント";
        all: "all", "すべて";
        show: "Show", "表示";
        at: "Recorded", "記録日時";
        from: "From", "差出人";
        subject: "Subject", "件名";
        ticket: "Ticket", "チケット";
        message_id: "Message-ID", "メッセージ ID";
        location: "Location in the mailbox", "メールボックス内の位置";
        bytes: "Bytes", "バイト数";
        reason: "Reason", "理由";
        dealt_with: "Dealt with", "対応日時";
        why: "How it was decided", "判断の経緯";
        source: "Source", "ソース";
        download: "Download the whole mail", "メール全体をダウンロード";
        cut: "This is the beginning only.", "先頭の一部のみを表示しています。";
        gone: "The bytes of this mail are not kept any more.", "このメールの内容はもう保存されていません。";
        no_subject: "(no subject)", "（件名なし）";
        created: "created", "新規";
        follow_up: "follow-up", "追加";
        rejected: "rejected", "拒否";
        bounce: "bounce", "不達";
        ignored: "ignored", "無視";
        duplicate: "duplicate", "重複";
        quarantined: "quarantined", "隔離";
        quarantine: "Quarantine", "隔離";
        quarantine_about: "Mails that could not or may not be processed, kept whole. Releasing judges one again.", "処理できなかった、または処理を許されなかったメールです。全体が保存されています。解放すると、もう一度判断されます。";
        release: "Release", "解放";
        drop: "Take off the list", "一覧から外す";
        drop_ask: "Take this mail off the list without releasing it?", "このメールを解放せずに一覧から外しますか？";
        released: "The mail was released.", "メールを解放しました。";
        again: "The mail was judged again and is still quarantined.", "もう一度判断しましたが、メールは隔離されたままです。";
        dropped: "The mail is off the list.", "メールを一覧から外しました。";
        outbox: "Outbox", "送信待ち";
        outbox_about: "Mail we owe: each stays here until a server has taken it or it was given up.", "送信予定のメールです。サーバーが受け取るか、送信を断念するまで残ります。";
        state: "State", "状態";
        due: "due", "送信待ち";
        sent: "sent", "送信済み";
        dead: "given up", "断念";
        to: "To", "宛先";
        kind: "Kind", "種類";
        auto_reply: "auto-reply", "自動返信";
        notification: "notification", "通知";
        reply: "reply", "返信";
        queued: "Enqueued", "登録日時";
        next: "Next attempt", "次の試行";
        attempts: "Attempts", "試行回数";
        last_error: "Last answer", "最後の応答";
        retry: "Try now", "今すぐ再試行";
        give_up: "Give up", "断念する";
        give_up_ask: "Give this mail up? It will not be sent.", "このメールの送信を断念しますか？送信されなくなります。";
        retried: "The mail is tried again now.", "メールを再試行します。";
        given_up: "The mail was given up.", "メールの送信を断念しました。";
    }
}

words! {
    /// Accounts and servers, and the configuration.
    Objects {
        accounts: "Mail accounts", "メールアカウント";
        servers: "SMTP servers", "SMTP サーバー";
        name: "Name", "名前";
        ready: "works", "正常";
        failing: "fails", "異常";
        starting: "not known yet", "未確認";
        suspended: "suspended", "停止中";
        conditions: "Conditions", "状態の詳細";
        since: "since", "開始:";
        last_success: "Last success", "最終成功";
        next_poll: "Next poll", "次の取得";
        backlog: "Backlog", "未処理";
        failures: "Failures in a row", "連続失敗";
        fetch: "Fetch now", "今すぐ取得";
        test: "Test", "テスト";
        fetching: "The account looks into its mailbox now.", "メールボックスを確認しています。";
        tested: "Test of", "テスト:";
        test_ok: "Everything works.", "すべて正常です。";
        test_failed: "This failed:", "失敗しました:";
        back: "Back", "戻る";
        never: "never", "なし";
        configuration: "Configuration", "設定";
        revision: "Revision", "リビジョン";
        applied: "Applied", "適用日時";
        started: "Daemon started", "デーモン起動";
        version: "Version", "バージョン";
        reload: "Look at the files now", "今すぐファイルを確認";
        unchanged: "The files say what runs already.", "ファイルは実行中の設定と同じです。";
        reloaded: "The revision was applied.", "リビジョンを適用しました。";
        refused: "The files were refused; what runs stays.", "ファイルは拒否されました。実行中の設定はそのままです。";
        problems: "Problems of the last revision that was refused", "拒否された最新リビジョンの問題";
        no_problems: "The last revision was applied.", "最新のリビジョンは適用済みです。";
        changes: "What the last reload changed", "最後の再読み込みによる変更";
        no_changes: "Nothing since the daemon started.", "デーモンの起動後の変更はありません。";
        files: "Files", "ファイル";
        redacted: "Digests and what looks like a password are not shown.", "ダイジェストとパスワードらしき値は表示されません。";
        declared: "Declared", "宣言";
        place: "Place", "場所";
        problem: "Problem", "問題";
        action: "Action", "操作";
        object: "Object", "対象";
        effect: "Effect", "影響";
    }
}

words! {
    /// The bell.
    Bells {
        title: "Notifications", "通知";
        read_all: "Mark all as read", "すべて既読にする";
        were_read: "All are read.", "すべて既読にしました。";
        event: "Event", "イベント";
        ticket: "Ticket", "チケット";
        at: "When", "日時";
        why: "Why", "理由";
        unread: "new", "新着";
        none: "Nothing rang yet. What rings for you is declared under `subscriptions` of your user.", "まだ通知はありません。通知の内容は、設定ファイルのあなたの `subscriptions` で決まります。";
        ticket_created: "A ticket was created", "チケットが作成されました";
        follow_up_locked: "A follow-up arrived on a locked ticket", "ロック中のチケットに追加の連絡がありました";
        follow_up_unlocked: "A follow-up arrived on an unlocked ticket", "未ロックのチケットに追加の連絡がありました";
        lock_timeout: "The lock of your ticket ended", "チケットのロックが終了しました";
        note_added: "A note was added", "メモが追加されました";
        queue_updated: "A ticket moved to another queue", "チケットのキューが変更されました";
        owner_changed: "The owner changed", "所有者が変更されました";
        responsible_changed: "The responsible agent changed", "責任者が変更されました";
        delivery_failed: "A mail could not be delivered", "メールを配信できませんでした";
        pending_reached: "A pending time was reached", "保留期限になりました";
    }
}
