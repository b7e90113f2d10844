//! Words of the pages of customers.

use super::words;

words! {
    /// Customers.
    Customers {
        title: "Customers", "お客様";
        customer: "Customer", "お客様";
        about: "Everybody who is declared or whose case a ticket ever was, by address.", "設定に登録された方と、チケットのあるすべてのお客様（アドレス順）。";
        sought: "Name, address or company", "名前・アドレス・会社";
        show: "Show", "表示";
        none: "No customers yet.", "お客様はまだいません。";
        none_found: "No customer has all these words.", "検索語をすべて含むお客様はいません。";
        name: "Name", "名前";
        address: "Address", "アドレス";
        company: "Company", "会社";
        language: "Language", "言語";
        tickets: "Tickets", "チケット";
        first: "First seen", "初回";
        last: "Last wrote", "最終連絡";
        known: "Known", "登録";
        declared: "declared in the configuration", "設定に登録済み";
        remembered: "remembered from mail", "メールから記録";
    }
}
