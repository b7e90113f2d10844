//! Customers remembered from the mails they wrote.

use postroom::core::config::Language;
use postroom::core::ticket::Command;
use postroom::store::{RememberedCustomer, Store};

use super::mails::{address, at};
use super::search::Desk;
use super::sound;

const HELP: &str = "support@acme.test";

fn list(store: &Store, words: &str, limit: usize) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.customers(words, after.as_deref(), limit).unwrap();
        assert!(page.items.len() <= limit);
        found.extend(page.items.iter().map(|one| one.address.to_string()));
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

#[tokio::test]
async fn what_a_customer_wrote_is_known_of_him() {
    let mut desk = Desk::new();
    let first = desk.mail("Eve <Eve@cust.test>", HELP, "Printer", "It smokes.").await;
    desk.mail("恵美 <eve@cust.test>", HELP, "紙", "紙が詰まりました。").await;
    let subject = format!("Re: [Ticket#{first}]");
    desk.mail("Eve <eve@cust.test>", HELP, &subject, "Still.").await;
    let known = desk.store().customer(&address("eve@cust.test")).unwrap().unwrap();
    let expected = RememberedCustomer {
        address: address("eve@cust.test"),
        name: "恵美".into(),
        company: None,
        language: Some(Language::Ja),
        first: at(1),
        last: at(3),
        tickets: 2,
    };
    assert_eq!(known, expected);
    assert_eq!(desk.store().customer(&address("max@cust.test")).unwrap(), None);
    sound(desk.store());
}

#[tokio::test]
async fn whose_case_it_becomes_is_remembered_and_whose_it_was_is_not() {
    let mut desk = Desk::new();
    let number = desk.mail("Eve <eve@cust.test>", HELP, "Printer", "It smokes.").await;
    let max = address("max@cust.test");
    desk.order(&number, Command::SetCustomer(max.clone()), at(5)).await;
    assert_eq!(list(desk.store(), "", 10), ["max@cust.test"]);
    let known = desk.store().customer(&max).unwrap().unwrap();
    assert_eq!((known.first, known.last, known.tickets), (at(1), at(1), 1));
    assert_eq!(desk.store().customer(&address("eve@cust.test")).unwrap(), None);
    sound(desk.store());
}

#[tokio::test]
async fn customers_are_listed_by_address_page_by_page_and_found() {
    let mut desk = Desk::new();
    for who in ["Bo <bo@z.test>", "Al <al@a.test>", "花子 <hana@b.test>", "Al <al@a.test>"] {
        desk.mail(who, HELP, "Printer", "It smokes.").await;
    }
    let all = ["al@a.test", "bo@z.test", "hana@b.test"];
    for limit in 1..=4 {
        assert_eq!(list(desk.store(), "", limit), all, "{limit}");
    }
    assert_eq!(list(desk.store(), "花", 10), ["hana@b.test"]);
    assert_eq!(list(desk.store(), "TEST bo", 10), ["bo@z.test"]);
    assert_eq!(list(desk.store(), "nobody", 10), [""; 0]);
    desk.reopen(|_| {});
    assert_eq!(list(desk.store(), "", 2), all);
}
