//! Words of the frame, of signing in, of a person's own page, and of what went wrong.

use super::words;

words! {
    /// The frame around every page.
    Frame {
        skip: "Skip to the content", "本文へ移動";
        navigation: "Main", "メイン";
        tickets: "Tickets", "チケット";
        customers: "Customers", "お客様";
        notifications: "Notifications", "通知";
        mails: "Mails", "メール";
        quarantine: "Quarantine", "隔離";
        outbox: "Outbox", "送信待ち";
        accounts: "Accounts", "アカウント";
        configuration: "Configuration", "設定";
        search: "Search", "検索";
        search_hint: "Search tickets ( / )", "チケットを検索 ( / )";
        me: "Your account", "自分のアカウント";
        sign_out: "Sign out", "サインアウト";
        unread: "not read", "未読";
        back: "Back to the tickets", "チケットへ戻る";
        newer: "Newest", "最新";
        older: "Older", "次へ（古いもの）";
        first: "First", "最初";
        next: "Next", "次へ";
        nothing: "Nothing here.", "ありません。";
        yes: "yes", "はい";
        no: "no", "いいえ";
    }
}

words! {
    /// Signing in and out.
    SignIn {
        title: "Sign in", "サインイン";
        name: "User name or mail address", "ユーザー名またはメールアドレス";
        password: "Password", "パスワード";
        submit: "Sign in", "サインイン";
        wrong: "User name or password is wrong.", "ユーザー名またはパスワードが違います。";
        wait: "Too many attempts. Try again in this many seconds:", "試行回数が多すぎます。次の秒数だけ待ってからやり直してください:";
        busy: "Many people are signing in just now. Try again.", "現在サインインが集中しています。もう一度お試しください。";
        ended: "You are signed out.", "サインアウトしました。";
        nobody: "Nobody can sign in yet: give a user a passwordHash in the configuration. `postroom password` makes one.", "まだ誰もサインインできません。設定でユーザーに passwordHash を指定してください。`postroom password` で作成できます。";
        plain: "This connection is not encrypted: your password can be read on its way.", "この接続は暗号化されていません。パスワードが途中で読まれるおそれがあります。";
        with: "Sign in with", "次でサインイン:";
        provider_failed: "The provider did not sign you in. Try again; if it stays so, the log of Postroom says why.", "認証プロバイダーでサインインできませんでした。もう一度お試しください。解決しない場合は Postroom のログを確認してください。";
        provider_unknown: "The provider knows you, but you are no user of this desk.", "認証プロバイダーでは確認できましたが、このデスクのユーザーではありません。";
        provider_expired: "This attempt to sign in has ended. Try again.", "このサインインの試行は終了しました。もう一度お試しください。";
        needed: "Sign in to do this.", "この操作にはサインインが必要です。";
    }
}

words! {
    /// A person's own page.
    Me {
        user: "User", "ユーザー";
        mail: "Mail address", "メールアドレス";
        role: "Role", "役割";
        language: "Language", "言語";
        began: "Signed in since", "サインイン日時";
        declared: "These are declared in the configuration files; change them there.", "これらは設定ファイルで宣言されています。変更は設定ファイルで行ってください。";
        everywhere: "Sign out everywhere", "すべての端末からサインアウト";
        everywhere_why: "Ends every session of yours, this one included. Do it when a device is lost.", "このセッションを含む、あなたのすべてのセッションを終了します。端末を紛失したときに使ってください。";
        english: "English", "英語";
        japanese: "Japanese", "日本語";
    }
}

words! {
    /// What went wrong.
    Errors {
        forbidden: "Your role does not allow this.", "あなたの役割ではこの操作はできません。";
        missing: "There is nothing here.", "ページが見つかりません。";
        form: "This form is out of date. Open the page again and repeat.", "フォームの有効期限が切れています。ページを開き直してもう一度お試しください。";
        host: "Postroom is not known under this name.", "この名前では Postroom に接続できません。";
        refused: "This was not done.", "処理は行われませんでした。";
        failed: "Something went wrong inside Postroom.", "Postroom の内部でエラーが発生しました。";
    }
}
